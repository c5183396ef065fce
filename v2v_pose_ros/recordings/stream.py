"""The depth frames of a recording, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from v2v_pose_ros.camera import Camera, CameraError, DepthError, FloatArray
from v2v_pose_ros.recordings import RecordingError
from v2v_pose_ros.recordings.depth_messages import depth_of
from v2v_pose_ros.recordings.recording import RecordedMessage, Recording
from v2v_pose_ros.recordings.topics import Streams


@dataclass(frozen=True)
class Picture:
    """A depth image [H, W] in metres and its camera."""

    depth: FloatArray
    camera: Camera


@dataclass(frozen=True)
class RecordedFrame:
    """A message with a depth image.

    Attributes:
        time: when it was recorded, nanoseconds.
        stamp: when it was taken, nanoseconds; 0 where the driver gives no stamps.
        frame_id: the optical frame.
        picture: what it shows; None where it cannot be used.
        problem: why not.
    """

    time: int
    stamp: int
    frame_id: str
    picture: Picture | None
    problem: str = ''

    @property
    def seconds(self) -> float:
        """The stamp in seconds, the time of recording where there is none."""
        return (self.stamp or self.time) * 1e-9


def recorded_frames(
    recording: Recording, streams: Streams, *, rectified: bool = False, skip: int = 0
) -> Iterator[RecordedFrame]:
    """Yield the frames of a depth camera; only one is in memory at a time.

    Args:
        recording: an open recording.
        streams: the topics of the camera.
        rectified: the images belong to P of camera_info, not to K and D.
        skip: frames to leave away.
    """
    decoder = FrameDecoder(recording, streams, rectified)
    for message in recording.messages([streams.depth.name, streams.info.name]):
        decoder.see(message)
        if message.topic == streams.depth:
            if skip > 0:
                skip -= 1
            else:
                yield decoder.frame(message)


class FrameDecoder:
    """Makes frames of messages.

    An image belongs to the newest camera_info before it, the first images to the first one.
    """

    def __init__(self, recording: Recording, streams: Streams, rectified: bool = False) -> None:
        """Prepare for a depth camera; see `recorded_frames`."""
        self._recording, self._streams, self._rectified = recording, streams, rectified
        self._info = recording.first(streams.info.name)
        self._made: tuple[Any, Camera] | None = None

    def see(self, message: RecordedMessage) -> None:
        """Take note of a message if it is a camera_info."""
        if message.topic == self._streams.info:
            self._info = self._recording.decode(message)

    def frame(self, message: RecordedMessage) -> RecordedFrame:
        """Return the frame of a message with a depth image."""
        stamp, frame_id = 0, ''
        try:
            image = self._recording.decode(message)
            stamp, frame_id = nanoseconds(image.header.stamp), image.header.frame_id
            depth, camera = depth_of(image), self._camera()
            _check_size(depth, camera)
        except (DepthError, CameraError, RecordingError) as error:
            return RecordedFrame(message.time, stamp, frame_id, None, str(error))
        return RecordedFrame(message.time, stamp, frame_id, Picture(depth, camera))

    def _camera(self) -> Camera:
        """Return the camera, the same object as long as it does not change."""
        if self._made is None or self._made[0] is not self._info:
            camera = Camera.from_info(self._info, self._rectified)
            if self._made is not None and self._made[1] == camera:
                camera = self._made[1]  # what was computed from it stays
            self._made = (self._info, camera)
        return self._made[1]


def _check_size(depth: FloatArray, camera: Camera) -> None:
    height, width = depth.shape
    if (camera.width, camera.height) != (width, height):
        raise CameraError(
            f'the depth image is {width}x{height} and its camera_info describes '
            f'{camera.width}x{camera.height}: name the camera_info of this very image with '
            '--camera-info-topic'
        )


def nanoseconds(stamp: Any) -> int:
    """Return a builtin_interfaces/Time as a number."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
