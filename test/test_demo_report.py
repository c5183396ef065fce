"""The demo's statistics, tables and picture."""

import io
import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from v2v_pose_ros.ros.demo.picture import cloud, draw
from v2v_pose_ros.ros.demo.report import NodeState, plain_line, RunStatistics, summary, table
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene

PERIOD = 33_000_000  # nanoseconds
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def joints(offset: float = 0.0) -> np.ndarray:
    return np.full((21, 3), 0.4) + np.array([offset, 0.0, 0.0])


def state(stamp: int, received: int) -> NodeState:
    return NodeState(START + stamp, received, 'hand', 'openvino, CPU')


def play(frames: int, *, lost: int = 0, every: int = 1, error: float = 0.003) -> RunStatistics:
    """Count a run of some frames between two reports of the node.

    Args:
        frames: how many the camera sends in the interval.
        lost: how many of them do not reach the node.
        every: each so many is estimated; 20 ms, 21 ms, ... after its stamp.
        error: of the estimates, metres.
    """
    run = RunStatistics(HAND)
    for early in range(-30, 1):  # before counting starts
        run.frame(START + early * PERIOD)
        run.truth(START + early * PERIOD, joints())
    run.pose(START - PERIOD, START, joints())
    run.node(state(0, 1000))
    for number in range(1, frames + 1):
        stamp = START + number * PERIOD
        run.frame(stamp)
        run.truth(stamp, joints())
        if number % every == 0:
            run.pose(stamp, stamp + (20 + number) * 1_000_000, joints(error))
    run.node(state(frames * PERIOD + 1, 1000 + frames - lost))
    return run


def test_a_run_without_loss():
    report = play(60).report()
    assert report['frames_sent'] == report['frames_received'] == 60
    assert report['poses_published'] == 60
    assert report['rate_hz'] == pytest.approx(1e9 / PERIOD, abs=0.01)
    assert report['seconds'] == pytest.approx(60 * 0.033, abs=0.01)
    assert report['latency_ms']['p50'] == pytest.approx(20 + 30.5)
    assert report['latency_ms']['p99'] == pytest.approx(20 + 1 + 0.99 * 59, abs=0.01)
    assert report['mean_error_mm'] == pytest.approx(3.0)
    assert (report['model'], report['runtime']) == ('hand', 'openvino, CPU')


def test_lost_frames_are_what_the_node_did_not_receive():
    report = play(100, lost=7, every=2).report()
    assert (report['frames_sent'], report['frames_received']) == (100, 93)
    assert report['poses_published'] == 50
    assert dict(summary(report))['frames sent, received'] == '100, 93 (7.0% lost)'


def test_errors_are_per_joint_and_per_finger():
    run = play(0)
    stamp = START + PERIOD
    run.truth(stamp, joints())
    estimate = joints()
    estimate[HAND.index('index_tip')] += (0.0, 0.003, 0.004)
    run.pose(stamp, stamp, estimate)
    run.node(state(PERIOD, 1001))
    report = run.report()
    assert report['per_joint_error_mm']['index_tip'] == pytest.approx(5.0)
    assert report['per_joint_error_mm']['thumb_tip'] == 0.0
    assert report['per_finger_error_mm']['index'] == pytest.approx(1.25)
    assert set(report['per_finger_error_mm']) == set(HAND.groups)
    assert report['mean_error_mm'] == pytest.approx(5 / 21, abs=0.01)


def test_poses_that_arrive_after_the_nodes_report_still_count():
    run = play(10)
    late = START + 10 * PERIOD
    run.truth(late, joints())
    run.pose(late, late + SECOND, joints())
    assert run.report()['poses_published'] == 11


def test_a_pose_may_arrive_before_its_truth():
    run = play(0)
    stamp = START + PERIOD
    run.pose(stamp, stamp, joints(0.002))
    run.truth(stamp, joints())
    run.node(state(PERIOD, 1001))
    assert run.report()['mean_error_mm'] == pytest.approx(2.0)


def test_frames_without_a_hand_are_no_poses():
    run = play(0)
    run.pose(START + PERIOD, START + PERIOD, None)
    run.node(state(PERIOD, 1001))
    report = run.report()
    assert (report['poses_published'], report['frames_without_pose']) == (0, 1)
    assert report['mean_error_mm'] is None


@pytest.mark.parametrize('late', ['frame', 'truth', 'pose'])
def test_counting_waits_until_frames_truths_and_poses_arrive(late):
    """The publishers are found one after the other; here, one is found 3 s after the others."""
    run = RunStatistics(HAND)
    arrive = {
        'frame': lambda stamp: run.frame(stamp),
        'truth': lambda stamp: run.truth(stamp, joints()),
        'pose': lambda stamp: run.pose(stamp, stamp, joints()),
    }
    for second in range(6):
        for kind, take_in in arrive.items():
            if kind != late or second >= 3:
                take_in(START + second * SECOND)
        run.node(state(second * SECOND + SECOND // 2, second + 1))
        assert (run.first is None) == (second < 3)
    assert run.first is not None
    assert run.first.received == 4
    report = run.report()
    assert report['frames_sent'] == report['frames_received'] == report['poses_published'] == 2


def test_counting_waits_for_a_report_after_the_first_of_everything():
    """What arrives late, and before an older report of the node, says nothing of that time."""
    run = RunStatistics(HAND)
    run.frame(START + SECOND)
    run.truth(START + SECOND, joints())
    run.pose(START + SECOND, START + SECOND, joints())
    run.node(state(0, 10))
    assert run.first is None
    run.node(state(SECOND, 20))
    assert run.first is not None


def test_images_without_a_hand_start_no_counting():
    run = RunStatistics(HAND)
    run.frame(START)
    run.truth(START, joints())
    run.pose(START, START, None)
    run.node(state(SECOND, 20))
    assert run.first is None
    run.pose(START + SECOND, START + SECOND, joints())
    run.node(state(2 * SECOND, 30))
    assert run.first is not None
    assert run.seconds == 0
    run.node(state(4 * SECOND, 90))
    assert run.seconds == pytest.approx(2.0)
    assert run.report()['frames_received'] == 60


def test_nothing_at_all_is_a_report_too():
    report = RunStatistics(HAND).report()
    assert report['frames_sent'] == report['poses_published'] == 0
    assert report['rate_hz'] is None
    json.dumps(report, allow_nan=False)
    assert 'mean joint error -' in plain_line(report)


def test_a_long_run_takes_no_more_memory():
    run = play(5000)
    assert run.report()['poses_published'] >= 1800
    assert len(run._truths) <= 1800


def test_the_recent_rate_is_that_of_two_seconds():
    run = RunStatistics(HAND)
    for number in range(30):  # slow first
        run.pose(number, START + number * SECOND, joints())
    for number in range(60):
        run.pose(number, START + 29 * SECOND + number * SECOND // 20, joints())
    assert run.recent_rate() == pytest.approx(20, rel=0.05)


def test_the_table_has_every_figure_and_finger():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table(play(60).report(), HAND, 'a title'))
    text = console.export_text()
    for part in ('a title', '60, 60 (0.0% lost)', '30.3 Hz', '3.0 mm', 'openvino', *HAND.groups):
        assert part in text


def test_the_cloud_is_what_is_near_the_hand():
    depth = np.full((48, 64), 0.5)
    depth[:, 32:] = 2.0
    depth[0] = 0
    points, shade = cloud(depth, (50.0, 50.0, 31.5, 23.5), np.array([0.0, 0.0, 0.5]), 0.12)
    np.testing.assert_allclose(points[:, 2], 0.5)
    assert (points[:, 0] < 0).all()
    assert np.abs(points).max(0)[0] <= 0.12
    assert ((shade > 0) & (shade <= 1)).all()


def test_a_wall_facing_the_camera_is_lit():
    intrinsics = (300.0, 300.0, 31.5, 23.5)
    _, shade = cloud(np.full((48, 64), 0.5), intrinsics, np.array([0, 0, 0.5]), 0.12)
    np.testing.assert_allclose(shade, 0.25 + 0.75 * 0.76, atol=0.01)


def test_the_picture_shows_the_skeleton(tmp_path):
    camera = sr305()
    depth, truth = HandCameraScene(camera, 0).frame(5.1)
    intrinsics = camera.fx, camera.fy, camera.cx, camera.cy
    draw(depth, intrinsics, truth, HAND, 'a caption', tmp_path / 'skeleton.png')
    picture = cv2.imread(str(tmp_path / 'skeleton.png'))
    assert picture.shape == (560, 1500, 3)
    for joint in HAND.joints:  # every finger's colour is there
        color = np.array(joint.color)[::-1] * 255
        assert (np.abs(picture - color).max(-1) < 6).sum() > 30
