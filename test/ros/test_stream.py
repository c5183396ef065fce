"""Numbers about a stream of images, with made-up clocks."""

import numpy as np
import pytest

from v2v_pose_ros.ros.stream import Percentiles, ProblemLog, StreamStatistics

PERIOD = 1 / 30
START = 1_700_000_000.0  # as large as real stamps, where doubles have 0.2 microseconds left


def feed(statistics, stamps, now=0.0):
    """Let images with these stamps arrive at once; return whether each was in order."""
    return [not statistics.received(now + stamp - stamps[0], stamp) for stamp in stamps]


def stamps(count, jitter=0.0, seed=0):
    noise = np.random.default_rng(seed).uniform(-jitter, jitter, count)
    return START + np.arange(count) * PERIOD + noise


def test_steady_stream_loses_nothing_and_has_its_rate():
    statistics = StreamStatistics()
    assert all(feed(statistics, stamps(90)))
    report = statistics.report(89 * PERIOD)
    assert report.received == 90
    assert report.lost == 0
    assert report.rate_in == pytest.approx(30, rel=1e-3)
    assert report.period == pytest.approx(PERIOD, rel=1e-3)


@pytest.mark.parametrize('seed', range(5))
def test_jitter_of_a_quarter_period_is_no_loss(seed):
    statistics = StreamStatistics()
    feed(statistics, stamps(300, jitter=PERIOD / 8, seed=seed))
    assert statistics.report(0).lost == 0


@pytest.mark.parametrize('kept', [0.98, 0.8, 0.5])
@pytest.mark.parametrize('seed', range(3))
def test_losses_are_counted_exactly(kept, seed):
    random = np.random.default_rng(seed)
    sent = stamps(300, jitter=PERIOD / 20, seed=seed)
    arrive = random.random(300) < kept
    arrive[[0, -1]] = True
    statistics = StreamStatistics()
    feed(statistics, sent[arrive])
    report = statistics.report(10.0)
    assert report.lost == 300 - arrive.sum()
    assert report.lost_fraction == pytest.approx(1 - arrive.mean(), abs=0.01)


def test_camera_that_paused_lost_no_frames():
    statistics = StreamStatistics()
    feed(statistics, np.concatenate([stamps(30), stamps(30) + 60]))
    assert statistics.report(0).lost == 0


def test_stamps_running_backwards_are_reported_once_and_no_loss():
    statistics = StreamStatistics()
    in_order = feed(statistics, np.concatenate([stamps(60), stamps(60)]))
    assert in_order.count(False) == 1
    assert not in_order[60]
    assert statistics.report(0).lost == 0


@pytest.mark.parametrize(('passed', 'jump'), [(PERIOD, 3600.0), (3600.0, 0.0), (5.0, 0.0)])
def test_stamps_that_go_on_by_more_than_the_time_that_passed_have_jumped(passed, jump):
    """A pause is none, nor are images that come late and all at once."""
    statistics = StreamStatistics()
    feed(statistics, stamps(30))
    gap = 3600.0 if passed != 5.0 else PERIOD
    found = statistics.received(29 * PERIOD + passed, stamps(30)[-1] + gap)
    assert found == pytest.approx(jump)
    assert statistics.report(0).lost == 0


def test_latencies_of_another_clock_are_forgotten():
    statistics = StreamStatistics()
    feed(statistics, stamps(30))
    statistics.published(1.0, 0.9, latency=0.02, found=True)
    statistics.received(1.1, START - 100)
    assert statistics.report(1.2).latency is None


def test_missing_and_repeated_stamps_are_no_loss():
    statistics = StreamStatistics()
    assert not any(statistics.received(now, None) for now in range(10))
    assert not any(statistics.received(10.0 + now, START) for now in range(10))
    report = statistics.report(20.0)
    assert (report.received, report.lost, report.period) == (20, 0, None)


def test_rate_falls_when_the_stream_stops():
    statistics = StreamStatistics()
    feed(statistics, stamps(150))
    end = 149 * PERIOD
    rates = [statistics.report(end + silence).rate_in for silence in (0, 1, 2, 6)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(30, rel=1e-3)
    assert rates[-1] == 0


def test_nothing_is_known_of_nothing():
    report = StreamStatistics().report(1.0)
    assert report.image_age is None
    assert report.skeleton_age is None
    assert report.latency is None
    assert report.rate_in == report.rate_out == 0


def test_results_latencies_and_ages():
    statistics = StreamStatistics()
    for number in range(1, 101):
        statistics.published(
            number + number / 1000, number, latency=number / 100, found=number <= 50
        )
    report = statistics.report(101.0)
    assert report.published == 100
    assert report.latency == Percentiles(0.505, 0.99)
    assert report.processing.p99 == pytest.approx(0.099)
    assert report.skeleton_age == pytest.approx(101 - 50.05)


def test_dropped_frames_are_counted():
    statistics = StreamStatistics()
    statistics.dropped()
    statistics.dropped()
    assert statistics.report(0).dropped == 2


@pytest.mark.parametrize(('count', 'p99'), [(1, 1), (2, 2), (99, 99), (100, 99), (200, 198)])
def test_percentile_is_the_nearest_rank(count, p99):
    assert Percentiles.of(range(1, count + 1)).p99 == p99


def test_problem_is_logged_once_per_period_and_kind():
    problems = ProblemLog(throttle=5.0)
    due = [problems.report('image', 'x', now) for now in (0.0, 0.03, 4.9, 5.1, 5.2)]
    assert due == [True, False, False, True, False]
    assert problems.report('camera_info', 'y', 5.2)


def test_problem_with_grace_counts_only_when_it_lasts():
    problems = ProblemLog()
    assert not problems.report('info', 'late', 0.0, grace=1.0)
    assert problems.latest(0.0) is None
    problems.solved()
    assert not problems.report('info', 'late', 5.0, grace=1.0)
    assert problems.report('info', 'late', 6.1, grace=1.0)
    assert problems.latest(6.2, within=1.0) == 'late'
    assert problems.latest(9.0, within=1.0) is None
    assert problems.latest(9.0) == 'late'
