"""People as REP 155 has them: who is tracked, skeletons in the image, frames of TF."""

import sys
import time

from builtin_interfaces.msg import Time
from fake_estimator import FakeEstimator, FakeSkeleton
from hri_msgs.msg import IdsList, Skeleton2D
import numpy as np
import pytest
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from ros_bench import camera_info, depth_image, wait_until
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.ros import hri
from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.subjects import name_subjects

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id='camera_depth_optical_frame')
CAMERA = Camera(width=320, height=240, fx=285.0, fy=285.0, cx=159.5, cy=119.5)

# Somebody who stands 2 m before the camera and faces it: the person's right is the image's left.
_SIDE = {
    'shoulder': (0.18, -0.45),
    'elbow': (0.25, -0.15),
    'hand': (0.28, 0.1),
    'hip': (0.1, 0.0),
    'knee': (0.1, 0.4),
    'foot': (0.1, 0.8),
}
_MIDDLE = {'head': -0.7, 'neck': -0.5, 'torso': -0.25}


def standing(number=1, distance=2.0):
    positions = np.zeros((len(BODY), 3), np.float32)
    positions[:, 2] = distance
    for name, y in _MIDDLE.items():
        positions[BODY.index(name), 1] = y
    for name, (x, y) in _SIDE.items():
        positions[BODY.index(f'right_{name}'), :2] = -x, y
        positions[BODY.index(f'left_{name}'), :2] = x, y
    return FakeSkeleton(
        skeleton=BODY,
        positions=positions,
        confidences=np.linspace(0.6, 0.95, len(BODY)).astype(np.float32),
        covariances=np.tile(np.eye(3, dtype=np.float32) * 1e-4, (len(BODY), 1, 1)),
        reference_point=positions.mean(axis=0),
        cube_size=2.0,
        points=positions,
        handedness='',
        number=number,
    )


class People(FakeEstimator):
    """Finds those it is told to find, wherever there are measurements."""

    def __init__(self, *people):
        super().__init__()
        self.people = people

    def __call__(self, *arguments):
        estimate = super().__call__(*arguments)
        estimate.skeletons = self.people if estimate.skeletons else ()
        return estimate


def subject(**options):
    (named,) = name_subjects([standing(**options)], 'body')
    return named


def test_every_joint_has_its_place_in_the_order_of_openpose():
    message = hri.skeleton_message(HEADER, subject(), CAMERA)
    assert message.header == HEADER
    # OpenPose's COCO model, as its documentation numbers the key points.
    order = {
        1: 'neck', 2: 'right_shoulder', 3: 'right_elbow', 4: 'right_hand', 5: 'left_shoulder',
        6: 'left_elbow', 7: 'left_hand', 8: 'right_hip', 9: 'right_knee', 10: 'right_foot',
        11: 'left_hip', 12: 'left_knee', 13: 'left_foot',
    }  # fmt: skip
    assert len(message.skeleton) == 18
    for place, point in enumerate(message.skeleton):
        if place not in order:  # nose, eyes and ears
            assert (point.x, point.y, point.c) == (0, 0, 0)
            continue
        joint = BODY.index(order[place])
        x, y, z = standing().positions[joint]
        u, v = (159.5 + 285 * x / z + 0.5) / 320, (119.5 + 285 * y / z + 0.5) / 240
        assert (point.x, point.y) == pytest.approx((u, v), abs=1e-5)
        assert point.c == pytest.approx(standing().confidences[joint])


def test_joints_outside_of_the_image_are_not_in_the_skeleton():
    message = hri.skeleton_message(HEADER, subject(distance=1.0), CAMERA)
    foot = message.skeleton[Skeleton2D.RIGHT_ANKLE]
    assert (foot.x, foot.y, foot.c) == (0, 0, 0)
    assert message.skeleton[Skeleton2D.RIGHT_HIP].c > 0
    assert all(0 <= value <= 1 for point in message.skeleton for value in (point.x, point.y))


def test_frames_hang_from_the_body_as_the_rep_says():
    person = subject()
    body, *links = hri.transform_messages(HEADER, person, 'body7')
    assert (body.header, body.child_frame_id) == (HEADER, 'body_body7')
    place = body.transform.translation
    assert (place.x, place.y, place.z) == pytest.approx((0, 0, 2))  # between the hips
    turn = Rotation.from_quat(
        [getattr(body.transform.rotation, axis) for axis in 'xyzw']
    ).as_matrix()
    # Forward is towards the camera, left the image's right, up is up.
    np.testing.assert_allclose(turn.T, [[0, 0, -1], [1, 0, 0], [0, -1, 0]], atol=1e-6)
    assert {link.header.frame_id for link in links} == {'body_body7'}
    assert [link.child_frame_id for link in links] == [f'{name}_body7' for name in BODY.links]
    for joint, link in enumerate(links):
        inner = link.transform.translation
        outer = turn @ [inner.x, inner.y, inner.z] + [place.x, place.y, place.z]
        np.testing.assert_allclose(outer, person.estimate.positions[joint], atol=1e-6)
        quaternion = [getattr(link.transform.rotation, axis) for axis in 'xyzw']
        whole = turn @ Rotation.from_quat(quaternion).as_matrix()
        expected = Rotation.from_quat(person.orientations[joint]).as_matrix()
        np.testing.assert_allclose(whole, expected, atol=1e-6)


def frames_of(bench, image):
    """Return the names of the TF frames of an image."""
    while True:
        transforms = bench.receive('tf').transforms
        if transforms[0].header.stamp == image.header.stamp:
            return {each.child_frame_id for each in transforms}


def test_who_is_tracked_is_listed_and_everybody_has_a_skeleton(bench):
    people = People(standing(1), standing(3, distance=3.0))
    node = bench.start(
        lambda _: people,
        ('tf', 'skeletons'),
        publish_hri=True,
        subject='body',
        max_subjects=2,
        lose_time=0.3,
    )
    skeletons, lists = [], []
    listener = bench._listener
    listener.create_subscription(IdsList, '/humans/bodies/tracked', lists.append, 10)
    listener.create_subscription(
        Skeleton2D, '/humans/bodies/body3/skeleton2d', skeletons.append, 10
    )

    def shown():
        bench.show(depth_image(), camera_info())
        time.sleep(0.02)
        return skeletons

    wait_until(shown, 'the skeleton of the second person')
    image = bench.show(depth_image(), camera_info())
    wait_until(lambda: lists[-1].header.stamp == image.header.stamp, 'the list of the last image')
    assert lists[-1].ids == ['body1', 'body3']
    assert lists[-1].header == image.header
    assert skeletons[-1].header.frame_id == image.header.frame_id
    frames = frames_of(bench, image)
    assert {'body/head', 'body_3/head', 'body_body1', 'l_knee_body3'} <= frames

    people.people = (standing(1),)
    image = bench.show(depth_image(), camera_info())
    wait_until(lambda: lists[-1].header.stamp == image.header.stamp, 'the next list')
    # For a moment, the other one may only be hidden.
    assert lists[-1].ids == ['body1', 'body3']
    wait_until(lambda: shown() and lists[-1].ids == ['body1'], 'the loss of the second person')
    wait_until(
        lambda: not node.count_publishers('/humans/bodies/body3/skeleton2d'), 'the end of a topic'
    )
    node.trigger_deactivate()
    wait_until(lambda: lists[-1].ids == [], 'the end of all')


def test_without_hri_msgs_one_line_is_logged_and_all_else_works(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, 'hri_msgs', None)
    hri._hri_msgs.cache_clear()
    node = bench.start(lambda _: People(standing()), ('skeletons', 'tf'), publish_hri=True)
    line = bench.show_until_logged('hri_msgs', depth_image, camera_info())
    assert line.level == Log.INFO
    assert 'publish_hri' in line.msg
    for _ in range(3):
        image = bench.show(depth_image(), camera_info())
        assert len(bench.receive_for('skeletons', image).skeletons) == 1
    assert bench.lines('hri_msgs') == 1
    names = {name for name, _ in node.get_topic_names_and_types()}
    assert not any(name.startswith('/humans') for name in names)
    hri._hri_msgs.cache_clear()


def test_it_is_published_only_when_asked_for(bench):
    node = bench.start(lambda _: People(standing()), ('skeletons',))
    image = bench.show(depth_image(), camera_info())
    assert len(bench.receive_for('skeletons', image).skeletons) == 1
    topics = {name for name, _ in node.get_topic_names_and_types()}
    assert '/humans/bodies/tracked' not in topics
    (result,) = node.set_parameters([Parameter('publish_hri', value=True)])
    assert result.successful
    bench.show(depth_image(), camera_info())
    wait_until(
        lambda: node.count_publishers('/humans/bodies/tracked') == 1, 'the list of the tracked'
    )
