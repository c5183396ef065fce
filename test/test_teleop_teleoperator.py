"""From skeletons to commands: none before arming, held after a loss, never too fast."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from teleop_hands import open_hand, pinching_hand
from teleop_operator import armed, Operator, OPTIONS, PERIOD

from v2v_pose_ros.teleoperation.hand import finger_angles, wrist_frame
from v2v_pose_ros.teleoperation.limits import WristLimits
from v2v_pose_ros.teleoperation.teleoperator import TeleoperatorOptions

HALF_AS_LARGE_AGAIN = 1.5 * open_hand((0.0, 0.0, 0.5 / 1.5))


def test_a_hand_is_measured_but_commands_nothing_before_arming():
    operator = Operator()
    for _ in range(30):
        assert operator.show(open_hand()) is None
        assert operator.wait(0.02) is None
    measured = operator.teleoperator.measured
    np.testing.assert_allclose(measured.wrist.position, [0, 0, 0.5])
    np.testing.assert_allclose(measured.wrist.rotation, wrist_frame(open_hand()))
    np.testing.assert_allclose(measured.finger_angles, finger_angles(open_hand()))


def test_the_first_command_is_where_the_hand_is():
    command = armed().teleoperator.command
    assert not command.held
    np.testing.assert_allclose(command.hand.wrist.position, [0, 0, 0.5])
    np.testing.assert_allclose(command.hand.finger_angles, finger_angles(open_hand()))
    assert command.robot_joints is None


@pytest.mark.parametrize('loss', ['unseen', 'silent', 'unsure', 'flawed', 'jumped'])
def test_a_lost_hand_holds_the_command_at_rest(loss):
    operator = armed()
    for step in range(10):
        last = operator.show(open_hand((0.01 * step, 0, 0.5)))
    assert np.linalg.norm(last.hand.wrist.linear) > 0.05
    if loss == 'unseen':
        held = operator.show(None)
    elif loss == 'silent':
        held = operator.wait(2 * PERIOD)
    elif loss == 'unsure':
        held = operator.show(open_hand((0.1, 0, 0.5)), confidence=0.1)
    elif loss == 'flawed':
        held = operator.show(open_hand((0.1, 0, 0.5)), flaw='another frame')
    else:
        held = operator.show(open_hand((0.9, 0, 0.5)))
    assert held.held
    np.testing.assert_array_equal(held.hand.wrist.position, last.hand.wrist.position)
    np.testing.assert_array_equal(held.hand.finger_angles, last.hand.finger_angles)
    assert not held.hand.wrist.linear.any()
    assert not held.hand.wrist.angular.any()


def test_a_lost_hand_stops_the_command_if_wanted():
    operator = armed(TeleoperatorOptions(hold=False))
    assert operator.show(None) is None
    assert operator.show(open_hand()) is not None
    operator.show(None, frames=10)
    assert operator.show(open_hand(), frames=30) is None


@pytest.mark.parametrize('hold', [True, False])
def test_a_robot_that_stood_still_starts_from_rest(hold):
    operator = armed(TeleoperatorOptions(hold=hold))
    for x in np.linspace(0, 0.1, 12):
        operator.show(open_hand((x, 0, 0.5)))
    assert np.linalg.norm(operator.teleoperator.command.hand.wrist.linear) > 0.1
    operator.show(None, frames=10)
    operator.show(open_hand((0.1, 0, 0.5)), frames=30)
    assert operator.arm() is None
    command = operator.show(open_hand((0.1, 0, 0.5)))
    assert np.linalg.norm(command.hand.wrist.linear) < 0.02


def test_after_a_loss_the_command_stays_until_armed_again_and_then_moves_slowly():
    operator = armed()
    operator.show(None, frames=10)
    there = open_hand((0.4, 0, 0.5))
    held = operator.show(there, frames=60)
    assert operator.state == 'lost'
    assert held.held
    assert operator.arm() is None
    command = operator.show(there)
    assert not command.held
    assert command.hand.wrist.position[0] <= OPTIONS.wrist.linear * PERIOD + 1e-9
    command = operator.show(there, frames=60)
    np.testing.assert_allclose(command.hand.wrist.position, [0.4, 0, 0.5])


def test_speed_limits_hold_over_short_holds_of_a_fast_camera():
    """Every other frame of a 90 Hz camera is unsure."""
    operator = armed(TeleoperatorOptions(wrist=WristLimits(linear=0.5)))
    start = operator.teleoperator.command.hand.wrist.position
    began, far = operator.now, open_hand((0.1, 0.0, 0.5))
    for index in range(30):
        operator.now += 1 / 90 - PERIOD  # show adds a period of 30 Hz
        operator.show(far, confidence=0.9 if index % 2 else 0.1)
    way = np.linalg.norm(operator.teleoperator.command.hand.wrist.position - start)
    assert 0.01 < way <= 0.5 * (operator.now - began) + 1e-6


def test_the_operator_disarms_at_once():
    operator = armed()
    operator.teleoperator.request(False, operator.now, 'a test')
    assert operator.state == 'disarmed'
    assert operator.teleoperator.command.held
    assert 'a test' in operator.teleoperator.safety.reason


@pytest.mark.parametrize(
    'positions',
    [np.zeros((21, 3)), 100 * open_hand(), np.full((21, 3), np.nan)],
    ids=['a point', 'a giant', 'nan'],
)
def test_what_is_no_hand_is_not_followed(positions):
    operator = armed()
    assert operator.show(positions).held
    assert operator.teleoperator.measured is None


def test_the_size_of_a_hand_is_held_until_another_one_may_have_come():
    def length(operator, **changes):
        operator.show(HALF_AS_LARGE_AGAIN, **changes)
        return operator.teleoperator.measured.palm_length

    operator = Operator()
    operator.show(open_hand(), frames=60)
    before = operator.teleoperator.measured.palm_length
    assert length(operator) == before
    assert length(operator, subject='hand_2') == pytest.approx(1.5 * before)
    operator = Operator()
    operator.show(open_hand(), frames=60)
    operator.wait(1.1)
    assert length(operator) == pytest.approx(1.5 * before)


def test_after_a_loss_the_size_of_the_hand_is_estimated_anew():
    operator = armed()
    operator.show(open_hand(), frames=60)
    before = operator.teleoperator.measured.palm_length
    operator.show(None, frames=6)
    assert operator.state == 'lost'
    operator.show(HALF_AS_LARGE_AGAIN)
    assert operator.teleoperator.measured.palm_length == pytest.approx(1.5 * before)


def test_openings_are_commanded_no_faster_than_they_may_be():
    operator = armed(TeleoperatorOptions(opening_speed=2.0))
    pinch = [operator.show(pinching_hand()).hand.openings[0] for _ in range(20)]
    assert operator.teleoperator.measured.openings[0] == 0
    np.testing.assert_allclose(-np.diff(pinch)[:10], 2.0 * PERIOD)
    assert pinch[-1] == 0


def test_points_are_commanded_as_they_are_measured():
    operator = armed()
    command = operator.show(pinching_hand())
    np.testing.assert_array_equal(command.hand.keypoints, operator.teleoperator.measured.keypoints)
    assert operator.show(None).held
    np.testing.assert_array_equal(
        operator.teleoperator.command.hand.keypoints, command.hand.keypoints
    )


def test_a_skeleton_that_comes_late_is_not_followed():
    operator = armed()
    assert operator.show(open_hand(), age=0.9).held


class Broken:
    """A robot hand whose solver gives no numbers."""

    joint_names = ('finger',)
    lower, upper, velocity = np.array([0.0]), np.array([1.0]), np.array([2.0])
    target = 0.5

    def __call__(self, points, openings, angles):
        assert points.shape == (21, 3)
        return np.array([self.target])


def test_robot_joints_are_commanded_within_their_limits():
    robot = Broken()
    operator = armed(retargeter=robot)
    assert operator.teleoperator.command.robot_joints == pytest.approx([0.5])
    robot.target = 5.0
    command = operator.show(open_hand())
    assert command.robot_joints == pytest.approx([0.5 + 2.0 * PERIOD])
    assert operator.show(open_hand(), frames=30).robot_joints == pytest.approx([1.0])


def test_robot_joints_start_from_where_the_robot_is():
    robot = Broken()
    operator = Operator(retargeter=robot)
    operator.show(open_hand())
    operator.teleoperator.start_robot_at(np.array([1.0]))
    operator.arm()
    assert operator.show(open_hand()).robot_joints[0] >= 1.0 - 2.0 * PERIOD - 1e-9


def test_a_solver_without_a_solution_is_a_loss():
    robot = Broken()
    operator = armed(retargeter=robot)
    robot.target = np.nan
    command = operator.show(open_hand())
    assert command.held
    assert operator.state == 'lost'
    assert command.robot_joints == pytest.approx([0.5])


def test_joints_of_the_robot_may_be_slowed_down():
    robot = Broken()
    operator = armed(TeleoperatorOptions(joint_speed=0.1), robot)
    robot.target = 1.0
    assert operator.show(open_hand()).robot_joints == pytest.approx([0.5 + 0.2 * PERIOD])


EVENTS = st.lists(
    st.sampled_from(['hand', 'hand', 'hand', 'far', 'none', 'unsure', 'wait', 'arm', 'disarm']),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, hold=st.booleans())
def test_commands_move_only_while_armed_and_never_too_fast(events, hold):
    limits = WristLimits(linear=0.5, angular=2.0)
    operator = Operator(TeleoperatorOptions(wrist=limits, hold=hold))
    ever_armed, last, last_time, x = False, None, 0.0, 0.0
    for event in events:
        if event == 'arm':
            ever_armed |= operator.arm() is None
        elif event == 'disarm':
            operator.teleoperator.request(False, operator.now, 'a test')
        elif event == 'wait':
            operator.wait(0.06)
        else:
            x += {'hand': 0.03, 'far': 0.4}.get(event, 0.0)
            confidence = 0.2 if event == 'unsure' else 0.9
            positions = None if event == 'none' else open_hand((x, 0, 0.5))
            operator.show(positions, confidence=confidence)
        command = operator.teleoperator.command
        if command is None:
            assert not (hold and last is not None)
            continue
        assert ever_armed
        if last is not None:
            shift = np.linalg.norm(command.hand.wrist.position - last.hand.wrist.position)
            assert shift <= limits.linear * min(operator.now - last_time, 0.1) + 1e-9
            if operator.state != 'armed':
                assert command.held
                assert not command.hand.wrist.linear.any()
        if last is None or not command.held:
            last_time = operator.now
        last = command
