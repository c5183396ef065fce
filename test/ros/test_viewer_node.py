"""The viewer as a node: what the camera and the pose node publish ends in its file."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from builtin_interfaces.msg import Time
import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSProfile
from recorded import depth_image, FakeEstimator
from rerun.chunk import RrdReader
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.messages import skeleton_array_message
from v2v_pose_ros.ros.synthetic_camera import camera_info_message, image_message
from v2v_pose_ros.ros.viewer_node import subject_of
from v2v_pose_ros.subjects import name_subjects

CAMERA = Camera(64, 48, 60, 60, 31.5, 23.5)
COMMAND = (sys.executable, '-m', 'v2v_pose_ros.ros.viewer_node', '--ros-args')
HEADER = Header(stamp=Time(sec=1_700_000_000), frame_id='optical')


def subjects():
    depth = depth_image(0).astype(np.float32) / 1000
    return name_subjects(FakeEstimator()(depth, CAMERA).skeletons, 'operator')


def test_a_subject_comes_back_from_its_message():
    (expected,) = subjects()
    (message,) = skeleton_array_message(HEADER, [expected], 0.0).skeletons
    subject = subject_of(message)
    assert subject.identity == 'operator'
    np.testing.assert_array_equal(subject.estimate.positions, expected.estimate.positions)
    np.testing.assert_allclose(subject.estimate.covariances, expected.estimate.covariances)
    np.testing.assert_allclose(subject.orientations, expected.orientations)
    message.skeleton_name = 'octopus'
    assert subject_of(message) is None


@pytest.fixture
def viewer(ros_domain_id, tmp_path):
    """Start the node, which writes a file; yield the process and the file."""
    file = tmp_path / 'live.rrd'
    process = subprocess.Popen(
        [*COMMAND, '-p', f'file:={file}', '-p', 'rate:=120.0', '-p', 'qos_profile:=default'],
        env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain_id)},
    )
    yield process, file
    process.kill()
    process.wait()


def test_what_is_published_is_shown(viewer, ros_domain_id):
    process, file = viewer
    rclpy.init(domain_id=ros_domain_id)
    try:
        node = rclpy.create_node('camera')
        qos = QoSProfile(depth=5)
        infos = node.create_publisher(CameraInfo, 'depth/camera_info', qos)
        images = node.create_publisher(Image, 'depth/image_rect', qos)
        skeletons = node.create_publisher(SkeletonArray, 'v2v_pose/skeletons', qos)
        publishers = (infos, images, skeletons)
        deadline = time.monotonic() + 60
        while not all(each.get_subscription_count() for each in publishers):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for number in range(20):
            header = Header(stamp=Time(sec=1_700_000_000 + number), frame_id='optical')
            info = camera_info_message(CAMERA)
            image = image_message(depth_image(0).astype(np.float32) / 1000, '16UC1')
            info.header = image.header = header
            infos.publish(info)
            images.publish(image)
            time.sleep(0.05)
            skeletons.publish(skeleton_array_message(header, subjects(), 0.001))
            time.sleep(0.05)
    finally:
        rclpy.shutdown()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert rows(file, '/subjects/operator/joints') > 0
    assert rows(file, '/camera/depth') > 0


def rows(file: Path, entity: str) -> int:
    return sum(
        each.num_rows for each in RrdReader(str(file)).stream() if each.entity_path == entity
    )


def test_a_file_that_cannot_be_is_refused(ros_domain_id, tmp_path):
    done = subprocess.run(
        [*COMMAND, '-p', f'file:={tmp_path / "live.mp4"}'],
        env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain_id)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert '.rrd is expected' in done.stderr


def test_the_demo_records_what_it_shows(tmp_path):
    program = (
        'import sys; from v2v_pose_ros.ros.demo import command, session; '
        "session.MODULES['pose_node'] = 'perfect_pose_node'; sys.exit(command.main())"
    )
    variables = {'DEMO_SECONDS': '0', 'DEMO_VIEWER': 'view.rrd', 'TERM': 'dumb'}
    path = f'{os.environ.get("PYTHONPATH", "")}:{Path(__file__).parent}'
    process = subprocess.Popen(
        [sys.executable, '-c', program],
        cwd=tmp_path,
        env={**os.environ, **variables, 'PYTHONPATH': path},
        stdout=subprocess.PIPE,
        text=True,
    )
    file, deadline = tmp_path / 'view.rrd', time.monotonic() + 120
    try:
        while not (file.is_file() and file.stat().st_size > 2_000_000):  # a few images
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert f'The viewer writes {file}' in output.replace('\n', '')
    assert rows(file, '/camera/depth') > 0
    assert rows(file, '/subjects/hand/joints') > 0
