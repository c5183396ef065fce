"""Filters that steady joints from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.defaults import FILTER_BETA, FILTER_MIN_CUTOFF

FloatArray = NDArray[np.floating]


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

    def __call__(self, positions: FloatArray, stamp: float) -> FloatArray:
        """Return filtered positions.

        Args:
            positions: [J, 3] metres.
            stamp: of the frame, in seconds; the past does not count when time ran backwards,
                stood still or jumped.

        Returns:
            [J, 3] of the same type.
        """
        past, options = self._past, self.options
        if past is None or not 0 < stamp - past.stamp <= self.longest_gap:
            self._past = _Past(stamp, positions, positions, np.zeros_like(positions))
            return positions
        period = stamp - past.stamp
        velocity = past.velocity + smoothing_factor(options.derivative_cutoff, period) * (
            (positions - past.measured) / period - past.velocity
        )
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
        weight = smoothing_factor(options.min_cutoff + options.beta * speed, period)
        filtered = past.filtered + weight * (positions - past.filtered)
        filtered = filtered.astype(positions.dtype)
        self._past = _Past(stamp, positions, filtered, velocity)
        return filtered


@dataclass(frozen=True)
class _Past:
    """The frame before; the speed is that of the measurements, which lag behind nothing."""

    stamp: float
    measured: FloatArray
    filtered: FloatArray
    velocity: FloatArray


def smoothing_factor(cutoff: float | FloatArray, period: float) -> FloatArray:
    """Return the weight of a new value in a first-order low-pass filter (equations 3 and 5).

    Args:
        cutoff: frequency in Hz.
        period: seconds since the value before.
    """
    return np.asarray(1 / (1 + 1 / (2 * math.pi * np.asarray(cutoff) * period)))
