"""The demo from start to end, as a person runs it."""

from __future__ import annotations

from collections.abc import Callable
import fcntl
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

import cv2
import pytest

from v2v_pose_ros.ros.demo import command
from v2v_pose_ros.ros.demo.stage import DemoFailed, free_domain
from v2v_pose_ros.ros.processes import ChildDied, Children

PATIENCE = 180.0  # seconds: the network is compiled at its first start


PERFECT = """
import sys
from v2v_pose_ros.ros.demo import command, session
session.MODULES['pose_node'] = 'perfect_pose_node'
sys.exit(command.main())
"""


@pytest.fixture
def run(start_process, tmp_path):
    """Return a function that starts the demo, with the perfect node if so wished."""
    path = f'{os.environ.get("PYTHONPATH", "")}:{Path(__file__).parent}'

    def run(*, perfect: bool = False, **variables: str) -> subprocess.Popen:
        program = ('-c', PERFECT) if perfect else ('-m', 'v2v_pose_ros.ros.demo')
        return start_process(*program, cwd=tmp_path, TERM='dumb', PYTHONPATH=path, **variables)

    return run


def left_behind(directory: Path) -> list[str]:
    """Return the command lines of processes that work in a directory."""
    found = []
    for entry in Path('/proc').iterdir():
        try:
            if entry.name.isdigit() and (entry / 'cwd').resolve() == directory.resolve():
                found.append((entry / 'cmdline').read_text().replace('\0', ' '))
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what no event announces, such as the end of another process's child."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_line(process: subprocess.Popen, words: str) -> None:
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f'the demo ended without {words!r}')


def test_the_demo_ends_with_a_report_and_a_picture(run, tmp_path):
    process = run(DEMO_SECONDS='3')
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert left_behind(tmp_path) == []
    report = json.loads((tmp_path / 'demo' / 'report.json').read_text())
    assert set(report) >= {
        'frames_sent',
        'frames_received',
        'poses_published',
        'rate_hz',
        'latency_ms',
        'mean_error_mm',
        'runtime',
        'model',
        'per_finger_error_mm',
        'per_joint_error_mm',
    }
    assert 3 <= report['seconds'] < 10
    # The camera's 30 Hz by its own stamps, with room for a busy machine.
    assert 1 < report['frames_sent'] / report['seconds'] < 31
    assert 0 < report['frames_received'] <= report['frames_sent'] + 20
    assert 0 < report['poses_published'] <= report['frames_received'] + 20
    assert 0 < report['latency_ms']['p50'] <= report['latency_ms']['p99']
    assert 0 < report['mean_error_mm'] < 30
    assert 'hand' in report['model']
    assert cv2.imread(str(tmp_path / 'demo' / 'skeleton.png')).shape == (560, 1500, 3)
    assert str(tmp_path / 'demo' / 'skeleton.png') in output
    for words in ('mean joint error', 'thumb', 'median latency'):
        assert words in output


def test_figures_are_those_of_a_node_that_knows_the_truth(run, tmp_path):
    process = run(perfect=True, DEMO_SECONDS='3')
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert left_behind(tmp_path) == []
    report = json.loads((tmp_path / 'demo' / 'report.json').read_text())
    assert report['mean_error_mm'] == pytest.approx(3.0)
    assert set(report['per_joint_error_mm'].values()) == {3.0}
    # What is under way at both ends of the interval differs, on a busy machine by a lot.
    assert report['frames_received'] == pytest.approx(report['frames_sent'], abs=20)
    assert report['poses_published'] == pytest.approx(report['frames_received'], abs=20)
    assert report['rate_hz'] == pytest.approx(report['poses_published'] / report['seconds'], 0.01)
    assert (report['model'], report['runtime']) == ('truth', 'none')
    picture = tmp_path / 'demo' / 'skeleton.png'
    assert cv2.imread(str(picture)).shape == (560, 1500, 3)
    for words in (str(picture), 'mean joint error', '3.0 mm', 'thumb', 'median latency'):
        assert words in output


def test_until_interrupted_is_a_success(run, tmp_path):
    process = run(perfect=True, DEMO_SECONDS='0')
    wait_for_line(process, 'frames sent')
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert 'Traceback' not in output
    assert left_behind(tmp_path) == []
    assert json.loads((tmp_path / 'demo' / 'report.json').read_text())['poses_published'] > 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_loading_leaves_nothing_behind(run, tmp_path, number):
    process = run(DEMO_SECONDS='20')
    wait_for_line(process, 'Starting')
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert 'Traceback' not in output
    assert left_behind(tmp_path) == []


def test_children_of_a_killed_demo_end_too(run, tmp_path):
    process = run(DEMO_SECONDS='20')
    wait_for_line(process, 'loading')
    process.kill()
    wait_until(lambda: not left_behind(tmp_path))


@pytest.mark.parametrize(
    ('variables', 'words'),
    [
        ({'DEMO_SECONDS': 'soon'}, 'number of seconds'),
        ({'DEMO_SECONDS': '-1'}, 'number of seconds'),
        ({'DEMO_SECONDS': 'nan'}, 'number of seconds'),
        ({'DEMO_SECONDS': 'inf'}, 'number of seconds'),
        ({'DEMO_SUBJECT': 'robot'}, 'hand, body, teleop'),
    ],
)
def test_wrong_use_is_told_in_a_sentence(run, variables, words):
    process = run(**variables)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert words in output
    assert 'Traceback' not in output


@pytest.mark.parametrize('subject', command.SUBJECTS)
def test_a_second_demo_in_one_folder_is_refused(run, tmp_path, subject):
    (tmp_path / 'demo').mkdir()
    with (tmp_path / 'demo' / '.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = run(DEMO_SECONDS='3', DEMO_SUBJECT=subject)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert 'another demo writes to' in output


def test_an_empty_variable_means_the_default():
    assert command.duration({'DEMO_SECONDS': ''}) == command.duration({}) == 20
    assert command.duration({'DEMO_SECONDS': '0'}) == float('inf')
    assert command.subject({'DEMO_SUBJECT': ''}) == 'hand'


def test_a_child_that_dies_early_says_why(tmp_path):
    children = Children(tmp_path)
    command = (sys.executable, '-c', 'print("first"); raise SystemExit("no camera here")')
    children.start('camera', command, os.environ)
    wait_until(lambda: not children.alive('camera'))
    with pytest.raises(ChildDied, match=r'camera ended with status 1:\n  first\n  no camera'):
        children.check()
    children.stop()


def test_a_child_that_ignores_requests_is_killed_with_its_children(tmp_path):
    script = (
        'import signal, subprocess, time\n'
        'signal.signal(signal.SIGINT, signal.SIG_IGN)\n'
        'signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
        'subprocess.Popen(["sleep", "60"])\n'
        'print("ready", flush=True)\n'
        'time.sleep(60)\n'
    )
    logs = tmp_path / 'logs'
    logs.mkdir()
    children = Children(logs, patience=0.3)
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        children.start('stubborn', (sys.executable, '-c', script), os.environ)
        wait_until(lambda: 'ready' in children.last_lines('stubborn'))
    finally:
        os.chdir(before)
    assert len(left_behind(tmp_path)) == 2
    children.stop()
    assert left_behind(tmp_path) == []


def test_a_domain_in_use_is_not_free():
    taken = free_domain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('', 7400 + 250 * taken))
        with pytest.raises(DemoFailed, match='ROS domains'):
            free_domain([taken])
