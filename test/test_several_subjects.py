"""Several subjects at once: who is who, in simple images and with rendered hands."""

from dataclasses import asdict
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from test_estimator import blob, CAMERA, Centroid, estimator
import torch

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.estimator.separation import hide_subjects
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.models import Model, ModelInfo
from v2v_pose_ros.skeletons import BODY, HAND
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.synthesis.hands.scenes import RAISED
from v2v_pose_ros.tracking import Tracker, TrackerMemory, TrackerOptions
from v2v_pose_ros.tracking.sides import SideEvidence
from v2v_pose_ros.voxels import VoxelCodec

PERIOD = 1 / 30
SIZE = 0.045  # metres: small enough to be hidden as a whole by one ball
LOOK = 2  # passes of the network that a look for more may cost


def scene(*places):
    """Return depth with a square at every place; the nearer one hides what is behind."""
    images = [blob(*place, size=SIZE) for place in places]
    depths = np.where(np.array(images) > 0, images, np.inf).min(0)
    return np.where(np.isfinite(depths), depths, 0).astype(np.float32)


class Stream:
    """Shows frames to a tracker of several squares."""

    def __init__(self, network=None, **options):
        self.network = network or Centroid()
        self.tracker = Tracker(
            estimator(self.network, passes=2), TrackerOptions(**{'max_subjects': 2, **options})
        )
        self.stamp = 1000.0

    def show(self, *places, times=1, period=PERIOD):
        """Show frames; return number and place of everybody who was published in the last."""
        for _ in range(times):
            self.stamp += period
            found = self.tracker(scene(*places), CAMERA, self.stamp).skeletons
        return {each.number: bounding_box_middle(each.positions) for each in found}


def near(place, other):
    return np.linalg.norm(np.array(place) - other) < 0.03


def test_two_are_followed_under_numbers_of_their_own():
    stream = Stream()
    assert set(stream.show((-0.15, 0, 0.5))) == {1}
    for step in range(30):
        left, right = (-0.15 + 0.005 * step, 0, 0.5), (0.2, 0.003 * step, 0.7)
        found = stream.show(left, right)
        if step >= 3:
            assert set(found) == {1, 2}
            assert near(left, found[1])
            assert near(right, found[2])


def test_only_so_many_are_followed_as_were_asked_for():
    places = [(-0.2, 0, 0.5), (0.0, 0, 0.6), (0.2, 0, 0.7)]
    for most in (1, 2, 3):
        assert len(Stream(max_subjects=most).show(*places, times=20)) == most


def test_the_nearest_are_acquired():
    found = Stream(max_subjects=2).show((-0.2, 0, 0.9), (0.0, 0, 0.7), (0.2, 0, 0.5), times=20)
    assert sorted(place[2] for place in found.values()) == pytest.approx([0.5, 0.7], abs=0.01)


def test_fewer_can_be_asked_for_between_two_frames():
    stream = Stream()
    assert set(stream.show((-0.15, 0, 0.5), (0.2, 0, 0.7), times=10)) == {1, 2}
    stream.tracker.options = TrackerOptions(max_subjects=1)
    assert set(stream.show((-0.15, 0, 0.5), (0.2, 0, 0.7))) == {1}


def test_a_number_comes_back_within_the_time_to_lose_and_never_after_it():
    stream = Stream(lose_time=0.5)
    one, two = (-0.15, 0, 0.5), (0.2, 0, 0.7)
    assert set(stream.show(one, two, times=10)) == {1, 2}
    assert set(stream.show(one, times=9)) == {1}
    assert set(stream.show(one, two)) == {1, 2}
    assert set(stream.show(one, times=30)) == {1}
    assert set(stream.show(one, two, times=10)) == {1, 3}


def test_one_subject_does_not_become_two():
    """A surface of two hand sizes, half of which is left when the other half is hidden."""
    stream = Stream()
    for step in range(40):
        image = blob(0.002 * step, 0, 0.5, size=0.1)
        stream.stamp += PERIOD
        stream.tracker(image, CAMERA, stream.stamp)
        assert len(stream.tracker.states) == 1


def test_two_tracks_that_end_on_one_subject_become_one():
    stream = Stream()
    one, two = np.array([-0.15, 0, 0.5]), np.array([0.2, 0, 0.5])
    assert len(stream.show(one, two, times=10)) == 2
    for step in np.linspace(0, 1, 40):
        found = stream.show(one + step * (two - one), two)
    assert len(found) == 1
    assert len(stream.show(two, times=20)) == 1


@pytest.mark.parametrize('things', [1, 6])
def test_looking_for_more_costs_those_who_are_followed_little(things):
    """However much else there is to look at, one place of it is looked at, not in every frame."""

    class KnowsSmallThings(Centroid):
        def __call__(self, grids):
            self.height = 1.0 if grids.sum() < 115 else 0.1
            return super().__call__(grids)

    stream = Stream(KnowsSmallThings())
    stream.show((0, 0, 0.5), times=2)
    image = scene((0, 0, 0.5))
    for k in range(things):
        image += blob(0.3 * np.sin(k), 0.12 + 0.1 * np.cos(k), 0.9, size=0.07) * (image == 0)
    passes = []
    for _ in range(20):
        before = len(stream.network.grids)
        stream.stamp += PERIOD
        assert len(stream.tracker(image, CAMERA, stream.stamp).skeletons) == 1
        passes.append(len(stream.network.grids) - before)
    assert max(passes) <= 1 + LOOK
    assert passes.count(1) >= 10
    assert max(passes) > 1


@pytest.mark.parametrize('rate', [15, 30])
def test_another_one_is_seen_within_200_ms_while_one_is_followed(rate):
    stream = Stream()
    one, two = (-0.15, 0, 0.5), (0.2, 0, 0.7)
    for _ in range(3):
        stream.show(one, times=rate, period=1 / rate)
        assert len(stream.show(one, two, times=rate // 5, period=1 / rate)) == 2


def test_a_tracker_goes_on_from_what_another_one_remembers():
    stream, other = Stream(), Stream()
    one, two = (-0.15, 0, 0.5), (0.2, 0, 0.7)
    stream.show(one, two, times=10)
    memory = json.loads(json.dumps(asdict(stream.tracker.memory)))
    other.tracker.memory, other.stamp = TrackerMemory(**memory), stream.stamp
    for step in range(5):
        moved = (-0.15 + 0.01 * step, 0, 0.5)
        expected, found = stream.show(moved, two), other.show(moved, two)
        assert expected.keys() == found.keys() == {1, 2}
        for number in (1, 2):
            np.testing.assert_array_equal(expected[number], found[number])


def test_several_in_a_single_image_come_nearest_first():
    image = scene((-0.2, 0, 0.9), (0.0, 0, 0.7), (0.2, 0, 0.5))
    found = estimator(Centroid())(image, CAMERA, subjects=5).skeletons
    assert [each.number for each in found] == [1, 2, 3]
    assert [each.positions[0, 2] for each in found] == pytest.approx([0.5, 0.7, 0.9], abs=0.01)


FIGURE = np.array(
    # A standing person about its middle, metres, in the order of the skeleton.
    [
        *[(0, -0.75, 0), (0, -0.55, 0), (-0.2, -0.5, 0), (0.2, -0.5, 0), (-0.25, -0.25, 0)],
        *[(0.25, -0.25, 0), (-0.25, 0, 0), (0.25, 0, 0), (0, -0.25, 0), (-0.1, 0.05, 0)],
        *[(0.1, 0.05, 0), (-0.1, 0.4, 0), (0.1, 0.4, 0), (-0.1, 0.75, 0), (0.1, 0.75, 0)],
    ],
    np.float32,
)


class Standing:
    """Sees a standing person about the middle of what is in the cube of 2 m."""

    name, device = 'standing', torch.device('cpu')
    codec = VoxelCodec(cube_size=2.0, input_size=48, sigma=1.0)

    def __call__(self, grids):
        z, y, x = torch.nonzero(grids[0, 0], as_tuple=True)
        voxels = torch.stack([x, y, z], -1).float() + 0.5
        middle = (0.5 * (voxels.amin(0) + voxels.amax(0)) / 48 - 0.5) * 2.0
        joints = (middle + torch.from_numpy(FIGURE))[None]
        return self.codec.heatmaps(joints, torch.zeros(1, 3))


def people(*places):
    """Return depth with a board of 0.5 x 1.6 m at every place."""
    depth = np.full((CAMERA.height, CAMERA.width), np.inf, np.float32)
    for x, y, z in places:
        columns, rows = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
        px, py = (columns - CAMERA.cx) / CAMERA.fx * z, (rows - CAMERA.cy) / CAMERA.fy * z
        board = (abs(px - x) < 0.25) & (abs(py - y) < 0.8)
        depth = np.where(board, np.minimum(depth, z), depth)
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def test_people_are_told_apart_as_hands_are():
    """Two pass by each other, 80 cm apart in depth; nothing about them is a hand's."""
    codec = {'cube_size': 2.0, 'input_size': 48, 'sigma': 1.0}
    info = ModelInfo('fake', 'body', {'joints': 15}, codec)
    models = [Model(torch.nn.Identity(), info, Path())]
    run = PoseEstimator(models, [Standing()], flip_test=False)
    tracker = Tracker(run, TrackerOptions(max_subjects=2))
    owners = {}
    for frame in range(61):
        x = -1.0 + frame / 30
        places = np.array([(x, 0, 2.6), (-x, 0, 3.4)])
        for skeleton in tracker(people(*places), CAMERA, 1000 + frame / 30).skeletons:
            assert skeleton.handedness == ''
            away = np.linalg.norm(bounding_box_middle(skeleton.positions) - places, axis=1)
            owners.setdefault(skeleton.number, set()).add(int(away.argmin()))
    assert sorted(map(sorted, owners.values())) == [[0], [1]]


# --- What is hidden. ---


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), skeleton=st.sampled_from([HAND, BODY]))
def test_what_is_on_the_bones_is_hidden_and_what_is_far_from_them_stays(seed, skeleton):
    random = np.random.default_rng(seed)
    margin = 0.035 if skeleton is HAND else 0.28
    centre = np.array([*random.uniform(-0.3, 0.3, 2), random.uniform(0.4, 3)])
    joints = (centre + margin * random.normal(size=(len(skeleton), 3))).astype(np.float32)
    depth = random.uniform(0.2, 3.2, (CAMERA.height, CAMERA.width)).astype(np.float32)
    # Something is measured right at every joint that is in view.
    for joint in joints[np.argsort(-joints[:, 2])]:
        column, row = np.rint(CAMERA.project(joint[None])[0]).astype(int)
        if joint[2] > 0.1 and 0 <= column < CAMERA.width and 0 <= row < CAMERA.height:
            depth[row, column] = joint[2]
    left = hide_subjects(depth, CAMERA, skeleton, [joints], margin)
    points = CAMERA.points(depth)
    hidden = (left == 0)[depth > 0]
    distance = np.linalg.norm(points[:, None] - joints, axis=-1)
    assert hidden[(distance < 0.1 * margin).any(1)].all()
    parents, children = np.array(skeleton.bones).T
    longest = np.linalg.norm(joints[parents] - joints[children], axis=-1).max()
    assert not hidden[(distance > longest + 12 * margin).all(1)].any()
    assert (left[left > 0] == depth[left > 0]).all()


def test_what_is_nearer_to_ones_own_bones_stays():
    own = np.tile(np.array([0.0, 0, 0.55], np.float32), (21, 1))
    other = np.tile(np.array([0.0, 0, 0.5], np.float32), (21, 1))
    front, behind = blob(0, 0, 0.51, size=SIZE), blob(0, 0, 0.54, size=SIZE)
    for image, stays in ((front, False), (behind, True)):
        left = hide_subjects(image, CAMERA, HAND, [other], 0.06, own)
        assert left.any() == stays
    assert not hide_subjects(behind, CAMERA, HAND, [other], 0.06).any()


def test_whoever_is_outside_the_image_hides_nothing():
    image = blob(0, 0, 0.5)
    away = np.tile(np.array([5.0, 0, 0.5], np.float32), (21, 1))
    behind = np.tile(np.array([0.0, 0, -5.0], np.float32), (21, 1))
    for joints in (away, behind):
        np.testing.assert_array_equal(hide_subjects(image, CAMERA, HAND, [joints], 0.035), image)


# --- Right or left. ---


def test_a_side_is_changed_by_clear_evidence_alone():
    side = SideEvidence('right', unknown=True)
    assert side.to_look_at() == ('right', 'left')
    for _ in range(10):
        side.see(0.8, 0.7)
    assert side.to_look_at() == ('right',)
    for _ in range(5):
        side.see(0.6, 0.8)
        assert side.side == 'right'
    for _ in range(5):
        side.see(0.6, 0.8)
    assert side.side == 'left'


def test_a_side_that_is_decided_is_still_checked_now_and_then():
    side = SideEvidence('right', unknown=True)
    looks = 0
    for _ in range(300):
        both = side.to_look_at()
        if len(both) == 2:
            looks += 1
            side.see(0.9, 0.7)
    assert side.side == 'right'
    assert 10 < looks < 40


def test_a_side_that_is_known_costs_no_second_look():
    side = SideEvidence('left')
    assert {side.to_look_at() for _ in range(50)} == {('left',)}


# --- Rendered hands. ---

RENDERED = Camera(320, 240, 238.0, 238.0, 159.5, 119.5)
MIDDLE = torch.tensor((0.005, 0.085, -0.012))  # of an open hand, in the hand frame


class Passing(HandCameraScene):
    """A raised right hand that moves its fingers and passes by at a constant speed."""

    def __init__(self, seed, start, velocity):
        """Start at a place [3] in metres and move at a velocity in m/s along x."""
        super().__init__(RENDERED, seed, noise=False, background=False)
        self.start, self.velocity = start, velocity

    def placement(self, time, angles):
        """Return rotation and position."""
        x, y, z = self.start
        return RAISED, torch.tensor((x + self.velocity * time, y, z)) - RAISED @ MIDDLE


def together(one, other):
    """Return the depth of two hands of which the nearer hides the farther."""
    both = np.where((one > 0) & (other > 0), np.minimum(one, other), np.maximum(one, other))
    return both.astype(np.float32)


@pytest.fixture(scope='module')
def hand_lite():
    return PoseEstimator.load('hand_lite', handedness='right')


@pytest.mark.parametrize(('seed', 'speed'), [(0, 0.3), (1, 0.6), (4, 1.0)])
def test_two_hands_that_cross_10_cm_apart_keep_their_numbers(hand_lite, seed, speed):
    """From 40 cm apart to 40 cm on the other side, the farther one hidden for a while."""
    front = Passing(seed, (-0.2, 0.0, 0.5), speed)
    back = Passing(seed + 1, (0.2, 0.0, 0.6), -speed)
    tracker = Tracker(hand_lite, TrackerOptions(max_subjects=2))
    owners, last = {}, {}
    for frame in range(round(0.4 / speed * 30) + 1):
        (near_image, near_joints), (far_image, far_joints) = (
            each.frame(frame / 30) for each in (front, back)
        )
        image = together(near_image, far_image)
        last = {}
        for skeleton in tracker(image, RENDERED, 1000 + frame / 30).skeletons:
            away = [
                np.linalg.norm(skeleton.positions - joints, axis=1).mean()
                for joints in (near_joints, far_joints)
            ]
            owners.setdefault(skeleton.number, set()).add(int(np.argmin(away)))
            last[skeleton.number] = min(away)
    assert owners == {1: {0}, 2: {1}} or owners == {1: {1}, 2: {0}}
    assert set(last) == {1, 2}
    assert max(last.values()) < 0.03


def test_right_and_left_hands_are_told_apart():
    estimator = PoseEstimator.load('hand_lite', handedness='auto')
    for seed in range(3):
        scene = HandCameraScene(RENDERED, seed)
        for side in ('right', 'left'):
            tracker = Tracker(estimator)
            for frame in range(8):
                depth = scene.frame(frame / 15)[0]
                depth = depth if side == 'right' else np.ascontiguousarray(depth[:, ::-1])
                found = tracker(depth, RENDERED, 1000 + frame / 15).skeletons
            assert [each.handedness for each in found] == [side]
