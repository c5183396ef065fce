"""Messages and the stand-ins can be used in the environment that `make` prepares."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

REPOSITORY = Path(__file__).parents[2]
ROS_ENV = REPOSITORY / '.venv' / 'bin' / 'ros-env'

needs_ros_env = pytest.mark.skipif(not ROS_ENV.exists(), reason='ROS 2 is not the one from PyPI')

SUBSCRIBER = """
import rclpy
from v2v_pose_ros.msg import SkeletonArray
rclpy.init()
node = rclpy.create_node('subscriber')
received = rclpy.task.Future()
node.create_subscription(SkeletonArray, 'skeletons', received.set_result, 1)
rclpy.spin_until_future_complete(node, received, timeout_sec=30)
array = received.result()
print(array.header.frame_id, array.skeletons[0].joint_names, array.skeletons[0].confidences[0])
"""

PUBLISHER = """
import rclpy
from v2v_pose_ros.msg import Skeleton, SkeletonArray
rclpy.init()
node = rclpy.create_node('publisher')
publisher = node.create_publisher(SkeletonArray, 'skeletons', 1)
array = SkeletonArray(skeletons=[Skeleton(joint_names=['wrist'], confidences=[0.5])])
array.header.frame_id = 'camera_depth_optical_frame'
while not publisher.get_subscription_count():
    rclpy.spin_once(node, timeout_sec=0.02)
publisher.publish(array)
publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=10))
"""


def test_a_skeleton_array_passes_between_two_processes(ros_domain_id: int) -> None:
    pytest.importorskip('rclpy')
    subscriber = subprocess.Popen(
        [sys.executable, '-c', SUBSCRIBER], stdout=subprocess.PIPE, text=True
    )
    try:
        subprocess.run([sys.executable, '-c', PUBLISHER], check=True, timeout=60)
        output, _ = subscriber.communicate(timeout=60)
    finally:
        subscriber.kill()
    assert output.split() == ['camera_depth_optical_frame', "['wrist']", '0.5']


@needs_ros_env
def test_python_modules_come_from_the_source_tree() -> None:
    program = 'import v2v_pose_ros, v2v_pose_ros.msg; print(v2v_pose_ros.__file__)'
    result = subprocess.run(
        [ROS_ENV, 'python', '-c', program], cwd='/', check=True, capture_output=True, text=True
    )
    assert Path(result.stdout.strip()) == REPOSITORY / 'v2v_pose_ros' / '__init__.py'


@needs_ros_env
def test_another_ros_installation_does_not_leak_in() -> None:
    other = {'PYTHONPATH': '/opt/ros/other', 'AMENT_PREFIX_PATH': '/opt/ros/other'}
    result = subprocess.run(
        [ROS_ENV, 'env'], env={**os.environ, **other}, check=True, capture_output=True, text=True
    )
    assert '/opt/ros/other' not in result.stdout


@needs_ros_env
def test_the_exit_status_and_arguments_pass_through() -> None:
    result = subprocess.run([ROS_ENV, 'sh', '-c', 'echo "$1"; exit 3', 'sh', 'a  b'],
                            capture_output=True, text=True)  # fmt: skip
    assert (result.returncode, result.stdout) == (3, 'a  b\n')


@needs_ros_env
@pytest.mark.skipif(
    not (REPOSITORY / 'config' / 'fastdds.xml').exists(), reason='there is no Fast DDS profile'
)
def test_the_fast_dds_profile_is_the_users_if_there_is_one() -> None:
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')

    def profiles(**variables: str) -> list[str]:
        clean = {k: v for k, v in os.environ.items() if k not in names}
        return subprocess.run(
            [ROS_ENV, 'printenv', *names],
            env={**clean, **variables}, check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip

    # Fast DDS 2 reads the one name and Fast DDS 3 the other.
    assert profiles() == 2 * [str(REPOSITORY / 'config' / 'fastdds.xml')]
    for name in names:
        assert profiles(**{name: '/mine.xml'}) == 2 * ['/mine.xml']
