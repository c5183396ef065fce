"""Tracking: when a subject is acquired, kept and lost, with estimators whose answer is known."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from test_estimator import blob, CAMERA, Centroid, estimator

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import Estimate, PoseEstimator, SkeletonEstimate
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.tracking import Tracker, TrackerOptions

PERIOD = 1 / 30
EMPTY = np.zeros((240, 320), np.float32)


@dataclass
class Scripted:
    """Sees a hand at a place with a confidence, and notes how it was asked."""

    confidence: float = 0.8
    place: tuple[float, float, float] = (0.0, 0.0, 0.5)
    cube_size: float = 0.25
    handedness: str = 'right'
    asked: list = field(default_factory=list)

    def without(self, depth, camera, others, own=None):
        """There is nobody else."""
        assert not others
        return depth

    def __call__(self, depth, camera, reference=None, passes=None, handedness=None, **_):
        self.asked.append(
            None if reference is None else tuple(np.round(np.float64(reference), 3).tolist())
        )
        place = np.array(self.place, np.float32)
        near = reference is None or np.abs(place - reference).max() < self.cube_size / 2
        if self.confidence == 0 or not near:
            return Estimate((), {})
        hand = SkeletonEstimate(
            skeleton=HAND,
            positions=np.tile(place, (21, 1)),
            confidences=np.full(21, self.confidence, np.float32),
            covariances=np.zeros((21, 3, 3), np.float32),
            reference_point=place,
            cube_size=self.cube_size,
            points=np.zeros((0, 3), np.float32),
            handedness='right',
        )
        return Estimate((hand,), {})


class Stream:
    """Shows frames at 30 Hz to a tracker."""

    def __init__(self, **options):
        self.eyes = Scripted()
        self.tracker = Tracker(self.eyes, TrackerOptions(**options))
        self.stamp = 1000.0

    def show(self, confidence=None, place=None, after=PERIOD, reference=None):
        """Show a frame; tell whether a skeleton was published."""
        self.stamp += after
        self.eyes.confidence = self.eyes.confidence if confidence is None else confidence
        self.eyes.place = place or self.eyes.place
        return bool(self.tracker(EMPTY, CAMERA, self.stamp, reference).skeletons)

    def show_for(self, seconds, confidence):
        return [self.show(confidence) for _ in range(round(seconds / PERIOD))]


def test_tracking_follows_without_searching_and_searches_when_lost():
    network = Centroid()
    tracker = Tracker(estimator(network, passes=2))
    stamps = iter(1000 + np.arange(20) * PERIOD)
    assert tracker(blob(0, 0, 0.5), CAMERA, next(stamps)).skeletons
    for step in range(1, 6):
        before = len(network.grids)
        found = tracker(blob(0.02 * step, 0, 0.5), CAMERA, next(stamps))
        assert len(network.grids) == before + 1
        middle = bounding_box_middle(found.skeletons[0].positions)
        np.testing.assert_allclose(middle, [0.02 * step, 0, 0.5], atol=0.004)
    jumped = tracker(blob(-0.3, 0.1, 0.9), CAMERA, next(stamps))
    middle = bounding_box_middle(jumped.skeletons[0].positions)
    np.testing.assert_allclose(middle, [-0.3, 0.1, 0.9], atol=0.008)
    assert not tracker(np.zeros((240, 320), np.float32), CAMERA, next(stamps)).skeletons
    assert tracker(blob(0, 0, 0.5), CAMERA, next(stamps)).skeletons


def test_acquiring_takes_more_confidence_than_keeping():
    stream = Stream(min_confidence=0.5, acquire_margin=0.1)
    assert not stream.show(0.55)
    assert stream.show(0.62)
    assert stream.show(0.55)
    assert not stream.show(0.45)
    assert stream.show(0.55)


def test_confidence_on_the_verge_does_not_flicker():
    noisy = np.random.default_rng(0).uniform(0.51, 0.59, 300)
    with_margin, without = Stream(acquire_margin=0.1), Stream(acquire_margin=0.0)
    assert not any(with_margin.show(each) for each in noisy)
    assert with_margin.show(0.7)
    assert all(with_margin.show(each) for each in noisy)
    assert all(without.show(each) for each in noisy)


def test_a_subject_is_lost_after_the_stated_time():
    stream = Stream(min_confidence=0.5, acquire_margin=0.1, lose_time=0.5)
    for pause, kept in ((0.4, True), (0.6, False)):
        assert stream.show(0.8)
        acquired = stream.tracker.acquisitions
        assert not any(stream.show_for(pause, 0.0))
        # On its return, one that was kept is the same and needs no more than to be kept.
        assert stream.show(0.55) == kept
        assert stream.tracker.acquisitions == acquired


def test_a_missed_frame_has_no_skeleton_and_is_told():
    stream = Stream(lose_time=0.5)
    assert stream.tracker.state == 'searching'
    stream.show(0.8)
    assert stream.tracker.state == 'tracking'
    assert not stream.show(0.0)
    assert stream.tracker.state == 'coasting'
    stream.show_for(1.0, 0.0)
    assert stream.tracker.state == 'searching'


@pytest.mark.parametrize('rate', [15, 30, 60])
@pytest.mark.parametrize('away', [0.1, 0.4, 1.0, 60.0])
def test_a_returning_hand_is_published_with_its_first_good_frame(rate, away):
    """So it takes no longer than a frame, below 200 ms at 15 Hz and more."""
    stream = Stream()
    assert stream.show(0.8)
    for _ in range(round(away * rate)):
        assert not stream.show(0.0, after=1 / rate)
    assert stream.show(0.8, after=1 / rate, place=(0.2, 0.1, 0.7))


def test_a_new_subject_may_have_to_be_seen_for_some_time():
    stream = Stream(acquire_time=0.19, lose_time=0.5)
    shown = stream.show_for(0.4, 0.8)
    assert shown == [False] * 6 + [True] * 6
    # A gap in its first moments starts the time again; later it does not.
    assert not stream.show(0.0)
    assert stream.show(0.8)
    stream.show_for(1.0, 0.0)
    assert stream.show_for(0.1, 0.8) == [False] * 3
    assert not stream.show(0.0)
    assert stream.show_for(0.3, 0.8) == [False] * 6 + [True] * 3


def test_another_one_elsewhere_is_a_new_subject():
    stream = Stream(min_confidence=0.5, acquire_margin=0.1)
    assert stream.show(0.8)
    assert not stream.show(0.55, place=(0.4, 0.0, 0.5))  # enough to be kept, not to be acquired
    assert stream.show(0.8)
    assert stream.tracker.acquisitions == 2


@pytest.mark.parametrize('jump', [-10.0, 0.6, 3600.0])
def test_a_jump_in_time_loses_the_subject(jump):
    stream = Stream(lose_time=0.5)
    stream.show(0.8)
    stream.show(0.8)
    assert stream.eyes.asked[-1] is not None
    assert stream.show(0.8, after=jump)
    assert stream.eyes.asked[-1] is None
    assert stream.tracker.acquisitions == 2


def test_reset_forgets():
    stream = Stream()
    stream.show(0.8)
    stream.tracker.reset()
    assert stream.tracker.state == 'searching'
    stream.show(0.8)
    assert stream.eyes.asked == [None, None]


def test_a_reference_point_is_where_a_new_subject_is_looked_for():
    stream = Stream()
    point = np.array([0.05, 0.0, 0.5], np.float32)
    assert stream.show(0.8, reference=point)
    assert stream.eyes.asked == [(0.05, 0.0, 0.5)]
    # Then it is followed as long as it stays near the point.
    assert stream.show(0.8, reference=point)
    assert stream.eyes.asked[1:] == [(0.0, 0.0, 0.5)]
    # A point elsewhere lets it go.
    assert not stream.show(0.8, reference=np.array([0.6, 0.0, 0.5], np.float32))
    assert stream.eyes.asked[2:] == [(0.6, 0.0, 0.5)]


def test_the_shipped_hand_is_published_within_200_ms_of_its_return_at_15_hz():
    camera, rate, stay = Camera(320, 240, 238.0, 238.0, 159.5, 119.5), 15, 9
    scene = HandCameraScene(camera, seed=0)
    tracker = Tracker(PoseEstimator.load('hand_lite'))

    def show(number, present):
        depth, joints = scene.frame(number / rate)[:2]
        if not present:
            near = abs(depth - joints[:, 2].mean()) < 0.25
            depth = np.where(near, 0, depth).astype(np.float32)
        return bool(tracker(depth, camera, 1000 + number / rate).skeletons)

    for first in range(0, 4 * stay, 2 * stay):
        # 0.2 s at 15 Hz are three frames.
        assert any([show(first + number, True) for number in range(stay)][:3])
        assert not any(show(first + stay + number, False) for number in range(stay))
