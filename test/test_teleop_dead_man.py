"""Dead-man conditions: a level arms once, and only after it was released."""

import numpy as np
import pytest

from v2v_pose_ros.teleoperation.dead_man import Gesture, Heartbeat, Trigger
from v2v_pose_ros.teleoperation.openings import OPENINGS

LEVELS = {'0': False, '1': True, ' ': None}


def requests(trigger: Trigger, levels: str, period: float = 0.1) -> list[str | None]:
    """Return what a level asks for, frame by frame: active at '1', unknown at ' '."""
    return [trigger(LEVELS[level], frame * period) for frame, level in enumerate(levels)]


def test_a_level_arms_and_its_end_disarms():
    assert requests(Trigger(), '0110') == [None, 'arm', None, 'disarm']


def test_a_level_that_was_active_from_the_start_arms_nothing():
    assert requests(Trigger(), '1111') == [None] * 4
    assert requests(Trigger(), '1101') == [None, None, None, 'arm']


def test_a_level_that_nobody_knew_before_it_was_active_arms_nothing():
    assert requests(Trigger(), '  1111') == [None] * 6
    assert requests(Trigger(), '1  1101') == [None] * 6 + ['arm']


def test_a_silence_disarms_but_is_no_release():
    trigger = Trigger()
    assert requests(trigger, '011 ') == [None, 'arm', None, 'disarm']
    assert requests(trigger, '1 11') == [None] * 4
    assert requests(trigger, '01')[-1] == 'arm'


def test_a_level_that_was_released_may_be_silent_until_it_is_active():
    assert requests(Trigger(), '0  1') == [None, None, None, 'arm']


def test_a_level_that_asked_in_vain_and_fell_silent_has_to_be_released():
    trigger = Trigger()
    assert requests(trigger, '01')[-1] == 'arm'
    trigger.refused()
    assert requests(trigger, ' 1101') == [None] * 4 + ['arm']


def test_after_a_loss_the_level_has_to_be_released():
    trigger = Trigger()
    assert requests(trigger, '01')[-1] == 'arm'
    trigger.require_release()
    assert requests(trigger, '11101') == [None, None, None, 'disarm', 'arm']


def test_a_gesture_must_last():
    trigger = Trigger(delay=0.25)
    assert requests(trigger, '0110111') == [None] * 7
    assert trigger(True, 0.7) == 'arm'


def test_a_gesture_that_was_out_of_sight_must_last_anew():
    trigger = Trigger(delay=0.25)
    assert requests(trigger, '011') == [None] * 3
    trigger.interrupt()
    assert [trigger(True, now) for now in (0.4, 0.6)] == [None, None]
    assert trigger(True, 0.7) == 'arm'


def test_a_level_that_asked_in_vain_asks_again_while_it_lasts():
    trigger = Trigger()
    assert requests(trigger, '01')[-1] == 'arm'
    trigger.refused()
    assert [trigger(True, now) for now in (0.2, 0.3)] == ['arm', None]
    trigger.refused()
    assert trigger(False, 0.4) is None


def test_a_toggle_arms_and_the_next_one_disarms():
    trigger = Trigger(toggles=True)
    assert requests(trigger, '0110010') == [None, 'toggle', None, None, None, 'toggle', None]


def test_gesture_has_a_begin_and_an_end():
    gesture = Gesture('pinch_ring', close=0.2, release=0.5)
    values = np.ones(len(OPENINGS))
    place = OPENINGS.index('pinch_ring')
    active, history = False, []
    for opening in (0.9, 0.3, 0.1, 0.3, 0.45, 0.6, 0.3):
        values[place] = opening
        active = gesture.active(values, active)
        history.append(active)
    assert history == [False, False, True, True, True, False, False]


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'opening': 'pinch_thumb'}, 'pinch_thumb'),
        ({'close': 0.5, 'release': 0.4}, 'the first smaller'),
        ({'close': -0.1}, 'from 0 to 1'),
    ],
)
def test_impossible_gestures_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        Gesture(**wrong)


def test_nobody_knows_the_level_of_a_heartbeat_that_stops():
    heart = Heartbeat(timeout=0.5)
    assert heart.level(0.0) is None
    heart.beat(True, 1.0)
    assert heart.level(1.4) is True
    assert heart.level(1.6) is None
    heart.beat(True, 2.0)
    heart.beat(False, 2.1)
    assert heart.level(2.1) is False
