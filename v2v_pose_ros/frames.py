"""Depth frames in files: PNG, NPZ, and folders of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import dataclass
from pathlib import Path
import zipfile

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, CameraError, DepthError, FloatArray

CAMERA_FILE = 'camera.yaml'
"""The calibration of the frames of a folder, as `v2v-pose synth` and camera_calibration write."""

_SUFFIXES = ('.png', '.npz')


@dataclass(frozen=True)
class DepthFrame:
    """A depth image, what took it, and where it comes from.

    Attributes:
        name: of the file, and where in it.
        depth: [H, W] metres, 0 = no measurement; None where it cannot be used.
        camera: the camera of the image.
        stamp: when it was taken, seconds; None where nobody knows.
        problem: why it cannot be used.
    """

    name: str
    depth: FloatArray | None
    camera: Camera | None
    stamp: float | None = None
    problem: str = ''


def frame_files(paths: Sequence[Path]) -> list[Path]:
    """Return files, and those in folders in the order of their names.

    Raises:
        DepthError: a folder holds no PNG and no NPZ.
    """
    files: list[Path] = []
    for path in paths:
        found = files_in(path) if path.is_dir() else [path]
        if not found:
            raise DepthError(f'{path} holds neither PNG nor NPZ files nor recordings')
        files += found
    return files


def files_in(folder: Path) -> list[Path]:
    """Return the PNG and NPZ files of a folder in the order of their names."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)


def read_frames(files: Sequence[Path], camera: Camera | None = None) -> Iterator[DepthFrame]:
    """Yield the frames of PNG and NPZ files.

    Args:
        files: see `frame_files`.
        camera: their camera; by default that of an NPZ file or of camera.yaml beside the file.

    Raises:
        DepthError: a file is missing or holds no depth.
        CameraError: no camera is known.
    """
    beside: dict[Path, Camera] = {}
    for file in files:
        if not file.exists():
            raise DepthError(
                f'there is no file {file}; a PNG, an NPZ, a recording or a folder of them is '
                'expected there'
            )
        if file.suffix.lower() == '.npz':
            yield from read_npz(file, camera)
            continue
        found = camera
        if found is None:
            if file.parent not in beside:
                beside[file.parent] = _camera_beside(file)
            found = beside[file.parent]
        yield DepthFrame(str(file), read_depth_png(file, found), found)


def _camera_beside(file: Path) -> Camera:
    path = file.parent / CAMERA_FILE
    if not path.is_file():
        raise CameraError(
            f'the camera of {file} is not known: give its calibration with --camera, or put it '
            f'beside the frames as {CAMERA_FILE}'
        )
    return Camera.from_yaml(path)


def read_npz(path: Path, camera: Camera | None = None) -> Iterator[DepthFrame]:
    """Yield the frames of an NPZ file; it is read as a whole.

    Its arrays: ``depth`` [H, W] or [N, H, W], whole numbers in millimetres or floating-point
    numbers in metres, 0, NaN and infinity being no measurement; ``stamps`` [N] in seconds, if they
    are known; ``camera_matrix`` [3, 3], if no camera is given, with ``distortion`` and
    ``distortion_model`` where the lens has one.

    Raises:
        DepthError: the arrays are not these.
        CameraError: there is no camera, or it has another size.
    """
    arrays = _load_npz(path)
    if 'depth' not in arrays:
        raise DepthError(
            f'{path} has the arrays {", ".join(arrays) or "none"}; one called depth is expected'
        )
    depth = arrays['depth']
    if depth.ndim not in (2, 3) or depth.dtype.kind not in 'uif' or not depth.size:
        raise DepthError(
            f'{path}: depth is {depth.dtype} of shape {list(depth.shape)}; numbers of shape '
            '[H, W] or [N, H, W] are expected'
        )
    images = depth.reshape(-1, *depth.shape[-2:])
    stamps = _stamps(path, arrays.get('stamps'), len(images))
    known = camera or _npz_camera(path, arrays, images.shape[1:])
    if images.shape[1:] != (known.height, known.width):
        raise CameraError(
            f'{path}: depth has {images.shape[2]} x {images.shape[1]} pixels and its camera '
            f'{known.width} x {known.height}'
        )
    for number, image in enumerate(images):
        name = str(path) if depth.ndim == 2 else f'{path}[{number}]'
        yield DepthFrame(name, _metres(image), known, stamps[number])


def _load_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    read_bytes(path, 'an NPZ file')
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DepthError(f'{path} cannot be read as an NPZ file: {error}') from error


def _stamps(
    path: Path, stamps: NDArray[np.generic] | None, count: int
) -> list[float] | list[None]:
    if stamps is None:
        return [None] * count
    values = np.atleast_1d(stamps)
    if values.shape != (count,) or values.dtype.kind not in 'uif':
        raise DepthError(
            f'{path}: stamps is {values.dtype} of shape {list(values.shape)}; {count} numbers, '
            'seconds, are expected'
        )
    return values.astype(np.float64).tolist()


def _npz_camera(
    path: Path, arrays: dict[str, NDArray[np.generic]], shape: tuple[int, ...]
) -> Camera:
    if 'camera_matrix' not in arrays:
        raise CameraError(
            f'{path} has no camera_matrix, so its camera is not known: give --camera'
        )
    try:
        return Camera.from_calibration(
            width=shape[1],
            height=shape[0],
            k=arrays['camera_matrix'].astype(np.float64).ravel().tolist(),
            d=arrays.get('distortion', np.zeros(0)).astype(np.float64).ravel().tolist(),
            distortion_model=str(arrays.get('distortion_model', np.array(''))),
        )
    except ValueError as error:
        raise CameraError(f'{path}: {error}') from error


def _metres(image: NDArray[np.generic]) -> FloatArray:
    """Return depth in metres, 0 where nothing was measured."""
    if image.dtype.kind != 'f':
        return image.astype(np.float32).clip(0) * np.float32(0.001)
    depth = image.astype(np.float32)
    depth[~((depth > 0) & (depth < np.inf))] = 0
    return depth


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
    image = decode_image(raw)
    if image is None:
        raise DepthError(f'{path} cannot be read as an image; {what} is expected')
    return image


def decode_image(data: NDArray[np.uint8]) -> NDArray[np.generic] | None:
    """Decode an image [H, W] or [H, W, C] as it is; None where the bytes are none."""
    with contextlib.suppress(cv2.error):  # it raises where there is nothing or too much
        return cv2.imdecode(np.ascontiguousarray(data), cv2.IMREAD_UNCHANGED)
    return None


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
