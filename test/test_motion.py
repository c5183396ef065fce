"""Who moves is preferred to who is nearest, before a camera that stands still."""

import numpy as np
import pytest
from test_estimator import CAMERA, Centroid, estimator

from v2v_pose_ros.localization import bounding_box_middle, LocalizerOptions
from v2v_pose_ros.tracking import Tracker, TrackerOptions
from v2v_pose_ros.tracking.motion import MotionDetector

PERIOD = 1 / 30
HAND = LocalizerOptions.of('hand')
ROOM = LocalizerOptions((0.3, 5.0))
RAYS_X, RAYS_Y = CAMERA.rays


def ball(depth, x, y, z, radius):
    """Put a ball (metres) into a depth image, before what is behind it."""
    depth = depth.copy()
    inside = np.hypot(RAYS_X * z - x, RAYS_Y * z - y) < radius
    depth[inside & ((depth == 0) | (depth > z))] = z
    return depth


def wall(distance=4.0, noise=0.0, seed=0):
    depth = np.full((CAMERA.height, CAMERA.width), distance, np.float32)
    return depth + np.random.default_rng(seed).normal(0, noise, depth.shape).astype(np.float32)


def places(frames, options=ROOM, period=PERIOD):
    detector = MotionDetector(2.0)
    return [
        detector.places(depth, CAMERA, 1000 + k * period, options)
        for k, depth in enumerate(frames)
    ]


def test_it_takes_a_moment_to_know():
    seen = places([wall()] * 15)
    assert seen[:9] == [None] * 9
    assert seen[10:] == [[]] * 5


@pytest.mark.parametrize(
    'way', [(1.0, 0, 0), (0, 0, -1.0), (0, 0, 1.0)], ids=['aside', 'nearer', 'farther']
)
def test_what_moves_is_found_whichever_way(way):
    still = ball(wall(), -0.6, 0, 1.5, 0.25)
    way = np.array(way)
    frames = [ball(still, *(np.array([0.5, 0, 2.5]) + PERIOD * k * way), 0.25) for k in range(12)]
    (place,) = places(frames)[-1]
    now = np.array([0.5, 0, 2.5]) + PERIOD * 11 * way
    np.testing.assert_allclose(place, now, atol=0.2)


def test_noise_moves_nothing():
    """A Kinect's depth is noisy by 1.4 cm at 3 m, growing with its square."""
    frames = [ball(wall(4.0, 0.025, seed), 0, 0, 2.0, 0.3) for seed in range(12)]
    assert places(frames)[-1] == []


def test_a_camera_that_turns_moves_nothing():
    slanted = wall() + 4 * RAYS_X
    frames = [np.roll(ball(slanted, 0, 0, 2.0, 0.3), 6 * k, axis=1) for k in range(12)]
    assert places(frames)[-1] == []


def test_images_of_another_time_are_not_compared():
    detector = MotionDetector(2.0)
    for k in range(12):
        assert detector.places(wall(4.0), CAMERA, 1000 + k * PERIOD, ROOM) in (None, [])
    assert detector.places(wall(3.0), CAMERA, 2000.0, ROOM) is None
    assert detector.places(wall(3.0), CAMERA, 1500.0, ROOM) is None


def show(prefer, frames, network=None):
    """Return where the hand is in the last of some frames."""
    tracker = Tracker(estimator(network or Centroid(), passes=2), TrackerOptions(prefer=prefer))
    middles = []
    for k, depth in enumerate(frames):
        skeletons = tracker(depth, CAMERA, 1000 + k * PERIOD).skeletons
        middles.append(bounding_box_middle(skeletons[0].positions) if skeletons else None)
    return middles


def two_hands(moving):
    """One is near and still, one is farther away and moves aside."""
    empty = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    still = ball(empty, -0.25, 0, 0.5, 0.05)
    return [
        ball(still, 0.2 + moving * k * 0.01, 0, 0.8, 0.07)
        for k in range(14)
    ]  # fmt: skip


def test_the_nearest_is_acquired_by_default():
    for middle in show('nearest', two_hands(moving=True)):
        np.testing.assert_allclose(middle, [-0.25, 0, 0.5], atol=0.02)


def test_the_moving_one_is_acquired_where_that_is_preferred():
    network = Centroid()
    middles = show('moving', two_hands(moving=True), network)
    assert len(network.grids) <= 2 * 14  # two looks at most in an image
    assert middles[:9] == [None] * 9
    for k, middle in enumerate(middles[10:], start=10):
        np.testing.assert_allclose(middle, [0.2 + k * 0.01, 0, 0.8], atol=0.03)


def test_where_nobody_moves_the_nearest_is_acquired():
    middles = show('moving', two_hands(moving=False))
    np.testing.assert_allclose(middles[-1], [-0.25, 0, 0.5], atol=0.02)
