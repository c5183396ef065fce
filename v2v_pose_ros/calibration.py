"""Covariances that mean what they say: what a model's heatmaps lack, measured and made good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUANTILE_90 = 6.251388631170325
"""Squared Mahalanobis distance within which 90 % of a 3D Gaussian lies (chi-square, 3 dof)."""

_SCALES = (1e-3, 1e3)
"""Factors beyond these are no measurement."""


@dataclass(frozen=True)
class Calibration:
    """How a model's covariances become those of its errors: scale * (covariance + floor^2 I).

    The spread of a heatmap knows what the network is in doubt about.  It does not know what the
    grid's voxels, the labels and the sensor add everywhere (the floor), nor how far the network is
    surer of a joint than it should be (its scale).

    Attributes:
        floor: metres, standard deviation along every axis that is always there.
        scales: [J] factors of the joints' variances.
    """

    floor: float
    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what no fit gives."""
        if not 0 <= self.floor < 1:
            raise ValueError(f'floor is {self.floor}; metres from 0 to 1 are meant')
        low, high = _SCALES
        for scale in self.scales:
            if not low <= scale <= high:
                raise ValueError(f'scales has {scale}; numbers from {low:g} to {high:g} are meant')

    def apply(self, covariances: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated covariances [..., J, 3, 3] in square metres."""
        scales = np.array(self.scales, np.float32)[:, None, None]
        widened: NDArray[np.float32] = scales * (covariances + _floor(self.floor))
        return widened


def fit_calibration(
    errors: NDArray[np.float64], covariances: NDArray[np.float64], floors: Sequence[float]
) -> Calibration:
    """Return the calibration with which 90 % of every joint's errors are in their 90 % regions.

    The scales follow from the floor; the floor is the one that serves joints that the network is
    sure of and joints that it is not sure of most equally.

    Args:
        errors: [N, J, 3] metres, joint found less joint true.
        covariances: [N, J, 3, 3] square metres as the heatmaps have them.
        floors: metres, those to choose from.
    """
    return min(
        (_with_floor(errors, covariances, floor) for floor in floors),
        key=lambda each: _unevenness(errors, covariances, each),
    )


def squared_distances(
    errors: NDArray[np.float64], covariances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return squared Mahalanobis distances [...] of errors [..., 3]."""
    solved = np.linalg.solve(covariances, errors[..., None])[..., 0]
    distances: NDArray[np.float64] = (errors * solved).sum(-1)
    return distances


def _with_floor(
    errors: NDArray[np.float64], covariances: NDArray[np.float64], floor: float
) -> Calibration:
    distances = squared_distances(errors, covariances + _floor(floor))
    scales = np.quantile(distances, 0.9, axis=0) / QUANTILE_90
    return Calibration(float(floor), tuple(round(float(scale), 4) for scale in scales))


def _unevenness(
    errors: NDArray[np.float64], covariances: NDArray[np.float64], calibration: Calibration
) -> float:
    """Return how coverage differs between fifths of the joints, from the surest on."""
    calibrated = calibration.apply(covariances.astype(np.float32)).astype(np.float64)
    inside = squared_distances(errors, calibrated) <= QUANTILE_90
    order = np.argsort(np.trace(covariances, axis1=-2, axis2=-1).ravel())
    fifths = np.array_split(inside.ravel()[order], 5)
    return float(np.std([fifth.mean() for fifth in fifths]))


def _floor(floor: float) -> NDArray[np.float32]:
    return np.float32(floor) ** 2 * np.eye(3, dtype=np.float32)
