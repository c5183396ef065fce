"""What arms a teleoperator and disarms it: a pedal or a gesture, once it was seen released."""

import pytest
from teleop_hands import fist, open_hand, pinching_hand
from teleop_operator import Operator

from v2v_pose_ros.teleoperation.dead_man import Gesture
from v2v_pose_ros.teleoperation.safety import SafetyOptions
from v2v_pose_ros.teleoperation.teleoperator import TeleoperatorOptions

BY_TOPIC = TeleoperatorOptions(dead_man='topic')
PINCH = TeleoperatorOptions(dead_man='gesture', gesture_time=0.3)
BY_FIST = TeleoperatorOptions(dead_man='gesture', gesture=Gesture('grasp'), gesture_time=0.1)


def test_topic_arms_while_it_is_repeated():
    operator = Operator(BY_TOPIC)
    operator.show(open_hand())
    operator.teleoperator.beat(False, operator.now)
    operator.teleoperator.beat(True, operator.now)
    assert not operator.show(open_hand()).held
    for _ in range(30):
        operator.teleoperator.beat(True, operator.now)
        assert not operator.show(open_hand()).held
    assert operator.show(open_hand(), frames=20).held
    assert operator.state == 'disarmed'


def test_a_pedal_that_was_held_since_the_start_arms_nothing_until_it_was_released():
    operator = Operator(BY_TOPIC)
    for _ in range(60):
        operator.teleoperator.beat(True, operator.now)
        assert operator.show(open_hand()) is None
        assert 'release it first' in operator.teleoperator.safety.reason
    operator.teleoperator.beat(False, operator.now)
    operator.teleoperator.beat(True, operator.now)
    assert not operator.show(open_hand()).held


def test_a_pedal_that_nobody_heard_for_a_while_has_to_be_released():
    operator = Operator(BY_TOPIC)
    operator.show(open_hand())
    operator.teleoperator.beat(False, operator.now)
    operator.teleoperator.beat(True, operator.now)
    operator.show(open_hand(), frames=20)
    assert operator.state == 'disarmed'
    operator.teleoperator.beat(True, operator.now)
    assert operator.show(open_hand()).held
    assert operator.state == 'disarmed'


def test_a_dead_man_that_is_pressed_before_the_hand_comes_arms_when_it_comes():
    operator = Operator(BY_TOPIC)
    operator.teleoperator.beat(False, operator.now)
    operator.teleoperator.beat(True, operator.now)
    operator.show(None, frames=3)
    assert operator.state == 'disarmed'
    assert not operator.show(open_hand(), frames=2).held


def test_topic_has_to_be_released_after_a_loss():
    operator = Operator(BY_TOPIC)
    operator.show(open_hand())

    def beat(level: bool, positions, frames: int = 10) -> None:
        for _ in range(frames):
            operator.teleoperator.beat(level, operator.now)
            operator.show(positions)

    beat(False, open_hand(), frames=1)
    beat(True, open_hand())
    assert operator.state == 'armed'
    beat(True, None)
    beat(True, open_hand(), frames=60)
    assert operator.state == 'lost'
    beat(False, open_hand(), frames=2)
    assert operator.state == 'disarmed'
    beat(True, open_hand())
    assert operator.state == 'armed'


def test_a_pinch_arms_while_it_lasts():
    operator = Operator(TeleoperatorOptions(dead_man='gesture', gesture_time=0.2))
    operator.show(open_hand(), frames=5)
    operator.show(pinching_hand(), frames=4)
    assert operator.state == 'disarmed'
    operator.show(pinching_hand(), frames=4)
    assert operator.state == 'armed'
    operator.show(None, frames=10)
    operator.show(pinching_hand(), frames=30)
    assert operator.state == 'lost'
    operator.show(open_hand(), frames=3)
    assert operator.state == 'disarmed'
    operator.show(pinching_hand(), frames=10)
    assert operator.state == 'armed'


def test_a_pinch_toggles_if_wanted():
    operator = Operator(
        TeleoperatorOptions(dead_man='gesture', gesture_toggles=True, gesture_time=0.1)
    )
    states = []
    for _ in range(2):
        operator.show(open_hand(), frames=10)
        operator.show(pinching_hand(), frames=10)
        states.append(operator.state)
        operator.show(open_hand(), frames=10)
        states.append(operator.state)
    assert states == ['armed', 'armed', 'disarmed', 'disarmed']
    operator.show(pinching_hand(), frames=10)
    operator.show(open_hand(), frames=10)
    operator.show(None, frames=10)
    assert operator.state == 'lost'
    operator.show(open_hand(), frames=10)
    operator.show(pinching_hand(), frames=10)
    assert operator.state == 'armed'


def test_other_gestures_arm_nothing():
    operator = Operator(BY_FIST)
    operator.show(open_hand(), frames=10)
    operator.show(pinching_hand(), frames=30)
    assert operator.state == 'disarmed'


def test_a_fist_arms_while_it_lasts():
    operator = Operator(BY_FIST)
    operator.show(open_hand(), frames=10)
    operator.show(fist(), frames=2)
    assert operator.state == 'disarmed'
    assert not operator.show(fist(), frames=10).held
    assert operator.state == 'armed'
    assert operator.show(open_hand()).held
    assert operator.state == 'disarmed'


def test_a_gesture_that_somebody_else_makes_has_to_be_released_first():
    operator = Operator(BY_FIST)
    operator.show(open_hand(), frames=10, subject='hand_1')
    operator.show(fist(), frames=2, subject='hand_1')
    operator.show(fist(), frames=30, subject='hand_2')
    assert operator.state == 'disarmed'
    operator.show(open_hand(), frames=2, subject='hand_2')
    operator.show(fist(), frames=10, subject='hand_2')
    assert operator.state == 'armed'


@pytest.mark.parametrize('unsure', [{'confidence': 0.1}, {'age': 9.0}, {'flaw': 'a test'}])
def test_frames_that_are_not_followed_release_no_gesture(unsure):
    """An occluded hand may look open for a moment."""
    operator = Operator(PINCH)
    operator.show(open_hand(), frames=5)
    operator.show(pinching_hand(), frames=15)
    assert operator.state == 'armed'
    operator.show(open_hand(), frames=10, **unsure)
    assert operator.state == 'lost'
    operator.show(pinching_hand(), frames=60)
    assert operator.state == 'lost'


def test_unsure_frames_do_not_count_towards_a_gesture():
    operator = Operator(PINCH)
    operator.show(open_hand(), frames=5)
    operator.show(pinching_hand(), frames=12, confidence=0.1)
    operator.show(pinching_hand(), frames=8)
    assert operator.state == 'disarmed'
    operator.show(pinching_hand(), frames=4)
    assert operator.state == 'armed'


def test_a_silence_does_not_count_towards_a_gesture():
    operator = Operator(PINCH)
    operator.show(open_hand(), frames=5)
    operator.show(pinching_hand())
    operator.wait(0.8)
    operator.show(pinching_hand())
    assert operator.state == 'disarmed'


def test_disarming_by_the_service_ends_an_arming_that_waits_for_the_hand():
    operator = Operator(BY_TOPIC)
    operator.teleoperator.beat(False, operator.now)
    operator.teleoperator.beat(True, operator.now)
    assert operator.teleoperator.request(False, operator.now, 'the service') is None
    for _ in range(30):
        operator.teleoperator.beat(True, operator.now)
        operator.show(open_hand())
        assert operator.state == 'disarmed'
    operator.teleoperator.beat(False, operator.now)
    operator.teleoperator.beat(True, operator.now)
    assert operator.state == 'armed'


def test_disarming_by_the_service_ends_a_gesture_that_has_begun():
    operator = Operator(PINCH)
    operator.show(open_hand(), frames=5)
    operator.show(pinching_hand(), frames=4)
    operator.teleoperator.request(False, operator.now, 'the service')
    operator.show(pinching_hand(), frames=60)
    assert operator.state == 'disarmed'


def test_a_pedal_that_is_let_go_once_may_be_pressed_again():
    """Pedals that say false once and are silent then."""
    operator = Operator(BY_TOPIC)
    operator.show(open_hand())
    for _ in range(2):
        operator.teleoperator.beat(False, operator.now)
        assert operator.state == 'disarmed'
        operator.show(open_hand())
        operator.teleoperator.beat(True, operator.now)
        assert operator.state == 'armed'


def test_a_silence_of_the_pedal_is_noticed_by_its_next_message():
    """Also where the node stood still, and no time passed for it meanwhile."""
    options = TeleoperatorOptions(
        dead_man='topic', safety=SafetyOptions(timeout=5.0, grace=5.0), heartbeat=0.5
    )
    operator = Operator(options)
    operator.show(open_hand())
    operator.teleoperator.beat(False, operator.now)
    operator.teleoperator.beat(True, operator.now)
    assert operator.state == 'armed'
    operator.now += 0.8
    operator.teleoperator.beat(True, operator.now)
    assert operator.state == 'disarmed'


def test_the_operator_is_asked_for_a_release_until_it_comes():
    operator = Operator(BY_TOPIC)

    def beat(level, positions, frames=1):
        for _ in range(frames):
            operator.teleoperator.beat(level, operator.now)
            operator.show(positions)
        return operator.teleoperator.safety.reason

    assert 'release it first' in beat(True, open_hand())
    assert 'release' not in beat(False, open_hand())
    assert beat(True, open_hand()) == ''
    assert operator.state == 'armed'
    lost = beat(True, None, frames=10)
    assert operator.state == 'lost'
    assert 'no hand' in lost
    assert 'release it first' in lost
    assert 'release' not in beat(False, open_hand())
