"""Covariances that mean what they say: what a model's heatmaps lack, measured and made good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import itertools

import numpy as np
from numpy.typing import NDArray

QUANTILE_90 = 6.251388631170325
"""Squared Mahalanobis distance within which 90 % of a 3D Gaussian lies (chi-square, 3 dof)."""

_SCALES = (1e-3, 1e3)
"""Factors beyond these are no measurement."""

_DOUBTS = np.arange(0.0, 4.1, 0.5)

_LEAST = 0.05  # confidences below it count as this one


@dataclass(frozen=True)
class Calibration:
    """How a model's covariances C become those of its errors: scale c^-doubt (C + floor^2 I).

    The spread of a heatmap knows what the network is in doubt about.  It does not know what the
    grid's voxels, the labels and the sensor add everywhere (the floor), how far the network is
    surer of a joint than it should be (its scale), nor that joints of a low confidence c are now
    and then somewhere else altogether (the doubt).

    Attributes:
        floor: metres, standard deviation along every axis that is always there.
        doubt: how fast variances grow as the confidence falls.
        scales: [J] factors of the joints' variances.
    """

    floor: float
    doubt: float
    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what no fit gives."""
        if not 0 <= self.floor < 1:
            raise ValueError(f'floor is {self.floor}; metres from 0 to 1 are meant')
        if not 0 <= self.doubt < 10:
            raise ValueError(f'doubt is {self.doubt}; an exponent from 0 to 10 is meant')
        low, high = _SCALES
        for scale in self.scales:
            if not low <= scale <= high:
                raise ValueError(f'scales has {scale}; numbers from {low:g} to {high:g} are meant')

    def apply(
        self, covariances: NDArray[np.floating], confidences: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return calibrated covariances [..., J, 3, 3] of joints of confidences [..., J]."""
        factors = np.array(self.scales) * confidences.clip(_LEAST) ** -self.doubt
        return np.asarray(factors[..., None, None] * _widened(covariances, self.floor), np.float32)


def fit_calibration(
    errors: NDArray[np.float64],
    covariances: NDArray[np.float64],
    confidences: NDArray[np.float64],
    floors: Sequence[float],
) -> Calibration:
    """Return the calibration with which 90 % of every joint's errors are in their 90 % regions.

    The scales follow from floor and doubt, which are those that serve joints that the network is
    sure of and joints that it is not sure of most equally.

    Args:
        errors: [N, J, 3] metres, joint found less joint true.
        covariances: [N, J, 3, 3] square metres as the heatmaps have them.
        confidences: [N, J].
        floors: metres, those to choose from.
    """
    tried = []
    for floor, doubt in itertools.product(floors, _DOUBTS):
        plain = Calibration(float(floor), float(doubt), (1.0,) * errors.shape[1])
        distances = squared_distances(errors, plain.apply(covariances, confidences))
        scales = np.quantile(distances, 0.9, axis=0) / QUANTILE_90
        tried.append((_unevenness(distances / scales, confidences), floor, doubt, scales))
    _, floor, doubt, scales = min(tried, key=lambda each: each[0])
    return Calibration(
        float(floor), float(doubt), tuple(round(float(scale), 4) for scale in scales)
    )


def squared_distances(
    errors: NDArray[np.floating], covariances: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return squared Mahalanobis distances [...] of errors [..., 3]."""
    errors = errors.astype(np.float64)
    solved = np.linalg.solve(covariances.astype(np.float64), errors[..., None])[..., 0]
    distances: NDArray[np.float64] = (errors * solved).sum(-1)
    return distances


def _unevenness(distances: NDArray[np.float64], confidences: NDArray[np.float64]) -> float:
    """Return how coverage differs between fifths of the joints, from the least sure on."""
    inside = (distances <= QUANTILE_90).ravel()[np.argsort(confidences.ravel())]
    return float(np.std([fifth.mean() for fifth in np.array_split(inside, 5)]))


def _widened(covariances: NDArray[np.floating], floor: float) -> NDArray[np.float64]:
    return np.asarray(covariances + floor**2 * np.eye(3), np.float64)
