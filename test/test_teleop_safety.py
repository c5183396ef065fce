"""When a robot may follow: nothing before arming, nothing by itself after a loss."""

import dataclasses

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, RuleBasedStateMachine
import numpy as np
import pytest

from v2v_pose_ros.teleoperation.safety import Safety, SafetyOptions, Sighting

PERIOD = 1 / 30
OPTIONS = SafetyOptions()
HERE = np.array([0.0, 0.0, 0.5])


def seen(x: float = 0.0, **changes) -> Sighting:
    place = HERE + np.array([x, 0, 0])
    return dataclasses.replace(Sighting(place, confidence=0.9), **changes)


NOT_TO_BE_FOLLOWED = [
    Sighting(None),
    seen(confidence=0.2),
    seen(confidence=float('nan')),
    seen(age=0.8),
    seen(age=-30.0),
    seen(age=float('nan')),
    seen(flaw='the palm is 2 mm long'),
    Sighting(np.full(3, np.nan)),
]
bad_frames = pytest.mark.parametrize(
    'bad', NOT_TO_BE_FOLLOWED, ids=lambda bad: Safety()._problem(bad)
)


def armed_at(now: float = 0.0, **options) -> Safety:
    safety = Safety(SafetyOptions(**options))
    safety.see(seen(), now)
    assert safety.arm(now) is None
    assert safety.follows
    return safety


def test_nothing_is_followed_before_arming():
    safety = Safety()
    for frame in range(100):
        safety.see(seen(), frame * PERIOD)
        assert safety.state == 'disarmed'


def test_nothing_is_armed_without_a_hand():
    safety = Safety()
    assert 'no skeleton' in safety.arm(0.0)
    safety.see(Sighting(None), 0.0)
    assert 'no hand' in safety.arm(0.0)
    assert not safety.follows
    assert 'no hand' in safety.reason


def test_nothing_is_armed_by_an_old_sighting():
    safety = Safety()
    safety.see(seen(), 0.0)
    assert 'no skeleton' in safety.arm(1.0)


@bad_frames
def test_a_bad_frame_interrupts_at_once(bad):
    safety = armed_at(0.0)
    safety.see(bad, PERIOD)
    assert safety.state == 'holding'
    assert safety.reason


@bad_frames
def test_a_hand_that_is_back_in_time_is_followed_again(bad):
    safety = armed_at(0.0)
    safety.see(bad, PERIOD)
    safety.see(seen(), 2 * PERIOD)
    assert safety.follows


@bad_frames
def test_after_a_loss_nothing_moves_until_armed_again(bad):
    safety = armed_at(0.0)
    frames = iter(range(1, 1000))
    for _ in range(6):
        safety.see(bad, next(frames) * PERIOD)
    for _ in range(60):
        now = next(frames) * PERIOD
        safety.see(seen(), now)
        assert safety.state == 'lost'
    assert safety.arm(now) is None
    assert safety.follows


def test_silence_is_noticed_within_two_frame_periods():
    safety = armed_at(0.0)
    safety.tick(0.045)
    assert safety.follows
    safety.tick(2 * PERIOD)
    assert safety.state == 'holding'
    safety.tick(0.2)
    assert safety.state == 'lost'


def test_a_jump_is_a_loss():
    safety = armed_at(0.0)
    safety.see(seen(0.3), PERIOD)
    assert safety.state == 'lost'
    assert 'jumped by 0.30 m' in safety.reason
    safety.see(seen(0.3), 2 * PERIOD)
    assert safety.state == 'lost'


def test_a_jump_while_it_was_unseen_is_a_loss_too():
    safety = armed_at(0.0)
    safety.see(Sighting(None), PERIOD)
    safety.see(seen(0.3), 2 * PERIOD)
    assert safety.state == 'lost'


@pytest.mark.parametrize('stamp', [5.0, 4.0])
def test_stamps_that_do_not_go_on_are_not_followed(stamp):
    safety = armed_at(0.0)
    safety.see(seen(stamp=5.0), PERIOD)
    assert safety.follows
    safety.see(seen(stamp=stamp), 2 * PERIOD)
    assert safety.state == 'holding'
    assert 'stamps' in safety.reason


def test_without_grace_every_interruption_is_a_loss():
    safety = armed_at(0.0, grace=0.0)
    safety.see(Sighting(None), PERIOD)
    assert safety.state == 'lost'


@pytest.mark.parametrize(
    'impossible',
    [{'timeout': 0.0}, {'grace': -1.0}, {'max_jump': 0.0}, {'min_confidence': 1.5}],
)
def test_impossible_options_are_refused(impossible):
    with pytest.raises(ValueError, match=next(iter(impossible))):
        SafetyOptions(**impossible)


class SafetyMachine(RuleBasedStateMachine):
    """Anything may happen in any order; a few things must hold whatever does."""

    def __init__(self) -> None:
        super().__init__()
        self.safety, self.now, self.x = Safety(), 0.0, 0.0
        self.good_at = self.any_at = -np.inf
        self.good = False
        self.needs_arming = True

    def after(self) -> None:
        if self.safety.state in ('disarmed', 'lost'):
            self.needs_arming = True

    @rule(seconds=st.sampled_from([0.001, 0.01, PERIOD, 0.1, 0.5]))
    def wait(self, seconds):
        self.now += seconds
        self.safety.tick(self.now)
        self.after()

    @rule(step=st.sampled_from([0.0, 0.01, -0.1, 0.2]))
    def see_hand(self, step):
        self.x += step
        self.safety.see(seen(self.x), self.now)
        self.good_at = self.any_at = self.now
        self.good = True
        self.after()
        if abs(step) > OPTIONS.max_jump:
            assert not self.safety.follows

    @rule(bad=st.sampled_from(NOT_TO_BE_FOLLOWED))
    def see_none(self, bad):
        self.safety.see(bad, self.now)
        self.any_at, self.good = self.now, False
        self.after()

    @rule()
    def arm(self):
        refused = self.safety.arm(self.now)
        expected = self.good and self.now - self.any_at <= OPTIONS.timeout
        assert (refused is None) == expected
        if refused is None:
            self.needs_arming = False

    @precondition(lambda self: self.safety.state != 'disarmed')
    @rule()
    def disarm(self):
        self.safety.disarm('the operator let go')
        self.after()
        assert self.safety.reason == 'the operator let go'

    @invariant()
    def follows_only_what_was_armed_and_is_seen_now(self):
        if self.safety.follows:
            assert not self.needs_arming
            assert self.good
            assert self.now - self.any_at <= OPTIONS.timeout
            assert self.safety.reason == ''
        else:
            assert self.safety.reason

    @invariant()
    def waits_no_longer_than_the_grace(self):
        if self.safety.state == 'holding':
            assert self.now - self.good_at <= OPTIONS.grace


TestSafetyMachine = SafetyMachine.TestCase
TestSafetyMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
