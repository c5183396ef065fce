"""Commands reach their targets, but never faster than they may."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from v2v_pose_ros.teleoperation.limits import JointFollower, WristFollower, WristLimits

PERIOD = 1 / 30
seeds = st.integers(0, 2**32 - 1)


def angle(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.linalg.norm(Rotation.from_matrix(second @ first.T).as_rotvec()))


@given(seed=seeds)
def test_wrist_is_never_faster_than_its_limits(seed):
    rng = np.random.default_rng(seed)
    limits = WristLimits(linear=0.5, angular=2.0)
    follow = WristFollower(limits)
    last = follow(np.zeros(3), np.eye(3), PERIOD)
    for _ in range(20):
        period = rng.uniform(0.001, 0.1)
        target = Rotation.random(random_state=rng).as_matrix()
        command = follow(rng.normal(size=3), target, period)
        shift = np.linalg.norm(command.position - last.position)
        assert shift <= limits.linear * period + 1e-9
        assert angle(last.rotation, command.rotation) <= limits.angular * period + 1e-6
        assert np.linalg.norm(command.linear) <= limits.linear + 1e-9
        assert np.linalg.norm(command.angular) <= limits.angular + 1e-6
        last = command


def test_wrist_arrives_and_comes_to_rest():
    follow = WristFollower(WristLimits())
    follow(np.zeros(3), np.eye(3), PERIOD)
    target, turn = np.array([0.3, 0.1, 0]), Rotation.from_rotvec([0, 1.2, 0]).as_matrix()
    for _ in range(60):
        command = follow(target, turn, PERIOD)
    np.testing.assert_allclose(command.position, target)
    np.testing.assert_allclose(command.rotation, turn, atol=1e-9)
    np.testing.assert_allclose(command.linear, 0, atol=1e-3)
    np.testing.assert_allclose(command.angular, 0, atol=1e-3)


def test_velocity_is_that_of_the_motion():
    follow = WristFollower(WristLimits(linear=5.0, angular=20.0), cutoff=5.0)
    for frame in range(60):
        turn = Rotation.from_rotvec([0, 0, 1.5 * frame * PERIOD]).as_matrix()
        command = follow(np.array([0.2 * frame * PERIOD, 0, 0]), turn, PERIOD)
    np.testing.assert_allclose(command.linear, [0.2, 0, 0], atol=1e-3)
    np.testing.assert_allclose(command.angular, [0, 0, 1.5], atol=1e-3)


def test_a_wrist_that_rests_has_no_velocity():
    follow = WristFollower(WristLimits())
    follow(np.zeros(3), np.eye(3), PERIOD)
    follow(np.ones(3), np.eye(3), PERIOD)
    follow.rest()
    command = follow(np.ones(3), np.eye(3), 1e-3)
    assert np.linalg.norm(command.linear) < 0.1


@given(seed=seeds)
def test_joints_stay_within_position_and_velocity_limits(seed):
    rng = np.random.default_rng(seed)
    lower, upper = np.array([-0.5, 0.0]), np.array([1.5, 0.04])
    speed = np.array([3.0, 0.2])
    follow = JointFollower(lower, upper, speed)
    last = follow(rng.normal(size=2), PERIOD)
    for _ in range(20):
        period = rng.uniform(0.001, 0.1)
        joints = follow(10 * rng.normal(size=2), period)
        assert (joints >= lower).all()
        assert (joints <= upper).all()
        assert (np.abs(joints - last) <= speed * period + 1e-12).all()
        last = joints


def test_joints_start_from_where_the_robot_is():
    follow = JointFollower(np.array([-1.0]), np.array([1.0]), np.array([3.0]))
    follow.start_at(np.array([0.9]))
    assert follow(np.array([-1.0]), 0.1) == pytest.approx([0.6])


def test_a_joint_without_a_velocity_limit_goes_at_once():
    follow = JointFollower(np.array([-1.0]), np.array([1.0]), np.array([np.inf]))
    follow(np.array([-1.0]), PERIOD)
    assert follow(np.array([1.0]), PERIOD) == pytest.approx([1.0])


def test_impossible_limits_are_refused():
    with pytest.raises(ValueError, match='joint limits'):
        JointFollower(np.array([1.0]), np.array([-1.0]), np.array([1.0]))
    with pytest.raises(ValueError, match='speed limits'):
        WristLimits(linear=0.0)
