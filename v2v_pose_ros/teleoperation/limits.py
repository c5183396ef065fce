"""Speed limits: a command goes towards its target, but never faster than it may."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.filters import smoothing_factor

Floats = NDArray[np.float64]


def approach(current: Floats, target: Floats, step: Floats | float) -> Floats:
    """Return the target, or a point on the way whose coordinates changed by at most a step."""
    return np.asarray(current + np.clip(target - current, -step, step))


@dataclass(frozen=True)
class WristLimits:
    """How fast a wrist may be commanded: metres and radians per second."""

    linear: float = 0.5
    angular: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what does not move."""
        if not (self.linear > 0 and self.angular > 0):
            raise ValueError(
                f'the speed limits are {self.linear} m/s and {self.angular} rad/s; positive '
                'numbers are meant'
            )


@dataclass(frozen=True)
class WristCommand:
    """Where a wrist is to be, and how it moves there.

    Attributes:
        position: [3] metres.
        rotation: [3, 3], its axes as columns.
        linear: [3] velocity, m/s.
        angular: [3] angular velocity, rad/s. Both are in the frame of the position.
    """

    position: Floats
    rotation: Floats
    linear: Floats
    angular: Floats

    def held(self) -> WristCommand:
        """Return the same place, at rest."""
        return WristCommand(self.position, self.rotation, np.zeros(3), np.zeros(3))


class WristFollower:
    """Follows a wrist no faster than the limits allow; its velocity is that of the commands."""

    def __init__(self, limits: WristLimits, cutoff: float = 5.0) -> None:
        """Start nowhere: the first target is taken over as it is.

        Args:
            limits: how fast it may be.
            cutoff: of the low-pass filter on the velocity, Hz.
        """
        self._limits, self._cutoff = limits, cutoff
        self._last: WristCommand | None = None

    def reset(self) -> None:
        """Be nowhere again."""
        self._last = None

    def start_at(self, position: Floats, rotation: Floats) -> None:
        """Start at rest from a position [3] and a rotation [3, 3]."""
        self._last = WristCommand(position, rotation, np.zeros(3), np.zeros(3))

    def rest(self) -> None:
        """Stand still where it is."""
        if self._last is not None:
            self._last = self._last.held()

    def __call__(self, position: Floats, rotation: Floats, period: float) -> WristCommand:
        """Return the next command, given where the wrist is and the seconds since the last one."""
        last = self._last
        if last is None:
            self._last = WristCommand(position, rotation, np.zeros(3), np.zeros(3))
            return self._last
        shift = _shortened(position - last.position, self._limits.linear * period)
        turn = Rotation.from_matrix(rotation @ last.rotation.T).as_rotvec()
        turn = _shortened(turn, self._limits.angular * period)
        weight = smoothing_factor(self._cutoff, period)
        turned = Rotation.from_rotvec(turn) * Rotation.from_matrix(last.rotation)
        self._last = WristCommand(
            last.position + shift,
            np.asarray(turned.as_matrix()),
            last.linear + weight * (shift / period - last.linear),
            last.angular + weight * (turn / period - last.angular),
        )
        return self._last


class JointFollower:
    """Follows joint positions within their limits and no faster than their velocities allow."""

    def __init__(self, lower: Floats, upper: Floats, speed: Floats) -> None:
        """Start nowhere.

        Args:
            lower: [J] least positions, rad or m.
            upper: [J] greatest positions.
            speed: [J] greatest velocities, per second; infinite for no limit.
        """
        if not (lower <= upper).all() or not (speed > 0).all():
            raise ValueError(
                'joint limits are impossible: each lower one must be at most the upper one, and '
                f'each velocity positive; they are {lower}, {upper} and {speed}'
            )
        self._lower, self._upper, self._speed = lower, upper, speed
        self.last: Floats | None = None

    def start_at(self, positions: Floats) -> None:
        """Start from where the joints are."""
        self.last = np.clip(positions, self._lower, self._upper)

    def __call__(self, target: Floats, period: float) -> Floats:
        """Return the next positions [J], given the target and the seconds since the last ones."""
        target = np.clip(target, self._lower, self._upper)
        if self.last is not None:
            target = approach(self.last, target, self._speed * period)
        self.last = target
        return target


def _shortened(vector: Floats, longest: float) -> Floats:
    length = math.hypot(*vector)
    return vector if length <= longest else vector * (longest / length)
