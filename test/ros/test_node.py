"""The node over real DDS, with an estimator that is faked: what comes out of what comes in."""

from array import array
import sys
import threading
import time

from fake_estimator import FakeEstimator, joint_offsets
import numpy as np
import pytest
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from ros_bench import camera_info, depth_image, FRAME, HEIGHT, wait_until, WIDTH
from visualization_msgs.msg import Marker

from v2v_pose_ros.ros import overlays
from v2v_pose_ros.ros.declarations import ParameterError
from v2v_pose_ros.ros.node import PoseNode
from v2v_pose_ros.skeletons import HAND

# The square of the image, seen by the camera of camera_info: 0.5 m away, at the middle.
SUBJECT = np.array([0.0, (23.5 - 23.5) / 60 * 0.5, 0.5])


def positions_of(skeleton):
    return np.array(
        [[pose.position.x, pose.position.y, pose.position.z] for pose in skeleton.poses]
    )


def test_everything_comes_with_stamp_and_frame_of_the_image(bench):
    listen = ('skeletons', 'poses', 'markers', 'points', 'tf')
    bench.start(FakeEstimator, listen)
    image = bench.show(depth_image(), camera_info())

    array_ = bench.receive('skeletons')
    assert array_.header == image.header
    (skeleton,) = array_.skeletons
    np.testing.assert_allclose(positions_of(skeleton), SUBJECT + joint_offsets(), atol=1e-4)
    assert 0 < skeleton.latency.sec + skeleton.latency.nanosec * 1e-9 < 10

    poses = bench.receive('poses')
    assert poses.header == image.header
    assert poses.poses == list(skeleton.poses)

    markers = bench.receive('markers').markers
    assert [marker.header for marker in markers] == [image.header] * 2

    cloud = bench.receive('points')
    assert cloud.header == image.header
    assert cloud.width == 16 * 16

    transforms = bench.receive('tf').transforms
    assert [each.header for each in transforms] == [image.header] * len(HAND)
    assert transforms[0].child_frame_id == 'hand/wrist'


def test_the_overlay_is_the_image_in_colour_with_the_skeleton(bench):
    bench.start(FakeEstimator, ('overlay',))
    image = bench.show(depth_image(), camera_info())
    overlay = bench.receive('overlay')
    assert overlay.header == image.header
    assert (overlay.width, overlay.height, overlay.encoding) == (WIDTH, HEIGHT, 'bgr8')
    assert np.asarray(overlay.data).any()


class BuiltForAnotherNumPy:
    """Takes the place of a module whose compiled part does not go together with this NumPy."""

    __spec__ = None

    def __getattr__(self, name):
        raise SystemError('initialization of cv_bridge_boost raised unreported exception')


@pytest.mark.parametrize('module', [None, BuiltForAnotherNumPy()], ids=['missing', 'other NumPy'])
def test_without_cv_bridge_there_are_poses_and_one_warning(bench, monkeypatch, module):
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    overlays._bridge.cache_clear()
    bench.start(FakeEstimator, ('skeletons', 'overlay'))
    line = bench.show_until_logged('cv_bridge', lambda: depth_image(), camera_info())
    assert line.level == Log.WARN
    for _ in range(3):
        image = bench.show(depth_image(), camera_info())
        assert len(bench.receive_for('skeletons', image).skeletons) == 1
    bench.show_until_logged('rgb8', lambda: depth_image(encoding='rgb8'))
    assert bench.lines('cv_bridge') == 1


def test_absent_subject_is_an_empty_array_and_one_removal_of_markers(bench):
    bench.start(FakeEstimator, ('skeletons', 'markers'))
    bench.show(depth_image(), camera_info())
    assert len(bench.receive('skeletons').skeletons) == 1
    assert bench.receive('markers').markers[0].action == Marker.ADD
    for _ in range(2):
        image = bench.show(depth_image(data=array('B', bytes(2 * WIDTH * HEIGHT))), camera_info())
        assert len(bench.receive_for('skeletons', image).skeletons) == 0
    removal = bench.receive('markers').markers
    assert {marker.action for marker in removal} == {Marker.DELETE}
    assert {marker.ns for marker in removal} == {'hand'}
    bench.show(depth_image(), camera_info())
    # Two images without a subject removed them once.
    assert bench.receive('markers').markers[0].action == Marker.ADD


def test_uncertain_skeletons_are_not_published(bench):
    estimator = FakeEstimator()
    estimator.confidence = 0.2
    node = bench.start(lambda _: estimator, ('skeletons',), min_confidence=0.5)
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 0
    (result,) = node.set_parameters([Parameter('min_confidence', value=0.1)])
    assert result.successful
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 1


def test_newest_frame_wins_while_the_network_is_busy(bench):
    busy, go_on = threading.Event(), threading.Event()

    def block():
        busy.set()
        assert go_on.wait(20)

    node = bench.start(lambda _: FakeEstimator(fail=block), ('skeletons',))
    first = bench.show(depth_image(), camera_info())
    assert busy.wait(20)
    received = node._stream.report(0).received
    for number in range(1, 6):
        last = bench.show(depth_image())
        # One by one, so that none is lost on the way and all are dropped by the node.
        wait_until(lambda n=number: node._stream.report(0).received == received + n, 'the arrival')
    go_on.set()
    assert bench.receive('skeletons').header.stamp == first.header.stamp
    assert bench.receive('skeletons').header.stamp == last.header.stamp
    assert node._stream.report(0).dropped == 4


def test_tf_can_be_switched_off_while_running(bench):
    node = bench.start(FakeEstimator, ('skeletons', 'tf'))
    (result,) = node.set_parameters([Parameter('publish_tf', value=False)])
    assert result.successful
    image = bench.show(depth_image(), camera_info())
    bench.receive_for('skeletons', image)
    node.set_parameters([Parameter('publish_tf', value=True)])
    image = bench.show(depth_image(), camera_info())
    # The first transforms to arrive are the second image's.
    assert bench.receive('tf').transforms[0].header.stamp == image.header.stamp


def test_depth_range_reaches_the_estimator_while_running(bench):
    estimator = FakeEstimator()
    node = bench.start(lambda _: estimator, ('skeletons',))
    node.set_parameters([Parameter('min_depth', value=0.6)])
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 0
    assert estimator.parameters.depth_range == (0.6, 1.5)


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('min_depth', 2.0, 'smaller'),
        ('min_confidence', 7.0, 'range'),
        ('model', 'other', 'read-only'),
        ('publish_tf', 3, ''),
    ],
)
def test_impossible_change_is_refused_with_its_reason(bench, name, value, reason):
    node = bench.start(FakeEstimator, ())
    before = node.get_parameter(name).value
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert not result.successful
    assert reason in result.reason
    assert node.get_parameter(name).value == before


@pytest.mark.parametrize(
    ('other', 'reason'),
    [
        (Parameter('model', value='other'), 'read-only'),
        (Parameter('use_sim_time', value='x'), 'type'),
        (Parameter('cube_size', value=0.01), 'cube_size'),
        (Parameter('max_depth'), 'Static'),  # no value: an attempt to undeclare it
    ],
)
def test_a_change_with_one_impossible_part_changes_nothing(bench, other, reason):
    estimator = FakeEstimator()
    node = bench.start(lambda _: estimator, ('skeletons',))
    result = node.set_parameters_atomically([Parameter('min_depth', value=0.3), other])
    assert not result.successful
    assert reason in result.reason
    assert node.get_parameter('min_depth').value == 0.15
    image = bench.show(depth_image(), camera_info())
    bench.receive_for('skeletons', image)
    assert estimator.parameters.min_depth == 0.15


def test_impossible_parameter_makes_no_node(context):
    with pytest.raises(ParameterError, match='qos_profile'):
        PoseNode(
            FakeEstimator,
            context=context,
            parameter_overrides=[Parameter('qos_profile', value='reliable')],
        )


BAD_IMAGES = {
    'unknown encoding': ({'encoding': '8UC7'}, '8UC7'),
    'colour image': ({'encoding': 'rgb8', 'step': 3 * WIDTH}, 'rgb8'),
    'step too small': ({'step': WIDTH}, f'has step {WIDTH}'),
    'odd step': ({'step': 2 * WIDTH + 1}, f'has step {2 * WIDTH + 1}'),
    'data cut': ({'data': array('B', bytes(2 * WIDTH * HEIGHT - 200))}, 'bytes'),
    'no data': ({'data': array('B')}, 'bytes'),
    'no size': ({'width': 0, 'height': 0}, '0x0'),
    'all zero': ({'data': array('B', bytes(2 * WIDTH * HEIGHT))}, 'no measurement'),
    'all NaN': (
        {
            'encoding': '32FC1',
            'step': 4 * WIDTH,
            'data': array('B', np.full(WIDTH * HEIGHT, np.nan, '<f4').tobytes()),
        },
        'no measurement',
    ),
    'another resolution': (
        {
            'width': WIDTH // 2,
            'height': HEIGHT // 2,
            'step': WIDTH,
            'data': array('B', bytes([1]) * (WIDTH * HEIGHT // 2)),
        },
        f'{WIDTH}x{HEIGHT}',
    ),
}


@pytest.mark.parametrize(('changes', 'words'), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_image_is_named_and_the_next_good_one_works(bench, changes, words):
    bench.start(FakeEstimator, ('skeletons', 'diagnostics'), diagnostics_period=0.1)
    line = bench.show_until_logged(words, lambda: depth_image(**changes), camera_info())
    assert line.level == Log.WARN
    while words not in bench.receive('diagnostics').status[0].message:
        bench.show(depth_image(**changes), camera_info())
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 1


BAD_CAMERAS = {
    'another size': (camera_info(WIDTH * 2, HEIGHT * 2), f'{WIDTH * 2}x{HEIGHT * 2}'),
    'fx = 0': (camera_info(f=0.0), 'fx'),
    'fx = NaN': (camera_info(f=float('nan')), 'fx'),
    'no size': (camera_info(0, 0), 'size'),
    'missing': (None, 'no camera_info'),
}


@pytest.mark.parametrize(('info', 'words'), BAD_CAMERAS.values(), ids=BAD_CAMERAS)
def test_bad_camera_info_is_named_and_a_good_one_works(bench, info, words):
    bench.start(FakeEstimator, ('skeletons',))
    assert bench.show_until_logged(words, depth_image, info).level == Log.WARN
    assert bench.silent('skeletons')
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 1


def test_camera_info_a_little_late_is_no_problem(bench, monkeypatch):
    monkeypatch.setattr('v2v_pose_ros.ros.images.GRACE', 20.0)
    node = bench.start(FakeEstimator, ('skeletons',))
    bench.show(depth_image())
    wait_until(lambda: node._stream.report(0).received == 1, 'the image')
    image = bench.show(depth_image(), camera_info())
    bench.receive_for('skeletons', image)
    assert node._problems.latest(time.monotonic()) is None


def test_resolution_may_change_with_its_camera_info(bench):
    bench.start(FakeEstimator, ('skeletons',))
    image = bench.show(depth_image(), camera_info())
    bench.receive_for('skeletons', image)
    depth = np.full((HEIGHT // 2, WIDTH // 2), 700, '<u2')
    small = depth_image(
        width=WIDTH // 2, height=HEIGHT // 2, step=WIDTH, data=array('B', depth.tobytes())
    )
    bench.show(small, camera_info(WIDTH // 2, HEIGHT // 2, 30.0))
    (skeleton,) = bench.receive_for('skeletons', small).skeletons
    assert positions_of(skeleton).mean(0)[2] == pytest.approx(0.7, abs=0.02)


def test_a_new_calibration_of_the_same_size_is_taken_over(bench):
    bench.start(FakeEstimator, ('skeletons',))
    moved = camera_info()
    moved.k[2] += 12.0
    for info, column in ((camera_info(), 0.0), (moved, -12.0)):
        image = bench.show(depth_image(), info)
        (skeleton,) = bench.receive_for('skeletons', image).skeletons
        expected = SUBJECT + joint_offsets() + [column / 60 * 0.5, 0, 0]
        np.testing.assert_allclose(positions_of(skeleton), expected, atol=1e-4)


@pytest.mark.parametrize('kind', ['big-endian', 'padded rows', 'metres', 'mono16'])
def test_other_forms_of_the_same_image_give_the_same_pose(bench, kind):
    bench.start(FakeEstimator, ('skeletons',))
    plain = depth_image()
    depth = np.frombuffer(plain.data, '<u2').reshape(HEIGHT, WIDTH)
    changes = {
        'big-endian': {'is_bigendian': 1, 'data': array('B', depth.astype('>u2').tobytes())},
        'padded rows': {
            'step': 2 * WIDTH + 8,
            'data': array('B', np.pad(depth, ((0, 0), (0, 4))).tobytes()),
        },
        'metres': {
            'encoding': '32FC1',
            'step': 4 * WIDTH,
            'data': array('B', np.where(depth, depth / 1000, np.nan).astype('<f4').tobytes()),
        },
        'mono16': {'encoding': 'mono16'},
    }[kind]
    image = bench.show(depth_image(**changes), camera_info())
    (skeleton,) = bench.receive_for('skeletons', image).skeletons
    np.testing.assert_allclose(positions_of(skeleton), SUBJECT + joint_offsets(), atol=1e-4)


def test_images_without_stamp_are_used_and_mentioned_once(bench):
    node = bench.start(FakeEstimator, ('skeletons',))
    for _ in range(3):
        bench.show(depth_image(stamp=0.0), camera_info())
        message = bench.receive('skeletons')
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
        assert len(message.skeletons) == 1
    bench.logged('no stamp')
    bench.show_until_logged('rgb8', lambda: depth_image(encoding='rgb8'))
    # Everything logged before the last line was read on the way to it.
    assert bench.lines('no stamp') == 1
    assert node._stream.report(0).latency is None


def test_stamps_running_backwards_are_used_and_mentioned(bench):
    estimator = FakeEstimator()
    node = bench.start(lambda _: estimator, ('skeletons',))
    for start in (5000.0, 1000.0):
        for number in range(10):
            image = bench.show(depth_image(stamp=start + number / 30), camera_info())
            message = bench.receive_for('skeletons', image)
            assert len(message.skeletons) == 1
    bench.logged('backwards')
    assert estimator.resets == 1
    assert node._stream.report(0).lost == 0


def test_missing_frame_id_costs_the_tf_only(bench):
    bench.start(FakeEstimator, ('skeletons', 'tf'))
    image = depth_image()
    image.header.frame_id = ''
    bench.show(image, camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 1
    bench.logged('frame_id')
    assert bench.silent('tf')


def test_failing_estimator_is_an_error_and_the_next_frame_works(bench):
    failures = iter([RuntimeError('out of memory')])

    def fail():
        for error in failures:
            raise error

    bench.start(
        lambda _: FakeEstimator(fail=fail), ('skeletons', 'diagnostics'), diagnostics_period=0.1
    )
    bench.show(depth_image(), camera_info())
    line = bench.logged('out of memory')
    assert 'Traceback' in line.msg
    assert 'RuntimeError' in bench.receive_error().message
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 1


def test_a_network_that_does_not_come_back_is_an_error_until_it_does(bench, monkeypatch):
    monkeypatch.setattr('v2v_pose_ros.ros.node._PATIENCE', 0.5)
    go_on = threading.Event()
    bench.start(
        lambda _: FakeEstimator(fail=lambda: go_on.wait(20)),
        ('skeletons', 'diagnostics'),
        diagnostics_period=0.1,
    )
    begin = time.monotonic()
    bench.show(depth_image(), camera_info())
    assert 'at work on one image' in bench.receive_error().message
    assert time.monotonic() - begin > 0.5
    bench.logged('at work on one image')
    go_on.set()

    def recovered():
        bench.show(depth_image(), camera_info())
        return 'skeletons per second' in bench.receive('diagnostics').status[0].message

    wait_until(recovered, 'skeletons')


def test_nan_joints_are_not_published(bench):
    estimator = FakeEstimator()
    bench.start(lambda _: estimator, ('skeletons',))
    plain = estimator.__class__.__call__

    class Broken(FakeEstimator):
        def __call__(self, *arguments):
            result = plain(self, *arguments)
            result.skeletons[0].positions[3] = np.nan
            return result

    estimator.__class__ = Broken
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 0


def test_diagnostics_say_what_runs_and_how_fast(bench):
    bench.start(FakeEstimator, ('skeletons', 'diagnostics'), diagnostics_period=0.1)
    (status,) = bench.receive('diagnostics').status
    assert status.name == '/v2v_pose'
    start = time.time()
    for number in range(12):
        # Stamps of a camera, however long the test takes for an image.
        image = bench.show(depth_image(stamp=start + number / 30), camera_info())
        bench.receive_for('skeletons', image)
    while True:
        (status,) = bench.receive('diagnostics').status
        values = {pair.key: pair.value for pair in status.values}
        if int(values['results published']) == 12:
            break
    assert 'skeletons per second' in status.message
    assert values['runtime'] == 'none'
    assert float(values['images per second']) > 0
    assert values['latency from stamp, p50'].endswith(' ms')
    assert values['last problem'] == 'none'


def test_camera_frame_is_what_everything_is_in(bench):
    bench.start(FakeEstimator, ('skeletons',))
    bench.show(depth_image(), camera_info())
    assert bench.receive('skeletons').header.frame_id == FRAME
