"""Depth images and camera_info on their way from messages to arrays."""

from __future__ import annotations

from dataclasses import dataclass
import re
import threading
import time

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from v2v_pose_ros.camera import Camera, CameraError, decode_depth, DepthError

GRACE = 1.0
"""A camera_info may come this much (s) later than the image it belongs to."""


class InputProblem(ValueError):
    """An image cannot be used.

    ``kind`` is what its warnings are throttled by; ``grace`` (s) is how long the problem may last
    before it is one.
    """

    def __init__(self, kind: str, text: str, grace: float = 0.0) -> None:
        super().__init__(text)
        self.kind = kind
        self.grace = grace


@dataclass(frozen=True)
class Frame:
    """A depth image and when it arrived (steady clock, s)."""

    image: Image
    arrival: float


class NewestFrame:
    """A place for one frame: a newer one replaces it, and the inference thread waits for it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._taken: float | None = None  # when the frame in work was
        self._closed = False

    def put(self, frame: Frame) -> bool:
        """Store a frame and tell whether it replaced one that nobody had taken."""
        with self._condition:
            replaced = self._frame is not None
            self._frame = frame
            self._condition.notify_all()
            return replaced

    def take(self) -> Frame | None:
        """Say that the frame before is done and wait for the next one; None when closed."""
        with self._condition:
            self._taken = None
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._closed or self._frame is not None)
            frame, self._frame = self._frame, None
            if self._closed:
                return None
            self._taken = time.monotonic()
            return frame

    def busy(self, now: float) -> float:
        """Return for how long (s) the frame in work has been so, 0 without one."""
        with self._condition:
            return 0.0 if self._taken is None else now - self._taken

    def drain(self, timeout: float) -> bool:
        """Let go of the frame that waits; tell whether the one in work is done by then (s)."""
        with self._condition:
            self._frame = None
            return self._condition.wait_for(lambda: self._taken is None, timeout)

    def close(self) -> None:
        """Make ``take`` return None from now on."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class CameraSource:
    """The camera as the newest camera_info describes it.

    Calibrations hardly ever change, so the newest one serves for every image of its size; waiting
    for the one with the image's stamp would add latency and lose images of drivers whose stamps
    differ.
    """

    def __init__(self, rectified: bool) -> None:
        self._rectified = rectified
        self._info: CameraInfo | None = None
        self._camera: tuple[CameraInfo, Camera] | None = None

    def update(self, info: CameraInfo) -> None:
        """Take a new camera_info; it is read only when an image needs it."""
        self._info = info

    def camera_of(self, image: Image) -> Camera:
        """Return the camera of an image; raise InputProblem when there is none or it differs."""
        info = self._info
        if info is None:
            raise InputProblem(
                'camera_info',
                'no camera_info has arrived: the camera must publish it, and depth/camera_info '
                'must be remapped to it',
                GRACE,
            )
        if self._camera is None or self._camera[0] is not info:
            try:
                self._camera = (info, Camera.from_info(info, self._rectified))
            except CameraError as error:
                raise InputProblem(_cause(error), f'camera_info: {error}') from None
        camera = self._camera[1]
        if (camera.width, camera.height) != (image.width, image.height):
            raise InputProblem(
                'size',
                f'the depth image is {image.width}x{image.height} and its camera_info describes '
                f'{camera.width}x{camera.height}: remap depth/camera_info to the camera_info of '
                'this very image',
                GRACE,
            )
        return camera


def depth_of(image: Image) -> NDArray[np.float32]:
    """Return depth [H, W] in metres, 0 where nothing was measured; raise InputProblem."""
    try:
        return decode_depth(
            image.data,
            image.encoding,
            image.width,
            image.height,
            image.step,
            bool(image.is_bigendian),
        )
    except DepthError as error:
        raise InputProblem(_cause(error), f'depth image: {error}') from None


def _cause(error: Exception) -> str:
    """Return a problem's text without its values: warnings are throttled cause by cause."""
    return re.sub(r"'[^']*'|[-\d.]+|nan|inf", '#', str(error))


def stamp_of(image: Image) -> float | None:
    """Return the stamp in seconds, None when there is none."""
    stamp = image.header.stamp
    return stamp.sec + stamp.nanosec * 1e-9 if stamp.sec or stamp.nanosec else None
