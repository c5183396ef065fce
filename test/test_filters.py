"""The One Euro filter, by its properties and the formulas of its paper (CHI 2012)."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from v2v_pose_ros import filters
from v2v_pose_ros.filters import OneEuroFilter, OneEuroOptions, smoothing_factor

RATE = 30.0
JOINTS = 21

positive = st.floats(0.05, 50.0)


def run(measurements, options, rate=RATE, start=1000.0):
    steady = OneEuroFilter(options)
    return np.array([steady(x, start + n / rate) for n, x in enumerate(measurements)])


@given(cutoff=positive, beta=st.floats(0, 100), seed=st.integers(0, 999))
def test_constant_input_is_unchanged(cutoff, beta, seed):
    place = np.random.default_rng(seed).normal(size=(JOINTS, 3))
    out = run([place] * 20, OneEuroOptions(cutoff, beta))
    np.testing.assert_allclose(out, np.tile(place, (20, 1, 1)), rtol=1e-12)


@pytest.mark.parametrize('beta', [0.0, 30.0])
def test_noise_of_a_hand_at_rest_is_more_than_halved(beta):
    noise = np.random.default_rng(0).normal(scale=0.002, size=(600, JOINTS, 3))
    out = run(noise, OneEuroOptions(1.5, beta))
    assert out[60:].std() < 0.5 * noise[60:].std()


@given(cutoff=positive, rate=st.floats(10, 90))
def test_without_beta_a_step_is_answered_as_by_a_first_order_low_pass(cutoff, rate):
    steps = 15
    options = OneEuroOptions(cutoff, 0.0)
    before, after = np.zeros((JOINTS, 3)), np.ones((JOINTS, 3))
    out = run([before] + [after] * steps, options, rate)[1:]
    # tau = 1 / (2 pi fc), alpha = 1 / (1 + tau / T): what is left after n frames.
    alpha = 1 / (1 + rate / (2 * math.pi * cutoff))
    left = (1 - alpha) ** np.arange(1, steps + 1)
    np.testing.assert_allclose(1 - out[:, 0, 0], left, rtol=1e-6, atol=1e-7)


@given(cutoff=positive, beta=st.floats(0.1, 100))
def test_beta_never_makes_a_step_slower(cutoff, beta):
    step = [np.zeros((JOINTS, 3))] + [np.full((JOINTS, 3), 0.1)] * 15
    slow, fast = (run(step, OneEuroOptions(cutoff, b)) for b in (0.0, beta))
    assert (fast >= slow - 1e-12).all()


@pytest.mark.parametrize('speed', [0.1, 0.5, 1.0, 2.0])
def test_lag_behind_steady_motion_is_that_of_its_cutoff(speed):
    """A first-order low-pass lags by tau behind a ramp; the cutoff has risen to min + beta v."""
    options = OneEuroOptions(1.5, 30.0)
    ramp = np.arange(300)[:, None, None] / RATE * speed * np.array([1.0, 0, 0])
    out = run(np.tile(ramp, (1, JOINTS, 1)), options)
    lag = (ramp[-1, 0, 0] - out[-1, 0, 0]) / speed
    tau = 1 / (2 * math.pi * (options.min_cutoff + options.beta * speed))
    assert lag == pytest.approx(tau, rel=0.01)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_nothing_is_predicted(seed):
    random = np.random.default_rng(seed)
    measurements = np.cumsum(random.normal(scale=0.05, size=(40, JOINTS, 3)), axis=0)
    options = OneEuroOptions(random.uniform(0.1, 10), random.uniform(0, 100))
    steady, covariances = OneEuroFilter(options), spread(random.uniform(0.002, 0.1, JOINTS))
    out = [steady(x, n / RATE, covariances) for n, x in enumerate(measurements)]
    for before, now, measured in zip(out, out[1:], measurements[1:], strict=False):
        low, high = np.minimum(before, measured), np.maximum(before, measured)
        assert ((low - 1e-12 <= now) & (now <= high + 1e-12)).all()


def test_turning_the_camera_turns_the_result():
    random = np.random.default_rng(1)
    path = np.cumsum(random.normal(scale=0.02, size=(50, JOINTS, 3)), axis=0)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    options = OneEuroOptions()
    np.testing.assert_allclose(run(path @ turn, options), run(path, options) @ turn, atol=1e-12)


def spread(sigmas):
    """Return round covariances [J, 3, 3] of standard deviations [J] along each axis."""
    return np.asarray(sigmas)[:, None, None] ** 2 * np.eye(3)


def test_a_joint_that_wavers_where_its_covariance_says_so_is_held():
    """A finger of which the network sees two likely places, 30 mm apart."""
    random = np.random.default_rng(3)
    sigmas = np.full(JOINTS, 0.005)
    sigmas[7] = 0.05
    still = np.zeros((300, JOINTS, 3))
    still[1:, 7, 0] = 0.03 * (random.random(299) < 0.3)
    told, blind = OneEuroFilter(), OneEuroFilter()
    out = np.array([told(x, n / RATE, spread(sigmas)) for n, x in enumerate(still)])
    untold = np.array([blind(x, n / RATE) for n, x in enumerate(still)])
    assert out[150:, 7, 0].std() < untold[150:, 7, 0].std() / 3
    assert out[150:, 7, 0].std() < 0.0025


def test_a_joint_that_was_unsure_a_moment_ago_is_so_still(monkeypatch):
    """Two places are seen in turn, with covariances that are large at times."""
    random = np.random.default_rng(4)
    places = np.zeros((300, JOINTS, 3))
    places[:, 7, 0] = 0.03 * (random.random(300) < 0.3)
    sigmas = np.full((300, JOINTS), 0.005)
    sigmas[:, 7] = random.choice([0.005, 0.05], 300)

    def tremble():
        steady = OneEuroFilter()
        each = zip(places, sigmas, strict=True)
        out = [steady(x, n / RATE, spread(sigma)) for n, (x, sigma) in enumerate(each)]
        return np.array(out)[100:, 7, 0].std()

    remembering = tremble()
    monkeypatch.setattr(filters, '_DOUBT', 1e-3)
    assert remembering < 0.6 * tremble()


def test_a_joint_that_is_unsure_still_gets_where_it_is():
    """No joint is slower than with a twentieth of the cutoff."""
    sigmas = np.full(JOINTS, 0.005)
    sigmas[7] = 1.0
    options, steady = OneEuroOptions(2.0, 0.0), OneEuroFilter(OneEuroOptions(2.0, 0.0))
    step = np.zeros((JOINTS, 3))
    steady(step, 0.0, spread(sigmas))
    step[7, 0] = 0.03
    seconds = 3.0
    for n in range(1, round(seconds * RATE) + 1):
        out = steady(step, n / RATE, spread(sigmas))
    tau = 20 / (2 * math.pi * options.min_cutoff)
    assert 1 - out[7, 0] / 0.03 <= math.exp(-seconds / tau) * 1.05


def test_a_joint_that_is_unsure_goes_along_with_the_hand():
    """Carried at 0.3 m/s, as a hand at 1 Hz is, it lags hardly more than the others."""
    sigmas = np.full(JOINTS, 0.005)
    sigmas[7] = 0.05
    ramp = np.arange(300)[:, None, None] / RATE * 0.3 * np.array([1.0, 0, 0])
    steady = OneEuroFilter()
    for n, x in enumerate(np.tile(ramp, (1, JOINTS, 1))):
        out = steady(x, n / RATE, spread(sigmas))
    lags = (ramp[-1, 0, 0] - out[:, 0]) / 0.3
    options = OneEuroOptions()
    tau = 1 / (2 * math.pi * (options.min_cutoff + options.beta * 0.3))
    np.testing.assert_allclose(lags, tau, rtol=0.05)


def test_a_finger_moves_alone_without_the_others():
    still = np.zeros((60, JOINTS, 3))
    still[30:, 4, 1] = 0.05
    out = run(still, OneEuroOptions())
    assert not out[:, np.arange(JOINTS) != 4].any()
    assert out[-1, 4, 1] > 0.049


@settings(deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3))
def test_only_how_covariances_compare_counts(seed, scale):
    random = np.random.default_rng(seed)
    path = np.cumsum(random.normal(scale=0.01, size=(20, JOINTS, 3)), axis=0)
    sigmas = random.uniform(0.002, 0.1, JOINTS)
    one, other = OneEuroFilter(), OneEuroFilter()
    for n, x in enumerate(path):
        np.testing.assert_allclose(
            one(x, n / RATE, spread(sigmas)),
            other(x, n / RATE, spread(scale * sigmas)),
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_covariances_that_are_none_are_not_used(bad):
    random = np.random.default_rng(5)
    path = random.normal(scale=0.01, size=(20, JOINTS, 3))
    told, blind = OneEuroFilter(), OneEuroFilter()
    for n, x in enumerate(path):
        expected = blind(x, n / RATE)
        np.testing.assert_array_equal(told(x, n / RATE, np.full((JOINTS, 3, 3), bad)), expected)


@pytest.mark.parametrize('jump', [-100.0, -0.01, 0.0, 0.51, 3600.0])
def test_a_jump_in_time_starts_afresh(jump):
    steady = OneEuroFilter(OneEuroOptions(0.1, 0.0), longest_gap=0.5)
    steady(np.zeros((JOINTS, 3)), 1000.0)
    there = np.ones((JOINTS, 3))
    np.testing.assert_array_equal(steady(there, 1000.0 + jump), there)


def test_reset_starts_afresh_and_types_stay():
    steady = OneEuroFilter(OneEuroOptions(0.1, 0.0))
    steady(np.zeros((JOINTS, 3), np.float32), 0.0)
    there = np.ones((JOINTS, 3), np.float32)
    assert steady(there, 0.03).max() < 0.1
    steady.reset()
    result = steady(there, 0.06)
    np.testing.assert_array_equal(result, there)
    assert result.dtype == steady(there, 0.09).dtype == np.float32


def test_the_factor_is_the_papers():
    # 1 / (1 + tau / T) with tau = 1 / (2 pi) s and T = 1 / (2 pi) s.
    assert smoothing_factor(1.0, 1 / (2 * math.pi)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    'options',
    [{'min_cutoff': 0.0}, {'min_cutoff': math.nan}, {'beta': -1.0}, {'derivative_cutoff': -1.0}],
)
def test_what_is_no_filter_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        OneEuroOptions(**options)
