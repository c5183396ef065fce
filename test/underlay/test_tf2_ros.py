"""Transforms arrive, combine and interpolate as in tf2; what cannot be known is refused."""

from collections.abc import Iterator
import math
import time

import pytest

rclpy = pytest.importorskip('rclpy')
tf2_ros = pytest.importorskip('tf2_ros')
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402
from rclpy.time import Time  # noqa: E402


def transform(
    parent: str,
    child: str,
    xyz: tuple[float, float, float] = (0, 0, 0),
    yaw: float = 0.0,
    seconds: float = 0.0,
) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id = parent
    message.header.stamp = Time(nanoseconds=round(seconds * 1e9)).to_msg()
    message.child_frame_id = child
    translation = message.transform.translation
    translation.x, translation.y, translation.z = map(float, xyz)
    message.transform.rotation.z = math.sin(yaw / 2)
    message.transform.rotation.w = math.cos(yaw / 2)
    return message


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def xyz(message: TransformStamped) -> tuple[float, float, float]:
    translation = message.transform.translation
    return (translation.x, translation.y, translation.z)


@pytest.fixture
def buffer() -> 'tf2_ros.Buffer':
    buffer = tf2_ros.Buffer()
    buffer.set_transform_static(transform('map', 'camera', (0, 0, 2), yaw=math.pi / 2), 'test')
    buffer.set_transform(transform('camera', 'wrist', (1, 0, 0), seconds=10.0), 'test')
    buffer.set_transform(transform('camera', 'wrist', (3, 0, 0), math.pi / 2, 11.0), 'test')
    return buffer


def test_transforms_combine_along_the_tree(buffer: 'tf2_ros.Buffer') -> None:
    result = buffer.lookup_transform('map', 'wrist', at(10.0))
    assert (result.header.frame_id, result.child_frame_id) == ('map', 'wrist')
    assert xyz(result) == pytest.approx((0, 1, 2))  # the camera is turned to the left


def test_the_inverse_is_the_other_way_round(buffer: 'tf2_ros.Buffer') -> None:
    # The origin of map, seen from the wrist at 10 s: 2 below, 1 behind.
    assert xyz(buffer.lookup_transform('wrist', 'map', at(10.0))) == pytest.approx((-1, 0, -2))


def test_between_two_times_it_is_interpolated(buffer: 'tf2_ros.Buffer') -> None:
    result = buffer.lookup_transform('camera', 'wrist', at(10.25))
    assert xyz(result) == pytest.approx((1.5, 0, 0))
    assert result.transform.rotation.z == pytest.approx(math.sin(math.pi / 16))
    assert result.header.stamp == at(10.25).to_msg()


def test_time_zero_is_the_latest_common_time(buffer: 'tf2_ros.Buffer') -> None:
    buffer.set_transform(transform('wrist', 'tip', (1, 0, 0), seconds=10.5), 'test')
    buffer.set_transform(transform('wrist', 'tip', (1, 0, 0), seconds=12.0), 'test')
    assert buffer.lookup_transform('map', 'tip', Time()).header.stamp == at(11.0).to_msg()


def test_a_frame_seen_from_itself_does_not_move(buffer: 'tf2_ros.Buffer') -> None:
    assert xyz(buffer.lookup_transform('wrist', 'wrist', at(10.0))) == (0, 0, 0)


def test_what_cannot_be_known_is_refused(buffer: 'tf2_ros.Buffer') -> None:
    buffer.set_transform_static(transform('elsewhere', 'other'), 'test')
    for arguments, error in (
        (('map', 'nobody', Time()), tf2_ros.LookupException),
        (('map', 'other', Time()), tf2_ros.ConnectivityException),
        (('map', 'wrist', at(9.9)), tf2_ros.ExtrapolationException),
        (('map', 'wrist', at(11.1)), tf2_ros.ExtrapolationException),
        (('map', '/wrist', Time()), tf2_ros.InvalidArgumentException),
    ):
        with pytest.raises(error):
            buffer.lookup_transform(*arguments)
        assert not buffer.can_transform(*arguments)
        known, reason = buffer.can_transform(*arguments, return_debug_tuple=True)
        assert not known
        assert reason
    assert issubclass(tf2_ros.LookupException, tf2_ros.TransformException)


def test_transforms_that_are_none_are_passed_over(buffer: 'tf2_ros.Buffer') -> None:
    """As by tf2's BufferCore, which logs them: they come from anywhere, and must harm nobody."""
    nobody = transform('', 'wrist', (9, 9, 9), seconds=11.0)
    itself = transform('wrist', 'wrist', (9, 9, 9), seconds=11.0)
    nowhere = transform('camera', 'wrist', (math.nan, 0, 0), seconds=11.0)
    unturned = transform('camera', 'wrist', (9, 9, 9), seconds=11.0)
    unturned.transform.rotation.w = 0.0
    for bad in (nobody, itself, nowhere, unturned):
        buffer.set_transform(bad, 'test')
        buffer.set_transform_static(bad, 'test')
    assert xyz(buffer.lookup_transform('camera', 'wrist', at(11.0))) == pytest.approx((3, 0, 0))


def test_negative_stamps_are_old_ones(buffer: 'tf2_ros.Buffer') -> None:
    early = transform('camera', 'wrist', (9, 9, 9))
    early.header.stamp.sec = -5
    buffer.set_transform(early, 'test')
    assert xyz(buffer.lookup_transform('camera', 'wrist', at(11.0))) == pytest.approx((3, 0, 0))
    early.child_frame_id = 'early'
    buffer.set_transform(early, 'test')
    assert buffer.lookup_transform('camera', 'early', Time()).header.stamp.sec == -5


def test_what_is_too_old_is_forgotten() -> None:
    buffer = tf2_ros.Buffer(cache_time=Duration(seconds=1))
    for seconds in (5.0, 6.0, 7.0):
        buffer.set_transform(transform('camera', 'wrist', seconds=seconds), 'test')
    assert buffer.can_transform('camera', 'wrist', at(6.0))
    assert not buffer.can_transform('camera', 'wrist', at(5.5))


@pytest.fixture
def node(ros_domain_id: int) -> Iterator['rclpy.node.Node']:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain_id)
    node = rclpy.create_node('tf_test', context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_waiting_ends_although_simulated_time_stands_still(node: 'rclpy.node.Node') -> None:
    node.set_parameters([Parameter('use_sim_time', value=True)])
    buffer = tf2_ros.Buffer(node=node)
    start = time.monotonic()
    with pytest.raises(tf2_ros.LookupException):
        buffer.lookup_transform('map', 'camera', Time(), Duration(seconds=0.1))
    assert time.monotonic() - start >= 0.1


def test_broadcast_transforms_reach_a_listener_that_comes_later(node: 'rclpy.node.Node') -> None:
    static = tf2_ros.StaticTransformBroadcaster(node)
    static.sendTransform(transform('map', 'camera', (0, 0, 2)))
    static.sendTransform([transform('map', 'camera', (0, 0, 3)), transform('map', 'table')])
    dynamic = tf2_ros.TransformBroadcaster(node)
    buffer = tf2_ros.Buffer(node=node)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    listener = tf2_ros.TransformListener(buffer, node)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        dynamic.sendTransform(transform('camera', 'wrist', (1, 0, 0), seconds=1.0))
        executor.spin_once(timeout_sec=0.05)
        if buffer.can_transform('map', 'wrist', Time()):
            break
    assert xyz(buffer.lookup_transform('map', 'wrist', Time())) == (1, 0, 3)
    assert buffer.can_transform('map', 'table', Time())
    listener.unregister()
    executor.shutdown()


def test_the_topics_have_the_qos_of_tf2(node: 'rclpy.node.Node') -> None:
    tf2_ros.TransformBroadcaster(node)
    tf2_ros.StaticTransformBroadcaster(node)
    (dynamic,) = node.get_publishers_info_by_topic('/tf')
    (static,) = node.get_publishers_info_by_topic('/tf_static')
    assert dynamic.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert dynamic.qos_profile.durability == DurabilityPolicy.VOLATILE
    assert static.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert static.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert dynamic.topic_type == 'tf2_msgs/msg/TFMessage'
