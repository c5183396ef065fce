"""Depth frames in files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

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
    image = read_image(path, 'a 16-bit depth PNG')
    size = f', {camera.width} x {camera.height} pixels,' if camera is not None else ''
    problem = (
        f'{path} holds {describe(image)}; one channel of 16 bits (millimetres){size} is expected'
    )
    if image.dtype != np.uint16 or image.ndim != 2:
        raise DepthError(problem)
    if camera is not None and image.shape != (camera.height, camera.width):
        raise DepthError(
            f'{problem}: the image or the calibration is that of another camera or mode'
        )
    return image.astype(np.float32) * np.float32(0.001)


def read_image(path: Path, what: str) -> NDArray[np.generic]:
    """Decode an image [H, W] or [H, W, C] as it is; raise DepthError saying what is expected."""
    raw = read_bytes(path, what)
    image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
    if image is None:
        raise DepthError(f'{path} cannot be read as an image; {what} is expected')
    return image


def read_bytes(path: Path, what: str) -> NDArray[np.uint8]:
    """Read a file; raise DepthError saying what is expected."""
    try:
        return np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise DepthError(f'there is no file {path}; {what} is expected there') from None
    except OSError as error:
        raise DepthError(f'{path} cannot be read: {error}') from error


def describe(image: NDArray[np.generic]) -> str:
    """Say in words what an image is."""
    channels = image.shape[2] if image.ndim == 3 else 1
    bits = 8 * image.dtype.itemsize
    return (
        f'{channels} channel{"s" * (channels > 1)} of {bits} bits, '
        f'{image.shape[1]} x {image.shape[0]} pixels'
    )
