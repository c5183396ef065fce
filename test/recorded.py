"""Recordings of a synthetic depth camera, and an estimator without a network, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import time

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import get_typestore, Stores

from v2v_pose_ros.estimator import Estimate, SkeletonEstimate
from v2v_pose_ros.recordings.types import TYPES
from v2v_pose_ros.skeletons import HAND

DEPTH, INFO = '/camera/depth/image_rect_raw', '/camera/depth/camera_info'
WIDTH, HEIGHT = 64, 48
START, PERIOD = 1_700_000_000_000_000_000, 33_333_333
FRAME_ID = 'camera_depth_optical_frame'
DELAY = 5_000_000  # from the stamp to the recording


def depth_image(number: int, empty: bool = False) -> np.ndarray:
    """Return [48, 64] millimetres: a patch that wanders, or nothing."""
    depth = np.zeros((HEIGHT, WIDTH), np.uint16)
    if not empty:
        left = 10 + number % 20
        depth[10:30, left : left + 20] = 500 + number % 50
    return depth


class Types:
    """Makes messages of a typestore."""

    def __init__(self, store=TYPES, ros1: bool = False) -> None:
        """Take a typestore of ROS 2 or ROS 1."""
        self.store, self.ros1 = store, ros1

    def make(self, name: str, *fields):
        """Return a message."""
        return self.store.types[name.replace('/', '/msg/')](*fields)

    def header(self, stamp: int):
        """Return a header."""
        time_of = self.make('builtin_interfaces/Time', *divmod(stamp, 1_000_000_000))
        number = (0,) if self.ros1 else ()
        return self.make('std_msgs/Header', *number, time_of, FRAME_ID)

    def image(self, stamp: int, depth: np.ndarray, encoding: str = '16UC1'):
        """Return an image of depth in its own unit."""
        data = np.ascontiguousarray(depth).view(np.uint8).ravel()
        height, width = depth.shape
        step = width * depth.itemsize
        return self.make(
            'sensor_msgs/Image', self.header(stamp), height, width, encoding, 0, step, data
        )

    def info(self, stamp: int, width: int = WIDTH, height: int = HEIGHT):
        """Return a camera_info."""
        k = np.array([60, 0, 31.5, 0, 60, 23.5, 0, 0, 1], np.float64)
        p = np.array([60, 0, 31.5, 0, 0, 60, 23.5, 0, 0, 0, 1, 0], np.float64)
        roi = self.make('sensor_msgs/RegionOfInterest', 0, 0, 0, 0, False)
        return self.make(
            'sensor_msgs/CameraInfo',
            self.header(stamp),
            height,
            width,
            'plumb_bob',
            np.zeros(5),
            k,
            np.eye(3).ravel(),
            p,
            0,
            0,
            roi,
        )

    def compressed(self, stamp: int, text: str, data: bytes):
        """Return a compressed image."""
        return self.make(
            'sensor_msgs/CompressedImage',
            self.header(stamp),
            text,
            np.frombuffer(data, np.uint8),
        )


def usual_messages(types: Types, frames: int, empty: tuple[int, ...] = ()):
    """Yield topic, type, time and message of an ordinary recording."""
    for number in range(frames):
        stamp = START + number * PERIOD
        image = types.image(stamp, depth_image(number, number in empty))
        yield INFO, 'sensor_msgs/msg/CameraInfo', stamp + DELAY - 1, types.info(stamp)
        yield DEPTH, 'sensor_msgs/msg/Image', stamp + DELAY, image
        text = types.make('std_msgs/String', f'number {number}')
        yield '/chatter', 'std_msgs/msg/String', stamp + DELAY + 1, text


def write_recording(path: Path, messages, storage: str = 'mcap', compression: str = '') -> Path:
    """Write a rosbag2 recording of topic, type, time and message."""
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    writer = Writer(path, version=9, storage_plugin=plugin)
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, when, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connections[topic], when, TYPES.serialize_cdr(message, kind))
    return path


def write_ros1_bag(path: Path, frames: int) -> Path:
    """Write an ordinary recording as a bag of ROS 1."""
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(path) as writer:
        connections = {}
        for topic, kind, when, message in usual_messages(Types(store, ros1=True), frames):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], when, store.serialize_ros1(message, kind))
    return path


@dataclass(frozen=True)
class FakeSource:
    """Makes a FakeEstimator, in any process.

    Attributes:
        pause: seconds that a frame takes.
        device: as the settings of the real one have it.
    """

    pause: float = 0.0
    device: str = 'cpu'

    def load(self):
        """Return the estimator."""
        return FakeEstimator(self.pause)

    def identity(self):
        """Say what it is."""
        return {'models': ['fake']}

    def on(self, device):
        """Return the same: it needs no device."""
        return self


class FakeEstimator:
    """Puts a stiff hand where the measurements are, or where it is told that they are.

    What it returns depends on where it is told to look, so that a tracker that has forgotten
    something shows.
    """

    skeleton = HAND
    cube_size = 0.25
    handedness = 'right'

    def __init__(self, pause: float = 0.0) -> None:
        """Remember how long a frame takes."""
        self.pause = pause
        self.frames = 0

    def __call__(self, depth, camera, reference=None, passes=None, handedness=None, thorough=True):
        """Return one hand, or none where there are no measurements."""
        self.frames += 1
        time.sleep(self.pause)
        points = camera.points(depth)
        if not len(points):
            return Estimate((), {})
        centre = points.mean(axis=0)
        if reference is not None:
            centre = 0.9 * centre + 0.1 * np.asarray(reference, np.float32)
        offsets = np.random.default_rng(0).normal(scale=0.03, size=(len(HAND), 3))
        hand = SkeletonEstimate(
            skeleton=HAND,
            positions=(centre + offsets).astype(np.float32),
            confidences=np.full(len(HAND), 0.9, np.float32),
            covariances=np.tile(np.eye(3, dtype=np.float32) * 4e-6, (len(HAND), 1, 1)),
            reference_point=centre.astype(np.float32),
            cube_size=0.25,
            points=points,
            handedness='right',
        )
        return Estimate((hand,), {'network': 0.001})

    def without(self, depth, camera, others, own=None):
        """Return the image: nobody else is in it."""
        return depth

    def glance(self, depth, camera, refused):
        """See nobody else."""
        return Estimate((), {}), None
