"""Recordings with results are what RViz, Foxglove and `ros2 bag play` need to show them."""

import json
from pathlib import Path
import re

from ament_index_python.packages import get_package_share_directory
import numpy as np
import pytest
from recorded import DEPTH, FakeSource, FRAME_ID, START, Types, usual_messages
from rosbags.convert.converter import LATCH
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
import yaml

from v2v_pose_ros.recordings.jobs import Job, Options
from v2v_pose_ros.recordings.processing import process
from v2v_pose_ros.recordings.types import TRANSFORMS, TYPES

RESULTS = {
    '/v2v_pose/skeletons': 'v2v_pose_ros/msg/SkeletonArray',
    '/v2v_pose/markers': 'visualization_msgs/msg/MarkerArray',
    '/tf': 'tf2_msgs/msg/TFMessage',
}
BUILTIN = re.compile(r'(bool|byte|char|w?string|u?int(8|16|32|64)|float(32|64))\b')


def mount(parent: str, child: str):
    """Return a static transform."""
    types = Types()
    vector = types.make('geometry_msgs/Vector3', 0.0, 0.0, 0.0)
    turn = types.make('geometry_msgs/Quaternion', 0.0, 0.0, 0.0, 1.0)
    head = types.make(
        'std_msgs/Header', types.make('builtin_interfaces/Time', START // 10**9, 0), parent
    )
    moved = types.make('geometry_msgs/Transform', vector, turn)
    stamped = types.make('geometry_msgs/TransformStamped', head, child, moved)
    return types.make('tf2_msgs/TFMessage', [stamped])


@pytest.fixture(scope='module', params=['mcap', 'sqlite3'])
def result(request, tmp_path_factory):
    """Process a recording with latched transforms from the camera's mount to its optical frame."""
    folder = tmp_path_factory.mktemp('players')
    plugin = StoragePlugin.MCAP if request.param == 'mcap' else StoragePlugin.SQLITE3
    with Writer(folder / 'in', version=8, storage_plugin=plugin) as writer:
        static = writer.add_connection(
            '/tf_static', TRANSFORMS, typestore=TYPES, offered_qos_profiles=LATCH
        )
        for link in (('camera_link', 'camera_depth_frame'), ('camera_depth_frame', FRAME_ID)):
            writer.write(static, START, TYPES.serialize_cdr(mount(*link), TRANSFORMS))
        topics = {}
        for topic, kind, when, message in usual_messages(Types(), 10, empty=(4,)):
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(topics[topic], when, TYPES.serialize_cdr(message, kind))
    process(Job(folder / 'in', folder / 'out', Options(FakeSource())))
    return folder / 'out'


def connections(path: Path):
    with Reader(path) as reader:
        return {each.topic: each for each in reader.connections}


def messages(path: Path, topic: str):
    with Reader(path) as reader:
        chosen = [each for each in reader.connections if each.topic == topic]
        return [
            (when, TYPES.deserialize_cdr(data, connection.msgtype))
            for connection, when, data in reader.messages(connections=chosen)
        ]


def fields(text: str) -> list[str]:
    """Return a definition's lines without comments, spacing, packages and default values."""
    lines = (line.partition('#')[0].split() for line in text.splitlines())
    kept = (line if '=' in ''.join(line) else line[:2] for line in lines if line)
    return [re.sub(r'^\w+/(msg/)?', '', ' '.join(line)).replace(' = ', '=') for line in kept]


def published(kind: str) -> str:
    """Return a definition as the ROS installation has it."""
    package, _, name = kind.replace('/msg/', '/').partition('/')
    return (Path(get_package_share_directory(package)) / 'msg' / f'{name}.msg').read_text()


def test_definitions_are_the_published_ones_with_all_that_they_use(result):
    for topic, kind in RESULTS.items():
        connection = connections(result)[topic]
        assert connection.msgtype == kind
        first, *others = re.split(r'^=+\nMSG: ', connection.msgdef.data, flags=re.M)
        sections = {kind: first}
        for each in others:
            name, _, text = each.partition('\n')
            sections[name.strip()] = text
        short = {name.rpartition('/')[2] for name in sections}
        for name, text in sections.items():
            assert fields(text) == fields(published(name)), name
            used = {re.split(r'[ \[<]', line)[0] for line in fields(text)}
            assert {each for each in used if not BUILTIN.match(each)} <= short, name


def test_types_have_the_hashes_of_the_ros_installation(result):
    for topic, kind in RESULTS.items():
        package, _, name = kind.partition('/msg/')
        described = Path(get_package_share_directory(package)) / 'msg' / f'{name}.json'
        hashes = {
            each['type_name']: each['hash_string']
            for each in json.loads(described.read_text())['type_hashes']
        }
        assert connections(result)[topic].digest == hashes[kind]


def test_topics_are_offered_as_rviz_asks_for_them(result):
    offered = {topic: each.ext.offered_qos_profiles for topic, each in connections(result).items()}
    (static,) = offered['/tf_static']
    assert static.durability == QosDurability.TRANSIENT_LOCAL
    for topic in RESULTS:
        (profile,) = offered[topic]
        assert profile.reliability == QosReliability.RELIABLE
        assert profile.durability == QosDurability.VOLATILE


def test_the_metadata_is_complete(result):
    document = yaml.safe_load((result / 'metadata.yaml').read_text())
    info = document['rosbag2_bagfile_information']
    counts = {
        each['topic_metadata']['name']: each['message_count']
        for each in info['topics_with_message_count']
    }
    assert counts == {
        '/camera/depth/camera_info': 10,
        DEPTH: 10,
        '/chatter': 10,
        '/tf_static': 2,
        '/v2v_pose/skeletons': 10,
        '/v2v_pose/markers': 10,  # of the frame without a subject, their removal
        '/tf': 9,
    }
    assert info['message_count'] == sum(counts.values())
    assert [(result / name).is_file() for name in info['relative_file_paths']] == [True]
    for each in info['topics_with_message_count']:
        topic = each['topic_metadata']
        assert topic['serialization_format'] == 'cdr'
        assert topic['type_description_hash'].startswith('RIHS01_')


def test_all_frames_hang_on_the_camera_s_mount(result):
    parents: dict[str, str] = {}
    for topic in ('/tf_static', '/tf'):
        for _, message in messages(result, topic):
            for each in message.transforms:
                parent = parents.setdefault(each.child_frame_id, each.header.frame_id)
                assert parent == each.header.frame_id
    assert len(parents) == 2 + 21
    for frame in [*parents]:
        while frame in parents:
            frame = parents[frame]
        assert frame == 'camera_link'


def test_stamps_rise_and_are_those_of_the_images(result):
    images = [
        (when, message.header.stamp, message.header.frame_id)
        for when, message in messages(result, DEPTH)
    ]
    skeletons = [
        (when, message.header.stamp, message.header.frame_id)
        for when, message in messages(result, '/v2v_pose/skeletons')
    ]
    assert skeletons == images
    moved = [message.transforms[0].header.stamp for _, message in messages(result, '/tf')]
    shown = [stamp for number, (_, stamp, _) in enumerate(images) if number != 4]
    assert moved == shown
    times = np.array([stamp.sec * 10**9 + stamp.nanosec for stamp in moved])
    assert (np.diff(times) > 0).all()
    with Reader(result) as reader:
        order = [when for _, when, _ in reader.messages()]
    assert order == sorted(order)
