"""A hand at rest: the cube stays where it is, and the fingertips tremble little."""

import math

import numpy as np
import pytest
from test_tracking import Stream
import torch

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.filters import OneEuroFilter
from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.tracking import Tracker

RATE = 30
CUBE = 0.25  # m, of the scripted eyes
TIPS = HAND.indices([f'{finger}_tip' for finger in FINGERS])


def test_the_cube_of_a_subject_that_trembles_stays():
    stream, random = Stream(), np.random.default_rng(0)
    stream.show()
    stream.eyes.asked.clear()
    for _ in range(60):
        x, y, z = random.normal(scale=0.001, size=3)
        assert stream.show(place=(x, y, 0.5 + z))
    assert len(set(stream.eyes.asked)) == 1


def test_the_cube_goes_along_with_a_subject_that_moves():
    stream = Stream()
    stream.show()
    for step in range(1, 60):
        x = 0.005 * step
        assert stream.show(place=(x, 0.0, 0.5))
        # The subject is seen where it is, and never far from the middle of its cube.
        assert abs(stream.eyes.asked[-1][0] - x) < 0.1 * CUBE


class StillHand(HandCameraScene):
    """A hand that keeps a pose; only the sensor's noise is new in every frame."""

    def __init__(self, seed: int) -> None:
        super().__init__(sr305(), seed=seed)
        motion = self._motion
        self._motion = lambda _: motion(1.6)

    def placement(self, time: float, angles: torch.Tensor):
        return super().placement(1.6, angles)


@pytest.mark.parametrize('seed', [0, 4])
def test_fingertips_of_a_hand_at_rest_tremble_by_less_than_a_millimetre_and_a_half(seed):
    scene, tracker = StillHand(seed), Tracker(PoseEstimator.load('hand_lite'))
    steady, tips = OneEuroFilter(), []
    for frame in range(3 * RATE):
        stamp = frame / RATE
        (hand,) = tracker(scene.frame(stamp)[0], scene.camera, stamp).skeletons
        tips.append(steady(hand.positions, stamp, hand.covariances)[TIPS])
    away = np.array(tips[RATE:]) - np.mean(tips[RATE:], axis=0)
    assert 1e3 * math.sqrt((away**2).sum(axis=-1).mean()) < 1.5


@pytest.mark.parametrize(('moved', 'amplitude'), [('the hand', 0.05), ('its fingertips', 0.02)])
def test_a_wave_at_one_hertz_lags_by_less_than_forty_milliseconds(moved, amplitude):
    times = np.arange(4 * RATE) / RATE
    path = np.zeros((len(times), len(HAND), 3))
    joints = slice(None) if moved == 'the hand' else TIPS
    path[:, joints, 0] = amplitude * np.sin(math.tau * times)[:, None]
    steady = OneEuroFilter()
    out = np.array([steady(x, time) for x, time in zip(path, times, strict=True)])
    tip, settled = out[RATE:, TIPS[0], 0], times[RATE:]
    sine, cosine = (2 * np.mean(tip * wave(math.tau * settled)) for wave in (np.sin, np.cos))
    lag = -1e3 * math.atan2(cosine, sine) / math.tau
    assert 0 < lag < 40
