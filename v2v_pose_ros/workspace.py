"""Parts of a depth image where a subject may be: a region of pixels, a box in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray


@dataclass(frozen=True)
class RigidTransform:
    """Takes coordinates from one frame to another: rotation [3, 3] and translation [3] in m."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @classmethod
    def identity(cls) -> RigidTransform:
        """Return the transform from a frame to itself."""
        return cls(np.eye(3), np.zeros(3))

    def apply(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points [..., 3] in the other frame."""
        moved: NDArray[np.float64] = points @ self.rotation.T + self.translation
        return moved


def keep_region(depth: FloatArray, left: int, top: int, width: int, height: int) -> FloatArray:
    """Return a depth image of which only a region of pixels is left; what lies outside is 0."""
    kept = np.zeros_like(depth)
    rows = slice(max(top, 0), max(top + height, 0))
    columns = slice(max(left, 0), max(left + width, 0))
    kept[rows, columns] = depth[rows, columns]
    return kept


def keep_box(
    depth: FloatArray,
    camera: Camera,
    transform: RigidTransform,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> FloatArray:
    """Return a depth image of which only the measurements in a box are left; others are 0.

    Args:
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera.
        transform: from the optical frame to the frame of the box.
        low: [3] the box's least coordinates in metres; infinite where there is no limit.
        high: [3] its greatest.
    """
    ray_x, ray_y = camera.rays
    inside = depth > 0
    for axis in range(3):
        if np.isneginf(low[axis]) and np.isposinf(high[axis]):
            continue
        x, y, z = transform.rotation[axis].astype(np.float32)
        offset = np.float32(transform.translation[axis])
        value = depth * (x * ray_x + y * ray_y + z) + offset
        inside &= (value >= low[axis]) & (value <= high[axis])
    return np.where(inside, depth, np.float32(0))
