"""Depth images thinned to what a search needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.localization.options import LocalizerOptions

_COLUMNS = 160  # about this width


@dataclass(frozen=True)
class ThinnedImage:
    """Every n-th pixel of a depth image.

    Attributes:
        z: [h, w] depth in metres.
        valid: [h, w] which of them are measurements in the range that counts.
        points: [h, w, 3] metres, optical frame.
        area: [h, w] square metres that a pixel covers, seen from the camera.
    """

    z: FloatArray
    valid: NDArray[np.bool_]
    points: FloatArray
    area: FloatArray


def thin(depth: FloatArray, camera: Camera, options: LocalizerOptions) -> ThinnedImage:
    """Thin a depth image [H, W] in metres, 0 = no measurement."""
    stride = max(1, round(camera.width / _COLUMNS))
    half = stride // 2
    rows, columns = np.mgrid[half : camera.height : stride, half : camera.width : stride]
    z = depth[rows, columns]
    near, far = options.depth_range
    valid = (z >= near) & (z <= far)
    points = camera.points_at(depth, rows.ravel(), columns.ravel()).reshape(*z.shape, 3)
    area = np.where(valid, z * z, 0) * np.float32(stride * stride / (camera.fx * camera.fy))
    return ThinnedImage(z, valid, points, area)
