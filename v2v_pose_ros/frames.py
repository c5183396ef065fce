"""Depth frames in files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from v2v_pose_ros.camera import Camera, DepthError, FloatArray


def read_depth_png(path: Path, camera: Camera | None = None) -> FloatArray:
    """Read a 16-bit PNG in millimetres.

    Args:
        path: the file.
        camera: refuse images of another size than this camera's.

    Returns:
        [H, W] metres, 0 = no measurement.

    Raises:
        DepthError: the file is missing, no image, or no 16-bit single-channel image.
    """
    if not path.is_file():
        raise DepthError(f'there is no file {path}')
    image = (
        cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if (path.stat().st_size)
        else None
    )
    if image is None:
        raise DepthError(f'{path} cannot be read as an image; a 16-bit PNG is expected')
    if image.dtype != np.uint16 or image.ndim != 2:
        raise DepthError(
            f'{path} has {image.ndim} dimensions of {image.dtype}; depth is one channel of 16 '
            'bits in millimetres: this looks like a colour or an 8-bit image'
        )
    if camera is not None and image.shape != (camera.height, camera.width):
        raise DepthError(
            f'{path} has {image.shape[1]} x {image.shape[0]} pixels; the camera has '
            f'{camera.width} x {camera.height}: give the calibration of this camera and mode'
        )
    return image.astype(np.float32) * np.float32(0.001)
