"""The synthetic camera over DDS, as a process of its own and as a node."""

from __future__ import annotations

from dataclasses import fields
import os
import subprocess
import time

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros import synthetic_camera
from v2v_pose_ros.ros.declarations import declare
from v2v_pose_ros.ros.demo.session import joints_of
from v2v_pose_ros.ros.images import depth_of
from v2v_pose_ros.ros.messages import nanoseconds
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene

RELIABLE = QoSProfile(depth=200)
PATIENCE = 60.0


class Listener:
    """Receives what the camera publishes."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = Node('listener', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.truths: list[SkeletonArray] = []

    def listen(self, qos: QoSProfile = RELIABLE) -> None:
        subscribe = self.node.create_subscription
        subscribe(Image, 'depth/image_rect', self.images.append, qos)
        subscribe(CameraInfo, 'depth/camera_info', self.infos.append, qos)
        subscribe(SkeletonArray, 'synthetic_camera/ground_truth', self.truths.append, qos)

    def receive(self, count: int) -> None:
        """Wait until so many of each message have come."""
        end = self.node.get_clock().now().nanoseconds + PATIENCE * 1e9
        while min(len(self.images), len(self.infos), len(self.truths)) < count:
            assert self.node.get_clock().now().nanoseconds < end, 'no messages'
            self.executor.spin_once(timeout_sec=1.0)

    def close(self) -> None:
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def listener(ros_domain_id):
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def start(start_process):
    """Return a function that starts the camera with parameters."""

    def start(**parameters) -> subprocess.Popen:
        given = [part for name, value in parameters.items() for part in ('-p', f'{name}:={value}')]
        return start_process('-m', 'v2v_pose_ros.ros.synthetic_camera', '--ros-args', *given)

    return start


def by_stamp(messages: list) -> dict:
    return {nanoseconds(message): message for message in messages}


def test_it_is_a_depth_camera_with_truth(listener, start):
    listener.listen()
    process = start()
    listener.receive(60)
    images, truths = by_stamp(listener.images), by_stamp(listener.truths)
    infos = by_stamp(listener.infos)
    common = sorted(set(images) & set(truths) & set(infos))
    assert len(common) >= 50
    image, info = images[common[-1]], infos[common[-1]]
    assert (image.width, image.height, image.step) == (640, 480, 1280)
    assert (image.encoding, len(image.data)) == ('16UC1', 640 * 480 * 2)
    assert {m.header.frame_id for m in (image, info, truths[common[-1]])} == {
        'camera_depth_optical_frame'
    }
    # 30 Hz without bursts to catch up: a frame that is late costs frames, on a busy machine.
    stamps = np.array(sorted(infos)) * 1e-9
    assert np.median(np.diff(stamps)) == pytest.approx(1 / 30, rel=0.1)
    assert (len(stamps) - 1) / (stamps[-1] - stamps[0]) < 30 * 1.02
    # What it says is in what it shows.
    camera = Camera.from_calibration(width=info.width, height=info.height, k=list(info.k))
    joints = joints_of(truths[common[-1]], HAND)
    near = depth_of(image)
    assert 0.2 < near[near > 0].min() < 0.6
    pixels = camera.project(joints).round().astype(int)
    surface = near[pixels[:, 1], pixels[:, 0]]
    assert (np.abs(surface - joints[:, 2]) < 0.04).mean() > 0.6
    process.send_signal(2)
    assert process.wait(10) == 0


def test_every_frame_reaches_a_best_effort_subscriber(listener, start):
    """With the shipped Fast DDS profile, which `ros-env` and the launch file set."""
    if not os.environ.get('FASTRTPS_DEFAULT_PROFILES_FILE'):
        pytest.skip('needs the shipped Fast DDS profile')
    listener.listen(qos_profile_sensor_data)
    start()
    end = time.monotonic() + PATIENCE
    while not complete_window(listener, 30):  # the test's own machine may be busy at first
        assert time.monotonic() < end, 'a second never passed without a lost frame'
        listener.receive(len(listener.images) + 10)


def complete_window(listener: Listener, count: int) -> bool:
    """Tell whether every image came of some frames in a row that camera_info announced."""
    images = set(map(nanoseconds, listener.images))
    run = 0
    for stamp in map(nanoseconds, listener.infos):
        run = run + 1 if stamp in images else 0
        if run >= count:
            return True
    return False


def test_parameters_change_the_images(listener, start):
    listener.listen(qos_profile_sensor_data)
    start(
        width=320,
        height=240,
        rate=10.0,
        encoding='32FC1',
        noise=False,
        background=False,
        seed=7,
        qos_profile='sensor_data',
    )
    listener.receive(15)
    image, info = listener.images[-1], listener.infos[-1]
    assert (image.width, image.height, image.encoding) == (320, 240, '32FC1')
    assert (image.step, len(image.data)) == (1280, 1280 * 240)
    assert (info.width, info.height, info.k[0], info.p[2]) == (320, 240, 238.0, 313.7 / 2)
    metres = np.frombuffer(image.data, np.float32)
    assert np.isnan(metres).mean() > 0.5  # REP 118: no measurement
    assert (metres[~np.isnan(metres)] > 0.2).all()
    stamps = np.array([nanoseconds(info) for info in listener.infos]) * 1e-9
    assert 1 / np.median(np.diff(stamps)) == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('rate', '0.0', 'from 0.1 to 120'),
        ('rate', '"fast"', 'a number'),
        ('width', '10', 'from 64 to 1920'),
        ('encoding', 'rgb8', 'one of 16UC1, 32FC1'),
        ('subject', 'cat', 'one of hand'),
        ('qos_profile', 'best', 'one of sensor_data'),
        ('noise', 'perhaps', 'true or false'),
    ],
)
def test_a_bad_parameter_is_refused_with_the_reason(ros_domain_id, capsys, name, value, words):
    assert synthetic_camera.main(['--ros-args', '-p', f'{name}:={value}']) == 2
    text = capsys.readouterr().err
    assert name in text
    assert words in text


def test_every_parameter_is_described(ros_domain_id):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('described', context=context)
    declare(node, synthetic_camera.CameraParameters)
    names = [entry.name for entry in fields(synthetic_camera.CameraParameters)]
    for descriptor in node.describe_parameters(names):
        assert len(descriptor.description) > 15
        assert descriptor.read_only
    rclpy.try_shutdown(context=context)


def test_the_message_holds_the_depth_of_the_scene():
    depth, joints = HandCameraScene(sr305(), 0).frame(1.0)
    millimetres = synthetic_camera.image_message(depth, '16UC1')
    metres = synthetic_camera.image_message(depth, '32FC1')
    np.testing.assert_allclose(depth_of(millimetres), depth, atol=0.00051)
    np.testing.assert_array_equal(depth_of(metres), depth)
    truth = synthetic_camera.ground_truth_message(millimetres.header, joints)
    np.testing.assert_allclose(joints_of(truth, HAND), joints)
    skeleton = truth.skeletons[0]
    assert tuple(skeleton.joint_names) == HAND.names
    assert set(skeleton.confidences) == {1.0}
    assert set(skeleton.position_covariances) == {0.0}
    assert len(skeleton.position_covariances) == 9 * 21
