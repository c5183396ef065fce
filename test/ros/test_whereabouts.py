"""Where others say that the subject is, and the frame of what comes out, over real DDS."""

import itertools
import math
import time

from fake_estimator import FakeEstimator, joint_offsets
from geometry_msgs.msg import PointStamped, TransformStamped
import numpy as np
import pytest
from rclpy.parameter import Parameter
from ros_bench import camera_info, depth_image, FRAME, PATIENCE, wait_until
from sensor_msgs.msg import RegionOfInterest
from std_srvs.srv import SetBool
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from v2v_pose_ros.ros import transforms
from v2v_pose_ros.ros.empty_room import IMAGES

SUBJECT = np.array([0.0, 0.0, 0.5])  # the square of the bench's image
MILLIMETRE = 1e-3


def turned(parent, child, xyz, yaw=0.0, stamp=0.0):
    """Return a transform that turns about z."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec, message.header.stamp.nanosec = int(stamp), int(stamp % 1 * 1e9)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = map(float, xyz)
    rotation.z, rotation.w = math.sin(yaw / 2), math.cos(yaw / 2)
    return message


def point(frame, xyz):
    message = PointStamped()
    message.header.frame_id = frame
    message.point.x, message.point.y, message.point.z = map(float, xyz)
    return message


def show_until(bench, condition, before=lambda: None):
    """Show images until what comes out for one meets a condition; return that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before()
        image = bench.show(depth_image(), camera_info())
        message = bench.receive_for('skeletons', image)
        if condition(message):
            return message
    raise AssertionError('waited in vain')


def found(message):
    return len(message.skeletons) == 1


def missing(message):
    return not message.skeletons


def positions_of(message):
    poses = message.skeletons[0].poses
    return np.array([[p.position.x, p.position.y, p.position.z] for p in poses])


@pytest.fixture
def estimator():
    return FakeEstimator()


def test_a_point_is_where_the_subject_is_looked_for(bench, estimator):
    bench.start(lambda _: estimator, ('skeletons',), reference='point')
    publisher = bench.camera.create_publisher(PointStamped, '/v2v_pose/reference_point', 1)
    show_until(bench, missing)
    bench.logged('no point on ~/reference_point')
    show_until(bench, found, lambda: publisher.publish(point(FRAME, (0.1, -0.05, 0.6))))
    np.testing.assert_allclose(estimator.reference, [0.1, -0.05, 0.6], atol=1e-6)


def test_a_point_may_be_given_in_any_tf_frame(bench, estimator):
    bench.start(lambda _: estimator, ('skeletons',), reference='point')
    publisher = bench.camera.create_publisher(PointStamped, '/v2v_pose/reference_point', 1)
    say = point('table', (0.2, 0.0, 0.0))
    bench.show_until_logged(
        'table', lambda: publisher.publish(say) or depth_image(), camera_info()
    )
    static = StaticTransformBroadcaster(bench.camera)
    static.sendTransform(turned(FRAME, 'table', (0.0, 0.1, 0.7), math.pi / 2))
    show_until(bench, found, lambda: publisher.publish(say))
    np.testing.assert_allclose(estimator.reference, [0.0, 0.3, 0.7], atol=1e-6)


def test_an_old_point_does_not_count_and_neither_does_one_of_no_place(bench, estimator):
    node = bench.start(
        lambda _: estimator, ('skeletons',), reference='point', reference_timeout=60.0
    )
    publisher = bench.camera.create_publisher(PointStamped, '/v2v_pose/reference_point', 1)
    show_until(bench, found, lambda: publisher.publish(point(FRAME, SUBJECT)))
    (result,) = node.set_parameters([Parameter('reference_timeout', value=0.01)])
    assert result.successful
    show_until(bench, missing, lambda: time.sleep(0.02))
    node.set_parameters([Parameter('reference_timeout', value=60.0)])
    show_until(bench, found)
    show_until(bench, missing, lambda: publisher.publish(point(FRAME, (math.nan, 0, 0))))
    bench.logged('not finite')


def test_a_region_is_where_the_subject_is_looked_for(bench, estimator):
    bench.start(lambda _: estimator, ('skeletons',), reference='region')
    topic = '/v2v_pose/region_of_interest'
    publisher = bench.camera.create_publisher(RegionOfInterest, topic, 1)
    show_until(bench, missing)
    bench.logged('no region on ~/region_of_interest')
    around = RegionOfInterest(x_offset=24, y_offset=16, width=8, height=16)
    message = show_until(bench, found, lambda: publisher.publish(around))
    # The left half of the square: 16 columns of 0.5 m / 60 px, of which 8 are left.
    offset = positions_of(message).mean(0) - joint_offsets().mean(0) - SUBJECT
    np.testing.assert_allclose(offset, [-4 * 0.5 / 60, 0, 0], atol=MILLIMETRE)
    elsewhere = RegionOfInterest(x_offset=4_000_000_000, y_offset=0, width=8, height=4_000_000_000)
    show_until(bench, missing, lambda: publisher.publish(elsewhere))


def test_a_tf_frame_is_where_the_subject_is_looked_for(bench, estimator):
    bench.start(lambda _: estimator, ('skeletons',), reference='frame', reference_frame='tool')
    bench.show_until_logged("no transform from 'tool'", depth_image, camera_info())
    StaticTransformBroadcaster(bench.camera).sendTransform(turned(FRAME, 'tool', (0.1, 0, 0.4)))
    show_until(bench, found)
    np.testing.assert_allclose(estimator.reference, [0.1, 0.0, 0.4], atol=1e-6)


def test_what_is_outside_of_the_workspace_does_not_count(bench, estimator):
    node = bench.start(
        lambda _: estimator, ('skeletons',), workspace_frame='table', workspace_max_z=0.0
    )
    # The table's plane is 0.6 m from the camera and its z axis points away from it: all of the
    # square, at 0.5 m, is before it.
    StaticTransformBroadcaster(bench.camera).sendTransform(turned(FRAME, 'table', (0, 0, 0.6)))
    show_until(bench, found)
    (result,) = node.set_parameters([Parameter('workspace_max_z', value=-0.2)])
    assert result.successful
    show_until(bench, missing)


def test_a_workspace_without_its_frame_has_nobody_in_it_and_says_so(bench):
    bench.start(FakeEstimator, ('skeletons',), workspace_frame='table', workspace_max_z=0.0)
    line = bench.show_until_logged('table', depth_image, camera_info())
    assert 'no transform' in line.msg
    show_until(bench, missing)


def test_the_output_frame_is_that_of_everything_but_tf(bench):
    listen = ('skeletons', 'poses', 'markers', 'points', 'tf')
    bench.start(FakeEstimator, listen, output_frame='base')
    # The camera is 1 m above the base and turned to its left.
    static = StaticTransformBroadcaster(bench.camera)
    static.sendTransform(turned('base', FRAME, (0, 0, 1), math.pi / 2))
    message = show_until(bench, lambda m: found(m) and m.header.frame_id == 'base')
    x, y, z = (SUBJECT + joint_offsets()).T
    expected = np.stack([-y, x, z + 1], axis=1)
    np.testing.assert_allclose(positions_of(message), expected, atol=MILLIMETRE)
    (skeleton,) = message.skeletons
    assert skeleton.cube_center.z == pytest.approx(1.5, abs=MILLIMETRE)
    # x of a joint points along its bone, here as in the camera.
    wrist, middle = (skeleton.joint_names.index(name) for name in ('middle_mcp', 'middle_pip'))
    q = skeleton.poses[wrist].orientation
    axis = [1 - 2 * (q.y**2 + q.z**2), 2 * (q.x * q.y + q.z * q.w), 2 * (q.x * q.z - q.y * q.w)]
    bone = expected[middle] - expected[wrist]
    np.testing.assert_allclose(axis, bone / np.linalg.norm(bone), atol=1e-3)
    for name in ('poses', 'points'):
        assert bench.receive_for(name, message).header.frame_id == 'base'
    frames = {each.header.frame_id for each in bench.receive('tf').transforms}
    assert frames == {FRAME}


def test_without_its_transform_skeletons_stay_in_the_optical_frame_and_it_is_told(bench):
    bench.start(
        FakeEstimator, ('skeletons', 'diagnostics'), output_frame='base', diagnostics_period=0.1
    )
    message = show_until(bench, found)
    assert message.header.frame_id == FRAME
    bench.logged('stay in the optical frame')
    while True:
        show_until(bench, found)
        (status,) = bench.receive('diagnostics').status
        if 'optical frame' in status.message:
            break
    assert status.level == b'\x01'
    StaticTransformBroadcaster(bench.camera).sendTransform(turned('base', FRAME, (0, 0, 1)))
    show_until(bench, lambda message: message.header.frame_id == 'base')


def test_the_transform_is_that_of_the_images_time(bench):
    bench.start(FakeEstimator, ('skeletons',), output_frame='base')
    moving, start = TransformBroadcaster(bench.camera), 5000.0
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for seconds in (0.0, 1.0):
            moving.sendTransform(turned('base', FRAME, (seconds, 0, 0), stamp=start + seconds))
        image = bench.show(depth_image(stamp=start + 0.25), camera_info())
        message = bench.receive_for('skeletons', image)
        if message.header.frame_id == 'base':
            break
    np.testing.assert_allclose(
        positions_of(message), SUBJECT + joint_offsets() + [0.25, 0, 0], atol=MILLIMETRE
    )


def test_a_transform_that_comes_after_its_image_is_waited_for(bench, estimator, monkeypatch):
    monkeypatch.setattr(transforms, '_PATIENCE', PATIENCE / 2)
    bench.start(lambda _: estimator, ('skeletons',), output_frame='base')
    moving, times = TransformBroadcaster(bench.camera), itertools.count(5000.0, 0.2)

    def seen_in_base():
        """Show an image, then its transform; tell whether the skeleton is in that frame."""
        asked, stamp = estimator.frames, next(times)
        image = bench.show(depth_image(stamp=stamp), camera_info())
        wait_until(lambda: estimator.frames > asked, 'the image in work')
        moving.sendTransform(turned('base', FRAME, (0, 0, 1), stamp=stamp + 0.1))
        return bench.receive_for('skeletons', image).header.frame_id == 'base'

    wait_until(seen_in_base, 'the first transform')
    assert all(seen_in_base() for _ in range(5))


def test_transforms_that_stop_hold_up_a_single_image(bench, monkeypatch):
    patience = 2.0
    monkeypatch.setattr(transforms, '_PATIENCE', patience)
    bench.start(FakeEstimator, ('skeletons',), output_frame='base')
    last = turned('base', FRAME, (0, 0, 1), stamp=5000.0)
    TransformBroadcaster(bench.camera).sendTransform(last)

    def shown(stamp):
        image = bench.show(depth_image(stamp=stamp), camera_info())
        return bench.receive_for('skeletons', image)

    wait_until(lambda: shown(5000.0).header.frame_id == 'base', 'the only transform')
    later = [shown(5000.0 + number / 30) for number in range(1, 4)]
    assert {message.header.frame_id for message in later} == {FRAME}
    latencies = [message.skeletons[0].latency for message in later]
    waited = [each.sec + each.nanosec * 1e-9 >= patience for each in latencies]
    assert waited == [True, False, False]


def test_a_negative_stamp_has_no_transform_and_costs_nothing_else(bench):
    bench.start(FakeEstimator, ('skeletons',), output_frame='base')
    image = depth_image()
    image.header.stamp.sec = -5
    bench.show(image, camera_info())
    assert bench.receive_for('skeletons', image).header.frame_id == FRAME
    bench.logged('negative stamp')


@pytest.mark.parametrize(
    ('part', 'number'),
    [
        ('translation.x', math.nan),
        ('translation.x', math.inf),
        ('rotation.w', math.nan),
        ('rotation.w', math.inf),
        ('rotation.w', 0.0),
        ('rotation.w', 2.0),
    ],
)
def test_a_transform_that_is_none_does_no_harm(bench, part, number):
    bench.start(FakeEstimator, ('skeletons',), output_frame='base')
    static = StaticTransformBroadcaster(bench.camera)
    spoilt, (vector, name) = turned('base', FRAME, (0, 0, 1)), part.split('.')
    setattr(getattr(spoilt.transform, vector), name, number)
    static.sendTransform(spoilt)
    bench.show_until_logged('stay in the optical frame', depth_image, camera_info())
    assert show_until(bench, found).header.frame_id == FRAME
    static.sendTransform(turned('base', FRAME, (0, 0, 1)))
    show_until(bench, lambda message: message.header.frame_id == 'base')


def ask_to_learn(bench, wanted):
    client = bench.camera.create_client(SetBool, '/v2v_pose/learn_background')
    assert client.wait_for_service(PATIENCE)
    future = client.call_async(SetBool.Request(data=wanted))
    wait_until(future.done, 'an answer')
    return future.result().message


def test_a_learned_room_is_taken_out_of_the_images(bench, estimator):
    bench.start(lambda _: estimator, ('skeletons',))
    show_until(bench, found)
    assert 'leave it meanwhile' in ask_to_learn(bench, True)
    for _ in range(IMAGES):  # the square of the bench's image is all that the room holds
        assert missing(bench.receive_for('skeletons', bench.show(depth_image(), camera_info())))
    bench.logged('learning the empty room')
    asked = estimator.frames
    show_until(bench, lambda message: missing(message) and estimator.frames > asked)
    assert 'forgotten' in ask_to_learn(bench, False)
    show_until(bench, found)
