"""What several looks at one subject say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.estimator.reading import SkeletonEstimate

_LEAST = 1e-3  # weight of a joint that no look is sure of
_MARGIN = 0.05  # of the cube: at its faces, joints are drawn inwards


def fused(looks: Sequence[SkeletonEstimate]) -> SkeletonEstimate:
    """Average the joints of several cubes about one subject, by their squared confidences.

    Cubes in other places cut the same surface into other voxels, so that their errors differ.  A
    look whose cube does not reach to where the last look found a joint has no say in it.

    Args:
        looks: at least one, of one skeleton and side; the last stands for what is not averaged.

    Returns:
        Positions, confidences and covariances averaged, the rest from the last look.
    """
    last = looks[-1]
    confidences = np.stack([look.confidences for look in looks])
    weight = np.stack([_reaches(look, last.positions) for look in looks]) * confidences**2
    weight[-1] += _LEAST
    weight = weight / weight.sum(axis=0)
    positions = np.stack([look.positions for look in looks])
    covariances = np.stack([look.covariances for look in looks])
    return replace(
        last,
        positions=(weight[..., None] * positions).sum(axis=0, dtype=np.float32),
        confidences=(weight * confidences).sum(axis=0, dtype=np.float32),
        covariances=(weight[..., None, None] * covariances).sum(axis=0, dtype=np.float32),
    )


def _reaches(look: SkeletonEstimate, joints: FloatArray) -> FloatArray:
    """Return [J] 1 where a look's cube holds a joint [J, 3], 0 elsewhere."""
    distance = np.abs(joints - look.reference_point).max(axis=1)
    inside: FloatArray = (distance < (0.5 - _MARGIN) * look.cube_size).astype(np.float32)
    return inside
