"""What several looks at one subject say together."""

from dataclasses import replace

import numpy as np

from v2v_pose_ros.estimator import SkeletonEstimate
from v2v_pose_ros.estimator.fusion import fused
from v2v_pose_ros.skeletons import HAND

JOINTS = np.random.default_rng(3).uniform(-0.08, 0.08, (21, 3)).astype(np.float32)


def look(shift, confidence, reference=(0, 0, 0)):
    return SkeletonEstimate(
        skeleton=HAND,
        positions=JOINTS + np.float32(shift),
        confidences=np.full(21, confidence, np.float32),
        covariances=np.tile(np.eye(3, dtype=np.float32) * confidence, (21, 1, 1)),
        reference_point=np.array(reference, np.float32),
        cube_size=0.25,
        points=np.zeros((60, 3), np.float32),
        handedness='left',
    )


def test_one_look_stays_as_it_is():
    one = look(0.01, 0.7)
    np.testing.assert_allclose(fused([one]).positions, one.positions, atol=1e-7)
    np.testing.assert_allclose(fused([one]).confidences, one.confidences)


def test_equal_looks_are_averaged():
    both = fused([look(-0.004, 0.8), look(0.008, 0.8)])
    np.testing.assert_allclose(both.positions, JOINTS + 0.002, atol=1e-5)
    assert both.handedness == 'left'
    assert both.positions.dtype == both.covariances.dtype == np.float32


def test_looks_count_by_their_squared_confidence():
    """0.9 and 0.3 count as 9 to 1."""
    both = fused([look(0.01, 0.3), look(0.0, 0.9)])
    np.testing.assert_allclose(both.positions, JOINTS + 0.001, atol=2e-5)
    np.testing.assert_allclose(both.confidences, 0.84, atol=1e-3)


def test_a_look_has_no_say_in_joints_beyond_its_cube():
    beyond = JOINTS[:, 0] < -0.02
    first = look(0.01, 0.8, reference=(0.1, 0, 0))  # its cube begins at -0.025
    both = fused([first, look(0.0, 0.8)])
    assert 3 < beyond.sum() < 18
    np.testing.assert_allclose(both.positions[beyond], JOINTS[beyond], atol=1e-7)
    np.testing.assert_allclose(
        both.positions[JOINTS[:, 0] > 0], JOINTS[JOINTS[:, 0] > 0] + 0.005, atol=1e-4
    )


def test_joints_that_nobody_is_sure_of_are_the_last_looks():
    both = fused([look(0.01, 0.0), replace(look(0.0, 0.0))])
    np.testing.assert_allclose(both.positions, JOINTS, atol=1e-7)
