"""Message builders, against expectations written by hand."""

from dataclasses import replace

from builtin_interfaces.msg import Duration, Time
import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from v2v_pose_ros.estimator import SkeletonEstimate
from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.ros import messages
from v2v_pose_ros.skeletons import BODY, HAND
from v2v_pose_ros.subjects import name_subjects

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id='camera_depth_optical_frame')


def estimate_of(skeleton=HAND, cube_size=0.25):
    count = len(skeleton)
    random = np.random.default_rng(3)
    return SkeletonEstimate(
        skeleton=skeleton,
        positions=random.normal(0.3, 0.1, size=(count, 3)).astype(np.float32),
        confidences=np.linspace(0, 1, count).astype(np.float32),
        covariances=random.random((count, 3, 3)).astype(np.float32),
        reference_point=np.array([0.01, -0.02, 0.5], np.float32),
        cube_size=cube_size,
        points=random.normal(size=(7, 3)).astype(np.float32),
        occluded=random.random(count) < 0.5,
    )


@pytest.fixture(params=[HAND, BODY], ids=['hand', 'body'])
def estimate(request):
    return estimate_of(request.param)


@pytest.fixture
def subjects(estimate):
    return name_subjects([estimate], 'operator')


def xyz(point):
    return point.x, point.y, point.z


def test_subjects_have_different_names():
    estimates = [replace(estimate_of(), number=number) for number in (1, 2, 3)]
    named = name_subjects(estimates, 'hand', several=True)
    assert [subject.identity for subject in named] == ['hand', 'hand_2', 'hand_3']
    assert named[1].frame(HAND.index('ring_tip')) == 'hand_2/ring_tip'


def test_a_subject_that_is_the_only_one_keeps_its_name():
    (named,) = name_subjects([replace(estimate_of(), number=7)], 'hand')
    assert named.identity == 'hand'


def test_a_left_hand_says_so_and_is_turned_like_one():
    estimate = replace(estimate_of(), handedness='left')
    (subject,) = name_subjects([estimate], 'hand')
    (skeleton,) = messages.skeleton_array_message(HEADER, [subject], 0.0).skeletons
    assert skeleton.handedness == 'left'
    expected = bone_orientations(HAND, estimate.positions, handedness='left')
    np.testing.assert_array_equal(subject.orientations, expected)


def test_skeleton_carries_all_that_was_estimated(estimate, subjects):
    array = messages.skeleton_array_message(HEADER, subjects, latency=1.25)
    assert array.header == HEADER
    (skeleton,) = array.skeletons
    assert skeleton.subject_id == 'operator'
    assert skeleton.skeleton_name == estimate.skeleton.name
    assert tuple(skeleton.joint_names) == estimate.skeleton.names
    assert skeleton.latency == Duration(sec=1, nanosec=250_000_000)
    assert xyz(skeleton.cube_center) == pytest.approx((0.01, -0.02, 0.5), abs=1e-7)
    assert skeleton.cube_size == 0.25
    np.testing.assert_array_equal(skeleton.confidences, estimate.confidences)
    np.testing.assert_array_equal(skeleton.occluded, estimate.occluded)
    covariances = np.reshape(skeleton.position_covariances, (-1, 3, 3))
    np.testing.assert_allclose(covariances, estimate.covariances, rtol=1e-6)
    orientations = bone_orientations(estimate.skeleton, estimate.positions)
    for index, pose in enumerate(skeleton.poses):
        assert xyz(pose.position) == pytest.approx(estimate.positions[index], abs=1e-7)
        assert [*xyz(pose.orientation), pose.orientation.w] == pytest.approx(orientations[index])


def test_nobody_found_is_an_array_without_skeletons():
    array = messages.skeleton_array_message(HEADER, [], latency=0.1)
    assert array.header == HEADER
    assert len(array.skeletons) == 0
    assert len(messages.pose_array_message(HEADER, []).poses) == 0
    assert len(messages.marker_array_message(HEADER, [], 0.3).markers) == 0
    assert messages.transform_messages(HEADER, []) == []


def test_poses_are_those_of_the_skeleton(subjects):
    poses = messages.pose_array_message(HEADER, subjects * 2)
    (skeleton,) = messages.skeleton_array_message(HEADER, subjects, 0.0).skeletons
    assert poses.header == HEADER
    assert poses.poses == list(skeleton.poses) * 2


def test_markers_are_bones_and_joints_of_the_subject(estimate, subjects):
    skeleton = estimate.skeleton
    bones, joints = messages.marker_array_message(HEADER, subjects, lifetime=0.3).markers
    for marker in (bones, joints):
        assert marker.header == HEADER
        assert marker.ns == 'operator'
        assert marker.action == Marker.ADD
        assert marker.lifetime == Duration(nanosec=300_000_000)
        assert marker.pose.orientation.w == 1.0
        assert len(marker.colors) == len(marker.points)
    assert bones.id != joints.id
    assert bones.type == Marker.LINE_LIST
    assert bones.scale.x == pytest.approx(0.005)
    assert joints.type == Marker.SPHERE_LIST
    assert xyz(joints.scale) == pytest.approx((0.01, 0.01, 0.01))
    ends = np.array([xyz(point) for point in bones.points]).reshape(-1, 2, 3)
    parents, children = zip(*skeleton.bones, strict=True)
    np.testing.assert_allclose(ends[:, 0], estimate.positions[list(parents)], atol=1e-7)
    np.testing.assert_allclose(ends[:, 1], estimate.positions[list(children)], atol=1e-7)
    np.testing.assert_allclose([xyz(point) for point in joints.points], estimate.positions)


def test_markers_have_the_colour_of_the_finger_and_the_confidence_as_opacity(estimate, subjects):
    skeleton = estimate.skeleton
    bones, joints = messages.marker_array_message(HEADER, subjects, lifetime=0.3).markers
    for joint, color in zip(skeleton.joints, joints.colors, strict=True):
        assert (color.r, color.g, color.b) == pytest.approx(joint.color)
    opacities = [color.a for color in joints.colors]
    assert opacities == sorted(opacities)
    assert 0 < opacities[0] < 0.5
    assert opacities[-1] == 1.0
    for (parent, child), color in zip(skeleton.bones, bones.colors[::2], strict=True):
        assert (color.r, color.g, color.b) == pytest.approx(skeleton.joints[child].color)
        assert color.a == pytest.approx(min(opacities[parent], opacities[child]))


def test_deletion_names_the_same_markers(subjects):
    shown = messages.marker_array_message(HEADER, subjects, lifetime=0.3).markers
    removed = messages.marker_deletion_message(HEADER, ['operator']).markers
    assert [(marker.ns, marker.id) for marker in removed] == [
        (marker.ns, marker.id) for marker in shown
    ]
    assert all(marker.action == Marker.DELETE for marker in removed)
    assert all(marker.header == HEADER for marker in removed)


def test_transforms_are_children_of_the_camera(estimate, subjects):
    transforms = messages.transform_messages(HEADER, subjects)
    (skeleton,) = messages.skeleton_array_message(HEADER, subjects, 0.0).skeletons
    assert [transform.child_frame_id for transform in transforms] == [
        f'operator/{name}' for name in estimate.skeleton.links
    ]
    for transform, pose in zip(transforms, skeleton.poses, strict=True):
        assert transform.header == HEADER
        assert xyz(transform.transform.translation) == xyz(pose.position)
        assert transform.transform.rotation == pose.orientation


@pytest.mark.parametrize('count', [0, 1, 1000])
def test_cloud_holds_the_points(count):
    points = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    cloud = messages.point_cloud_message(HEADER, points[:, ::1])
    assert cloud.header == HEADER
    assert (cloud.height, cloud.width, cloud.row_step) == (1, count, 12 * count)
    assert [(field.name, field.offset) for field in cloud.fields] == [('x', 0), ('y', 4), ('z', 8)]
    assert not cloud.is_bigendian
    np.testing.assert_array_equal(np.frombuffer(cloud.data, '<f4').reshape(-1, 3), points)


def test_cloud_is_what_sensor_msgs_py_reads():
    reader = pytest.importorskip('sensor_msgs_py.point_cloud2')
    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    cloud = messages.point_cloud_message(HEADER, points)
    read = reader.read_points(cloud, field_names=('x', 'y', 'z'))
    np.testing.assert_array_equal(np.stack([read[name] for name in 'xyz'], axis=-1), points)


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [(0.0, (0, 0)), (1.5, (1, 500_000_000)), (0.9999999999, (1, 0)), (-0.25, (-1, 750_000_000))],
)
def test_duration_is_rounded_to_nanoseconds(seconds, expected):
    duration = messages.duration(seconds)
    assert (duration.sec, duration.nanosec) == expected
