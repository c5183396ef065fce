"""What goes into recordings is what the node publishes, to the byte that ROS 2 reads."""

from dataclasses import replace
import json
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from builtin_interfaces.msg import Time
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from v2v_pose_ros.estimator import SkeletonEstimate
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.recordings import messages as recorded
from v2v_pose_ros.recordings.types import TYPES
from v2v_pose_ros.ros import messages
from v2v_pose_ros.skeletons import BODY, HAND
from v2v_pose_ros.subjects import name_subjects

STAMP = 1_700_000_000_123_456_789
HEADER = Header(stamp=Time(sec=1_700_000_000, nanosec=123_456_789), frame_id='optical')


@pytest.fixture(params=[HAND, BODY], ids=['hand', 'body'])
def subjects(request):
    random, count = np.random.default_rng(3), len(request.param)
    estimate = SkeletonEstimate(
        skeleton=request.param,
        positions=random.normal(0.3, 0.1, size=(count, 3)).astype(np.float32),
        confidences=np.linspace(0, 1, count).astype(np.float32),
        covariances=random.random((count, 3, 3)).astype(np.float32),
        reference_point=np.array([0.01, -0.02, 0.5], np.float32),
        cube_size=0.25,
        points=np.zeros((0, 3), np.float32),
    )
    return name_subjects([estimate, replace(estimate, number=2)], 'operator', several=True)


def travelled(message):
    """Return a message as it arrives: with colours rounded to 32 bits."""
    return deserialize_message(serialize_message(message), type(message))


def test_skeletons_are_those_of_the_node(subjects):
    data = recorded.skeletons_message(recorded.header(STAMP, 'optical'), subjects)
    expected = messages.skeleton_array_message(HEADER, subjects, latency=0.0)
    assert deserialize_message(bytes(data), SkeletonArray) == expected


def test_markers_are_those_of_the_node(subjects):
    data = recorded.markers_message(recorded.header(STAMP, 'optical'), subjects)
    expected = messages.marker_array_message(HEADER, subjects, lifetime=0.0)
    assert deserialize_message(bytes(data), MarkerArray) == travelled(expected)


def test_markers_of_who_left_are_removed_like_the_nodes():
    data = recorded.markers_message(recorded.header(STAMP, 'optical'), [], ['operator'])
    expected = messages.marker_deletion_message(HEADER, ['operator'])
    assert deserialize_message(bytes(data), MarkerArray) == travelled(expected)


def test_transforms_are_those_of_the_node(subjects):
    data = recorded.transforms_message(recorded.header(STAMP, 'optical'), subjects)
    expected = TFMessage(transforms=messages.transform_messages(HEADER, subjects))
    assert deserialize_message(bytes(data), TFMessage) == expected


@pytest.mark.parametrize('name', ['Skeleton', 'SkeletonArray'])
def test_types_have_the_hash_that_their_ros_build_has(name):
    folder = Path(get_package_share_directory('v2v_pose_ros')) / 'msg'
    described = json.loads((folder / f'{name}.json').read_text())
    hashes = {entry['type_name']: entry['hash_string'] for entry in described['type_hashes']}
    full = f'v2v_pose_ros/msg/{name}'
    assert TYPES.hash_rihs01(full) == hashes[full]
