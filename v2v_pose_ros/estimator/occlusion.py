"""Which joints the camera does not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import FloatArray

_BEFORE = 0.1
"""Of the cube: a surface so far before a joint is not the joint's own: 25 mm for a hand."""

_ASIDE = 0.06
"""Of the cube: where nothing was measured so near to the ray of a joint, nothing is seen of it."""

_POINTS = 4000  # measurements are thinned to about so many, a few millimetres apart on a hand
_NEIGHBOURS = 5


def occluded_joints(
    positions: FloatArray, points: FloatArray, cube_size: float
) -> NDArray[np.bool_]:
    """Return which joints [J] are hidden behind something, or where nothing was measured.

    Args:
        positions: [J, 3] metres, optical frame.
        points: [N, 3] metres, all that was measured in the cube.
        cube_size: its edge in metres.
    """
    points = points[:: max(1, len(points) // _POINTS)]
    if len(points) < _NEIGHBOURS:
        return np.ones(len(positions), bool)
    depth = positions[:, 2:].clip(0.01)
    rays = points[:, :2] / points[:, 2:]
    joints = positions[:, :2] / depth
    aside = ((rays - joints[:, None]) ** 2).sum(-1)  # [J, N]
    nearest = np.argpartition(aside, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    before = positions[:, 2] - np.median(points[nearest, 2], axis=1)
    unseen = np.sqrt(aside.min(axis=1)) * depth[:, 0] > _ASIDE * cube_size
    hidden: NDArray[np.bool_] = (before > _BEFORE * cube_size) | unseen
    return hidden
