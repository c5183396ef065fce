"""The soak run: its short form over DDS, and what it finds wrong."""

import json
import os
import subprocess
import sys

import pytest
import soak

STEADY = {
    'memory': 300.0,
    'threads': 12.0,
    'files': 20.0,
    'shared_files': 6.0,
    'skeletons': 1800,
    'yardstick_ms': 2.0,
    'latency_p50_ms': 25.0,
    'latency_p99_ms': 50.0,
}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'memory': 305.1}, 'memory grew by 5.1 MB'),
        ({'latency_p99_ms': 56.0}, '1.12 times'),
        ({'skeletons': 1600}, 'skeletons fell from 1800 to 1600'),
        ({'threads': 13.0}, 'threads grew from 12 to 13'),
        ({'files': 21.0}, 'files grew from 20 to 21'),
        ({'shared_files': 7.0}, 'shared_files grew from 6 to 7'),
    ],
)
def test_what_grows_is_a_problem(change, words):
    (problem,) = soak.verdict([STEADY, {**STEADY, **change}])['problems']
    assert words in problem


def test_what_stays_is_none():
    assert soak.verdict([STEADY, {**STEADY, 'memory': 304.9}])['problems'] == []


@pytest.mark.parametrize('change', [{'skeletons': 1300}, {'latency_p99_ms': 67.0}])
def test_a_slower_machine_gives_fewer_skeletons_and_later(change):
    slower = {**STEADY, 'skeletons': 1400, 'latency_p99_ms': 65.0, 'yardstick_ms': 2.4}
    assert soak.verdict([STEADY, slower])['problems'] == []
    (problem,) = soak.verdict([STEADY, {**slower, **change}])['problems']
    assert 'took 1.20 times as long' in problem


def test_a_short_soak_leaks_nothing(ros_domain_id, tmp_path):
    """20 s; how fast a busy machine is in its first and last seconds says nothing."""
    out = tmp_path / 'soak.json'
    command = [sys.executable, soak.__file__, '--minutes', '0.35', '--warm-up', '8']
    command += ['--window', '6', '--out', str(out)]
    run = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=250)
    assert out.is_file(), run.stdout + run.stderr
    report = json.loads(out.read_text())
    assert report['first']['skeletons'] > 0
    # Other tests on this machine share the processors and /dev/shm.
    others = ('latency', 'shared_files', 'skeletons')
    problems = [each for each in report['problems'] if not any(name in each for name in others)]
    assert problems == [], run.stdout
