"""When a robot may follow a hand: a state machine that says nothing until somebody arms it.

            arm                 problem              grace is over, or a jump
    disarmed ───► armed ◄──────────────────► holding ─────────────────► lost
        ▲           │  the hand is back in time                          │
        └───────────┴──────────────── disarm ────────────────────────────┘   lost ── arm ──► armed

Only ``armed`` follows. From ``holding`` it goes on by itself, but only within the grace and where
the hand was; from ``lost`` only when somebody arms it again. All times are seconds of one steady
clock, which the caller reads.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SafetyState = Literal['disarmed', 'armed', 'holding', 'lost']

STATES: tuple[SafetyState, ...] = ('disarmed', 'armed', 'holding', 'lost')


@dataclass(frozen=True)
class SafetyOptions:
    """What interrupts the following, and what ends it.

    Attributes:
        min_confidence: least mean joint confidence of a skeleton that is followed.
        timeout: seconds without a skeleton after which it is stale; one and a half periods of the
            camera notice a loss within two.
        max_age: seconds from a skeleton's stamp to its arrival beyond which it is stale.
        grace: seconds since the hand was last seen within which it may go on by itself.
        max_jump: metres that the wrist may move from one skeleton to the next.
    """

    min_confidence: float = 0.5
    timeout: float = 0.05
    max_age: float = 0.5
    grace: float = 0.15
    max_jump: float = 0.15

    def __post_init__(self) -> None:
        """Refuse what keeps nobody safe."""
        for name in ('timeout', 'max_age', 'max_jump'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} is {getattr(self, name)}; a positive number is meant')
        if not self.grace >= 0:
            raise ValueError(f'grace is {self.grace}; a number of at least 0 is meant')
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f'min_confidence is {self.min_confidence}; 0 to 1 is meant')


@dataclass(frozen=True)
class Sighting:
    """What one frame of the camera says about the hand.

    Attributes:
        wrist: [3] metres; None where no hand was found.
        confidence: mean of the joints', 0 to 1.
        stamp: of the frame, seconds; None where the camera gives none.
        age: seconds from the stamp to the arrival; None where that is not known.
        flaw: what is wrong with the skeleton itself, in words; None for nothing.
    """

    wrist: NDArray[np.float64] | None
    confidence: float = 1.0
    stamp: float | None = None
    age: float | None = None
    flaw: str | None = None


class Safety:
    """The state machine.

    Attributes:
        state: disarmed, armed, holding or lost.
        refusal: why it was not armed when it was asked to be, in words.
    """

    def __init__(self, options: SafetyOptions | None = None) -> None:
        """Start disarmed; the options may be changed at any time."""
        self.options = options or SafetyOptions()
        self.state: SafetyState = 'disarmed'
        self.refusal = ''
        self._cause = 'not armed yet'
        self._unseen: str | None = 'no skeleton came yet'
        self._wrist: NDArray[np.float64] | None = None
        self._stamp: float | None = None
        self._arrival = self._seen = -math.inf

    @property
    def reason(self) -> str:
        """Why it is not armed, in words; empty while it is."""
        if not self.refusal:
            return self._cause
        if self.state == 'lost':
            return f'{self._cause}; not armed again: {self.refusal}'
        return f'not armed: {self.refusal}'

    @property
    def follows(self) -> bool:
        """Whether the robot may follow the hand now."""
        return self.state == 'armed'

    def obstacle(self, now: float) -> str | None:
        """Return why the hand cannot be followed now; None if it can."""
        self.tick(now)
        return self._unseen or self._silence(now)

    def arm(self, now: float) -> str | None:
        """Follow from now on; return why not when the hand is not seen well."""
        if (problem := self.obstacle(now)) is not None:
            return self.refuse(problem)
        self._become('armed', '')
        return None

    def refuse(self, problem: str) -> str:
        """Remember why it was not armed, and return it; empty where nothing stands against it."""
        if self.state in ('disarmed', 'lost'):
            self.refusal = problem
        return problem

    def disarm(self, reason: str) -> None:
        """Follow no longer, whatever the state."""
        if self.state != 'disarmed':
            self._become('disarmed', reason)

    def lose(self, reason: str) -> None:
        """Follow no longer until armed again, because something went wrong."""
        if self.state in ('armed', 'holding'):
            self._become('lost', reason)

    def see(self, sighting: Sighting, now: float) -> None:
        """Take in a frame that arrived now."""
        self.tick(now)
        self._unseen = self._problem(sighting)
        self._arrival, self._stamp = now, sighting.stamp
        if self._unseen is not None:
            self._interrupt(self._unseen)
        else:
            jump = self._moved(sighting.wrist)
            self._wrist, self._seen = sighting.wrist, now
            if jump > self.options.max_jump:
                self.lose(f'the hand jumped by {jump:.2f} m')
            elif self.state == 'holding':
                self._become('armed', '')
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass."""
        if self.state == 'armed' and (silence := self._silence(now)):
            self._interrupt(silence)
        if self.state == 'holding' and now - self._seen > self.options.grace:
            self.lose(self._cause)

    def _interrupt(self, reason: str) -> None:
        if self.state in ('armed', 'holding'):
            self._become('holding', reason)

    def _become(self, state: SafetyState, cause: str) -> None:
        self.state, self._cause, self.refusal = state, cause, ''

    def _silence(self, now: float) -> str | None:
        if now - self._arrival > self.options.timeout:
            return f'no skeleton for more than {self.options.timeout:g} s'
        return None

    def _problem(self, sighting: Sighting) -> str | None:
        """Return why a frame is not to be followed, in words; None if it is."""
        options, age, before = self.options, sighting.age, self._stamp
        if sighting.wrist is None:
            return 'no hand is seen'
        if sighting.flaw is not None:
            return sighting.flaw
        if not np.isfinite(sighting.wrist).all():
            return 'the skeleton is not finite'
        if not sighting.confidence >= options.min_confidence:  # NaN is none either
            return (
                f'the confidence is {sighting.confidence:.2f}, below {options.min_confidence:.2f}'
            )
        if age is not None and not abs(age) <= options.max_age:
            return f'the skeleton is {age:.2f} s old when it arrives'
        if sighting.stamp is not None and before is not None and sighting.stamp <= before:
            return 'the stamps stand still or run backwards'
        return None

    def _moved(self, wrist: NDArray[np.float64] | None) -> float:
        if wrist is None or self._wrist is None:
            return 0.0
        return float(np.linalg.norm(wrist - self._wrist))
