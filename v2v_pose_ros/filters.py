"""Filters that steady joints from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.defaults import FILTER_BETA, FILTER_MIN_CUTOFF

FloatArray = NDArray[np.floating]

_UNSURE = 1.25
"""A joint whose standard deviation is more than so many times the median's is slowed down."""

_LEAST = 0.05
"""No joint's cutoff is less than this part of what it would be otherwise."""

_DOUBT = 0.3
"""Seconds in which a larger variance is forgotten: a joint that was unsure a moment ago is so
still, wherever the network sees it now."""

_NOTHING = 1e-12  # metres, or square metres


@dataclass(frozen=True)
class OneEuroOptions:
    """The parameters of the One Euro filter.

    Attributes:
        min_cutoff: cutoff frequency in Hz of a joint at rest; lower is steadier.
        beta: how much the cutoff rises with speed, Hz per m/s; higher follows faster.
        derivative_cutoff: cutoff frequency in Hz of the speed; the paper has 1.
    """

    min_cutoff: float = FILTER_MIN_CUTOFF
    beta: float = FILTER_BETA
    derivative_cutoff: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no filter."""
        for name in ('min_cutoff', 'derivative_cutoff'):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f'{name} is {value}; a positive frequency in Hz is meant')
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise ValueError(f'beta is {self.beta}; a number of at least 0 is meant')


class OneEuroFilter:
    """A low-pass filter whose cutoff rises with speed (Casiez, Roussel and Vogel, CHI 2012).

    A subject's joints have a motion in common, and each has one of its own.  Each has a cutoff, by
    its speed, and a joint's weight is that of the motion which made more of the way: a hand that
    is carried takes along its fingers, and one finger moves alone.  The common motion is free of
    most noise, as it is a mean.

    A joint that is, or was a moment ago, much less sure than the others, by its covariance, is
    slower on its own: its cutoff is as its inverse variance.  So a joint of which the network sees
    two likely places does not jump between them, and still goes where the others go.

    One cutoff serves all coordinates of a joint, so that turning the camera turns the result and
    nothing else.  What comes out lies between the measurement and the output before: nothing is
    predicted.
    """

    def __init__(self, options: OneEuroOptions | None = None, longest_gap: float = 0.5) -> None:
        """Start without a past.

        Args:
            options: the parameters; they may be changed between two frames.
            longest_gap: seconds between two frames after which the past does not count.
        """
        self.options, self.longest_gap = options or OneEuroOptions(), longest_gap
        self._past: _Past | None = None

    def reset(self) -> None:
        """Forget the past: the next measurement passes unchanged."""
        self._past = None

    def __call__(
        self, positions: FloatArray, stamp: float, covariances: FloatArray | None = None
    ) -> FloatArray:
        """Return filtered positions.

        Args:
            positions: [J, 3] metres.
            stamp: of the frame, in seconds; the past does not count when time ran backwards,
                stood still or jumped.
            covariances: [J, 3, 3] square metres; without them, or with some that are not
                finite, all joints are equally sure.

        Returns:
            [J, 3] of the same type.
        """
        past = self._past
        if past is None or not 0 < stamp - past.stamp <= self.longest_gap:
            nothing, variance = np.zeros_like(positions), _variance(covariances, len(positions))
            self._past = _Past(stamp, positions, positions, nothing[0], nothing, variance)
            return positions
        period = stamp - past.stamp
        variance = np.maximum(
            _variance(covariances, len(positions)), past.variance * math.exp(-period / _DOUBT)
        )
        trust = np.clip(_UNSURE**2 * np.median(variance) / variance, _LEAST, 1.0)
        step, own_step = _common_and_own(positions - past.measured, trust)
        change = smoothing_factor(self.options.derivative_cutoff, period)
        velocity = past.velocity + change * (step / period - past.velocity)
        own_velocity = past.own_velocity + change * (own_step / period - past.own_velocity)
        way, own_way = map(_length, _common_and_own(positions - past.filtered, trust))
        weight = self._weight(_length(velocity), np.ones(1), period)
        own_weight = self._weight(trust * _length(own_velocity), trust, period)
        weights = (weight * way + own_weight * own_way) / np.maximum(way + own_way, _NOTHING)
        filtered = past.filtered + weights * (positions - past.filtered)
        filtered = filtered.astype(positions.dtype)
        self._past = _Past(stamp, positions, filtered, velocity, own_velocity, variance)
        return filtered

    def _weight(self, speed: FloatArray, trust: FloatArray, period: float) -> FloatArray:
        """Return the weights of new positions, [J, 1] or [1], for speeds in m/s."""
        cutoff = self.options.min_cutoff + self.options.beta * speed
        return smoothing_factor(trust * cutoff, period)


@dataclass(frozen=True)
class _Past:
    """The frame before; speeds are those of the measurements, which lag behind nothing.

    Attributes:
        stamp: seconds.
        measured: [J, 3] metres.
        filtered: [J, 3].
        velocity: [3] m/s, of the common motion.
        own_velocity: [J, 3], of each joint beside that.
        variance: [J, 1] square metres, the largest of late.
    """

    stamp: float
    measured: FloatArray
    filtered: FloatArray
    velocity: FloatArray
    own_velocity: FloatArray
    variance: FloatArray


def _variance(covariances: FloatArray | None, joints: int) -> FloatArray:
    """Return each joint's variance [J, 1]; the same of all where some are not known."""
    if covariances is None or not np.isfinite(covariances).all():
        return np.full((joints, 1), _NOTHING)
    return np.maximum(np.trace(covariances, axis1=-2, axis2=-1)[:, None], _NOTHING)


def _common_and_own(ways: FloatArray, trust: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean [3] of ways [J, 3], by the joints' trust, and each without it [J, 3]."""
    common = (trust * ways).sum(axis=0) / trust.sum()
    return common, ways - common


def _length(vectors: FloatArray) -> FloatArray:
    return np.linalg.norm(vectors, axis=-1, keepdims=True)


def smoothing_factor(cutoff: float | FloatArray, period: float) -> FloatArray:
    """Return the weight of a new value in a first-order low-pass filter (equations 3 and 5).

    Args:
        cutoff: frequency in Hz.
        period: seconds since the value before.
    """
    return np.asarray(1 / (1 + 1 / (2 * math.pi * np.asarray(cutoff) * period)))
