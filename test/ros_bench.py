"""A pose node between a camera and a listener, over DDS: what tests of the node stand on."""

from __future__ import annotations

from array import array
from collections.abc import Callable
import queue
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray
import numpy as np
from rcl_interfaces.msg import Log
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.node import PoseNode

PATIENCE = 20.0  # s, for anything that takes milliseconds on an idle machine
FRAME = 'camera_depth_optical_frame'
WIDTH, HEIGHT = 64, 48

TOPICS = {
    'skeletons': (SkeletonArray, '/v2v_pose/skeletons'),
    'poses': (PoseArray, '/v2v_pose/poses'),
    'markers': (MarkerArray, '/v2v_pose/markers'),
    'points': (PointCloud2, '/v2v_pose/points'),
    'overlay': (Image, '/v2v_pose/overlay'),
    'tf': (TFMessage, '/tf'),
    'diagnostics': (DiagnosticArray, '/diagnostics'),
    'log': (Log, '/rosout'),
}

# What is said once may be said before the listener is known to those who say it.
LOG = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def wait_until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition that nobody announces, such as the discovery of a publisher."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f'waited in vain for {what}'
        time.sleep(0.002)


def depth_image(stamp: float | None = None, **changes: object) -> Image:
    """Return a 16UC1 image of a square, 0.5 m away, that the fake estimator takes for a hand."""
    depth = np.zeros((HEIGHT, WIDTH), '<u2')
    depth[16:32, 24:40] = 500
    image = Image(width=WIDTH, height=HEIGHT, encoding='16UC1', step=2 * WIDTH, is_bigendian=0)
    image.data = array('B', depth.tobytes())
    image.header.frame_id = FRAME
    stamp = time.time() if stamp is None else stamp
    image.header.stamp.sec, image.header.stamp.nanosec = int(stamp), int(stamp % 1 * 1e9)
    for name, value in changes.items():
        setattr(image, name, value)
    return image


def camera_info(width: int = WIDTH, height: int = HEIGHT, f: float = 60.0) -> CameraInfo:
    """Return the calibration of a camera without distortion."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0]
    info.p = [f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.header.frame_id = FRAME
    return info


class Bench:
    """A camera, a pose node, and somebody who listens to everything it says."""

    def __init__(self, context: rclpy.Context) -> None:
        """Create the camera and the listener; the pose node comes with ``start``."""
        self.context = context
        self._executor = SingleThreadedExecutor(context=context)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self.camera = Node('camera', context=context)
        self._images = self.camera.create_publisher(Image, 'depth/image_rect', 10)
        self._infos = self.camera.create_publisher(CameraInfo, 'depth/camera_info', 10)
        self._listener = Node('listener', context=context)
        self._inboxes: dict[str, queue.Queue] = {}
        self._read: list[str] = []
        self.node: PoseNode | None = None

    def start(self, load: Callable, listen: tuple[str, ...], **parameters: object) -> PoseNode:
        """Start a pose node and return when everybody has found everybody."""
        for name in (*listen, 'log'):
            inbox = self._inboxes[name] = queue.Queue()
            kind, topic = TOPICS[name]
            qos = LOG if name == 'log' else 100
            self._listener.create_subscription(kind, topic, inbox.put, qos)
        self.node = PoseNode(
            load,
            context=self.context,
            parameter_overrides=[
                Parameter(name, value=value) for name, value in parameters.items()
            ],
        )
        for node in (self.camera, self._listener, self.node):
            self._executor.add_node(node)
        self._thread.start()
        if parameters.get('autostart', True):
            self.wait_for_camera()
        for name in listen:
            topic = TOPICS[name][1]
            wait_until(lambda topic=topic: self.node.count_subscribers(topic) > 0, topic)
            wait_until(lambda topic=topic: self._listener.count_publishers(topic) > 0, topic)
        return self.node

    def wait_for_camera(self) -> None:
        """Wait until the active pose node and the camera have found each other."""
        wait_until(lambda: self._images.get_subscription_count() > 0, 'the image subscription')
        wait_until(lambda: self._infos.get_subscription_count() > 0, 'the info subscription')

    def show(self, image: Image, info: CameraInfo | None = None) -> Image:
        """Publish an image, after its camera_info if there is one."""
        if info is not None:
            info.header.stamp = image.header.stamp
            self._infos.publish(info)
        self._images.publish(image)
        return image

    def receive(self, name: str, timeout: float = PATIENCE):
        """Return the next message on a topic."""
        return self._inboxes[name].get(timeout=timeout)

    def receive_for(self, name: str, image: Image):
        """Return the message that was made from this image."""
        while True:
            message = self.receive(name)
            if message.header.stamp == image.header.stamp:
                return message

    def receive_error(self) -> DiagnosticStatus:
        """Return the next diagnosis that tells an error."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            (status,) = self.receive('diagnostics').status
            if status.level == DiagnosticStatus.ERROR:
                return status
        raise AssertionError('waited in vain for an error in the diagnostics')

    def silent(self, name: str) -> bool:
        """Tell whether no message waits on a topic."""
        return self._inboxes[name].empty()

    def logged(self, words: str) -> Log:
        """Return the next line of the log that contains some words."""
        deadline = time.monotonic() + PATIENCE
        while True:
            line = self.receive('log', max(0.0, deadline - time.monotonic()))
            self._read.append(line.msg)
            if words in line.msg:
                return line

    def lines(self, words: str) -> int:
        """Count the lines read so far that contain some words."""
        return sum(words in line for line in self._read)

    def show_until_logged(self, words: str, make: Callable[[], Image], info=None) -> Log:
        """Publish images at 50 Hz until a line is logged, and return it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.show(make(), info)
            try:
                line = self.receive('log', timeout=0.02)
            except queue.Empty:
                continue
            self._read.append(line.msg)
            if words in line.msg:
                return line
        raise AssertionError(f'waited in vain for {words!r} in the log')

    def close(self) -> None:
        """Stop everything."""
        if self.node is not None:
            self.node.stop()
        self._executor.shutdown()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        for node in (self.camera, self._listener, self.node):
            if node is not None:
                node.destroy_node()
