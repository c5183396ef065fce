"""Depth images in messages: plain ones and those of image_transport's compressedDepth."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import decode_depth, DepthError, FloatArray
from v2v_pose_ros.frames import decode_image

_CONFIG_BYTES = 12  # of compressedDepth: a format and two parameters of inverse depth
_MOST_PIXELS = 16384 * 16384


def depth_of(message: Any) -> FloatArray:
    """Return the depth [H, W] in metres of a sensor_msgs/Image or CompressedImage.

    0 where nothing was measured.

    Raises:
        DepthError: the message holds no depth that can be read.
    """
    if hasattr(message, 'encoding'):
        return decode_depth(
            message.data,
            message.encoding,
            message.width,
            message.height,
            message.step,
            bool(message.is_bigendian),
        )
    return decode_compressed(message.format, np.asarray(message.data, np.uint8))


def compression_of(text: str) -> str:
    """Say what a CompressedImage's format means: 'compressedDepth', 'png16' or 'other'."""
    if 'compressedDepth' in text:
        return 'compressedDepth'
    return 'png16' if re.match(r'(16UC1|mono16)\b.*png', text) else 'other'


def decode_compressed(text: str, data: NDArray[np.uint8]) -> FloatArray:
    """Decode a CompressedImage of depth, as compressed_depth_image_transport writes it.

    Args:
        text: the message's format, such as '16UC1; compressedDepth png'.
        data: its bytes.

    Returns:
        [H, W] metres, 0 = no measurement.

    Raises:
        DepthError: another compression, or damaged data.
    """
    kind = compression_of(text)
    if kind == 'other':
        raise DepthError(
            f'the image has the format {text!r}; compressedDepth (PNG or RVL) or a 16-bit PNG is '
            'expected: depth does not survive other compressions'
        )
    if kind == 'png16':
        return _metres(_decode_png(data))
    if data.size <= _CONFIG_BYTES:
        raise DepthError(f'the compressedDepth image has {data.size} bytes; it was cut')
    body = data[_CONFIG_BYTES:]
    raw = _decode_rvl_image(body) if text.rstrip().endswith('rvl') else _decode_png(body)
    if not text.startswith('32FC1'):
        return _metres(raw)
    # Inverse depth in 16 bits; 0 is no measurement.
    scale, shift = np.frombuffer(data[4:_CONFIG_BYTES].tobytes(), '<f4')
    inverse = raw.astype(np.float32) - shift
    usable = (raw > 0) & (inverse > 0)
    depth: FloatArray = np.where(usable, scale / np.where(usable, inverse, 1), 0)
    return depth.astype(np.float32)


def _metres(raw: NDArray[np.uint16]) -> FloatArray:
    return raw.astype(np.float32) * np.float32(0.001)


def _decode_png(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    image = decode_image(data)
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise DepthError(
            'the compressed depth image is no PNG with one channel of 16 bits; it was cut, or '
            'holds something else'
        )
    return np.asarray(image, np.uint16)


def _decode_rvl_image(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    if data.size < 8:
        raise DepthError(f'the RVL image has {data.size} bytes; it was cut')
    columns, rows = (int(value) for value in np.frombuffer(data[:8].tobytes(), '<u4'))
    if not 0 < columns * rows <= _MOST_PIXELS:
        raise DepthError(f'the RVL image measures {columns} x {rows} pixels; it is damaged')
    return decode_rvl(data[8:], columns * rows).reshape(rows, columns)


def decode_rvl(data: NDArray[np.uint8], count: int) -> NDArray[np.uint16]:
    """Decode the RVL compression of depth (Wilson, Fast Lossless Depth Image Compression, 2017).

    Args:
        data: 32-bit words, little-endian, of nibbles.
        count: pixels that come out.

    Raises:
        DepthError: the data ends too early or holds more pixels.
    """
    values = _variable_length_values(data)
    starts, sizes, pixels = _runs(values, count)
    total = sum(sizes)
    if not total:
        return np.zeros(count, np.uint16)
    takes = np.concatenate([np.arange(a, a + n) for a, n in zip(starts, sizes, strict=True)])
    places = np.concatenate([np.arange(p, p + n) for p, n in zip(pixels, sizes, strict=True)])
    folded = values[takes]
    image = np.zeros(count, np.uint16)
    # Differences to the measurement before, sign in the lowest bit.
    image[places] = np.cumsum((folded >> 1) ^ -(folded & 1)).astype(np.uint16)
    return image


def _runs(values: NDArray[np.int64], count: int) -> tuple[list[int], list[int], list[int]]:
    """Return where runs of measurements are: in the values, their lengths, in the image."""
    starts, sizes, pixels = [], [], []
    place = pixel = 0
    while pixel < count:
        if place + 2 > len(values):
            raise DepthError('the RVL image was cut')
        zeros, size = int(values[place]), int(values[place + 1])
        place, pixel = place + 2, pixel + zeros
        if pixel + size > count or place + size > len(values) or not zeros + size:
            raise DepthError('the RVL image was cut or is damaged')
        if size:
            starts.append(place)
            sizes.append(size)
            pixels.append(pixel)
        place, pixel = place + size, pixel + size
    return starts, sizes, pixels


def _variable_length_values(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the numbers in nibbles: three bits each, the lowest first, and a bit to go on."""
    words = np.frombuffer(data[: data.size // 4 * 4].tobytes(), '<u4')
    nibbles = (words[:, None] >> np.arange(28, -1, -4, dtype=np.uint32) & 15).ravel()
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    nibbles = nibbles[: ends[-1] + 1]
    order = np.arange(len(nibbles)) - np.repeat(starts, ends - starts + 1)
    parts = (nibbles & 7).astype(np.int64) << (3 * order.clip(0, 20))
    return np.add.reduceat(parts, starts)
