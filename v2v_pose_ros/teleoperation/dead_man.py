"""Dead-man conditions: how an operator arms and disarms.

A level, such as a pinch or a pedal, becomes requests. One that was active when the hand was lost,
when everything starts, or when it was heard last before a silence, arms nothing: it has to be seen
released first. One that was pressed since then may wait for the hand to come.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.teleoperation.openings import OPENINGS

Request = Literal['arm', 'disarm', 'toggle']


class Trigger:
    """Turns a level into requests."""

    def __init__(self, *, toggles: bool = False, delay: float = 0.0) -> None:
        """Start with a level that has to be released first.

        Args:
            toggles: whether becoming active toggles; otherwise it arms, and ceasing disarms.
            delay: seconds for which the level must be active without a gap to count.
        """
        self._toggles, self._delay = toggles, delay
        self._ready = self._active = False
        self._demanded = True
        self._since: float | None = None

    @property
    def must_be_released(self) -> bool:
        """Whether the level is active and arms nothing, because it was so too early."""
        return self._since is not None and self._demanded

    def require_release(self) -> None:
        """Let the level count only after it was released."""
        self._ready, self._demanded = False, True

    def interrupt(self) -> None:
        """Let a level that did not last long enough yet last anew."""
        self._since = None

    def refused(self) -> None:
        """Let a level that asked in vain ask again as long as it lasts."""
        self._active, self._ready = False, True

    def __call__(self, active: bool | None, now: float) -> Request | None:
        """Take in the level now, None where nobody knows it; return what it asks for.

        What nobody knows is not active, and not released either.
        """
        if not active:
            fell, self._active = self._active, False
            pressed, self._since = self._since is not None, None
            self._ready = active is False or (self._ready and not pressed)
            self._demanded = not self._ready
            return 'disarm' if fell and not self._toggles else None
        if self._since is None:
            self._since = now
        if not self._ready or self._active or now - self._since < self._delay:
            return None
        self._active, self._ready = True, False
        return 'toggle' if self._toggles else 'arm'


@dataclass(frozen=True)
class Gesture:
    """A gesture of the hand that is followed.

    Attributes:
        opening: which opening it closes, of ``OPENINGS``.
        close: the gesture begins where the opening falls to this.
        release: it ends where the opening rises to this.
    """

    opening: str = 'pinch_index'
    close: float = 0.15
    release: float = 0.4

    def __post_init__(self) -> None:
        """Refuse what is no gesture."""
        if self.opening not in OPENINGS:
            raise ValueError(
                f'there is no opening {self.opening!r}; there are {", ".join(OPENINGS)}'
            )
        if not 0 <= self.close < self.release <= 1:
            raise ValueError(
                f'the gesture closes at {self.close} and is released at {self.release}; both must '
                'be from 0 to 1, and the first smaller'
            )

    def active(self, openings: NDArray[np.float64], before: bool) -> bool:
        """Tell whether the gesture is made, given the openings [5] and whether it was before."""
        return bool(
            openings[OPENINGS.index(self.opening)] <= (self.release if before else self.close)
        )


class Heartbeat:
    """A level that somebody has to repeat: nobody knows it when nobody does."""

    def __init__(self, timeout: float) -> None:
        """Start with a level that nobody knows.

        Args:
            timeout: seconds for which a message counts.
        """
        self._timeout = timeout
        self._active, self._until = False, -math.inf

    def beat(self, active: bool, now: float) -> None:
        """Take in a message."""
        self._active, self._until = active, now + self._timeout

    def level(self, now: float) -> bool | None:
        """Return the level now, None where no message says it."""
        return self._active if now <= self._until else None
