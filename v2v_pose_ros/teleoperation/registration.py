"""Where a camera stands before a robot, from points that both know."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.workspace import RigidTransform

_LEAST_SPREAD = 0.03
"""Metres: points that are nearer to one line say too little of the turn about it."""


def register(seen: ArrayLike, known: ArrayLike) -> tuple[RigidTransform, NDArray[np.float64]]:
    """Return the transform that takes points from one frame to another, and what is left.

    The best one by least squares (Kabsch, Acta Crystallographica A32, 1976).

    Args:
        seen: [N, 3] metres in the frame to come from, such as the camera's.
        known: [N, 3] the same points in the other, such as the robot's base.

    Returns:
        The transform, and the distances [N] in metres that the points are off.

    Raises:
        ValueError: fewer than three points, not the same number, or all near one line.
    """
    here, there = np.asarray(seen, np.float64), np.asarray(known, np.float64)
    if here.shape != there.shape or here.ndim != 2 or here.shape[1] != 3 or len(here) < 3:
        raise ValueError(
            f'the points have the shapes {list(here.shape)} and {list(there.shape)}; three or '
            'more points, the same in both frames, are needed: [N, 3]'
        )
    for points in (here, there):
        spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[1]
        if spread / np.sqrt(len(points)) < _LEAST_SPREAD:
            raise ValueError(
                f'the points lie within {1e3 * _LEAST_SPREAD:.0f} mm of one line; take some that '
                'are farther beside it'
            )
    turn, _ = Rotation.align_vectors(there - there.mean(axis=0), here - here.mean(axis=0))
    rotation = turn.as_matrix()
    transform = RigidTransform(rotation, there.mean(axis=0) - rotation @ here.mean(axis=0))
    return transform, np.linalg.norm(transform.apply(here) - there, axis=1)
