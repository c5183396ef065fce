"""Depth images as the datasets store them: metres, float32, 0 for no measurement, come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from v2v_pose_ros.camera import DepthError, FloatArray
from v2v_pose_ros.frames import describe, read_bytes, read_image

_MM = np.float32(0.001)


def _metres(millimetres: FloatArray) -> FloatArray:
    depth = millimetres * _MM
    depth[~((depth > 0) & (depth < np.inf))] = 0
    return depth


def read_bin(path: Path, width: int, height: int) -> FloatArray:
    """Read a .bin file of the authors: little-endian float32 millimetres, rows, no header.

    Raises:
        DepthError: there is no file, or its size is not that of width x height pixels.
    """
    what = f'a depth image of {width} x {height} float32 millimetres'
    raw = read_bytes(path, what)
    if raw.size != 4 * width * height:
        raise DepthError(
            f'{path} has {raw.size} bytes; {what} has {4 * width * height}: the file is damaged '
            'or from another dataset'
        )
    return _metres(raw.view('<f4').reshape(height, width))


def write_bin(path: Path, depth: FloatArray) -> None:
    """Write metres [H, W] as the authors' PNG2BIN.m does, in whole millimetres."""
    np.rint(depth / np.float64(_MM)).astype('<f4').tofile(path)


def read_nyu_png(path: Path, width: int, height: int) -> FloatArray:
    """Read a PNG of NYU, millimetres: the high byte is green, the low one blue.

    Raises:
        DepthError: there is no file, or it is no colour image of 8 bits of this size.
    """
    image = read_image(path, 'a depth PNG of NYU')
    if image.dtype != np.uint8 or image.shape != (height, width, 3):
        raise DepthError(
            f'{path} holds {describe(image)}; three channels of 8 bits, {width} x {height} '
            'pixels, are expected'
        )
    blue, green = image[..., 0].astype(np.uint16), image[..., 1].astype(np.uint16)
    return _metres((green << 8 | blue).astype(np.float32))


def read_msra_bin(path: Path, width: int, height: int) -> FloatArray:
    """Read a .bin file of MSRA: a header and the crop around the hand, float32 millimetres.

    The header is six int32: width, height, left, top, right, bottom of the crop, right and bottom
    exclusive.  The crop goes where the header says, 0-based; the authors' Lua code pastes it one
    pixel further up and left.

    Raises:
        DepthError: there is no file, or header and size do not fit each other.
    """
    what = f'a depth image of MSRA, {width} x {height} pixels'
    raw = read_bytes(path, what)
    if raw.size < 24:
        raise DepthError(f'{path} has {raw.size} bytes; {what}, begins with a header of 24')
    columns, rows, left, top, right, bottom = (int(value) for value in raw[:24].view('<i4'))
    inside = 0 <= left <= right <= width and 0 <= top <= bottom <= height
    if (columns, rows) != (width, height) or not inside:
        raise DepthError(
            f'{path} has the header width {columns}, height {rows}, left {left}, top {top}, '
            f'right {right}, bottom {bottom}; a crop of {width} x {height} pixels is expected'
        )
    size = 24 + 4 * (bottom - top) * (right - left)
    if raw.size != size:
        raise DepthError(
            f'{path} has {raw.size} bytes; its header promises a crop of {right - left} x '
            f'{bottom - top} pixels, {size} bytes: the file is damaged'
        )
    depth = np.zeros((height, width), np.float32)
    crop = raw[24:].view('<f4').reshape(bottom - top, right - left)
    depth[top:bottom, left:right] = _metres(crop)
    return depth
