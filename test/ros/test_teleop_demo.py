"""What the demo of teleoperation counts."""

import json

import numpy as np
import pytest
from teleop_hands import open_hand

from v2v_pose_ros.ros.demo import command
from v2v_pose_ros.ros.demo.teleop import GRIPPER, STROKE, TeleopStatistics
from v2v_pose_ros.teleoperation.hand import finger_angles
from v2v_pose_ros.teleoperation.urdf import read_joints

MS = 1_000_000


def test_commands_are_compared_with_the_hand_of_their_frame():
    statistics = TeleopStatistics()
    for frame in range(31):
        stamp = frame * 33 * MS
        statistics.truth(stamp, open_hand((0.01 * frame, 0, 0.5)))
        angles = finger_angles(open_hand()) + np.deg2rad(2.0)
        statistics.fingers(stamp, stamp + 40 * MS, angles)
        statistics.wrist(stamp, np.array([0.01 * frame, 0.003, 0.5]))
        statistics.gripper(stamp, STROKE - 0.001)
    report = statistics.report()
    assert report['frames_sent'] == report['commands'] == 31
    assert report['rate_hz'] == pytest.approx(30.3, abs=0.1)
    assert report['latency_ms'] == {'p50': 40.0, 'p99': 40.0}
    assert report['finger_error_deg']['p50'] == pytest.approx(2.0)
    assert report['wrist_error_mm']['p50'] == pytest.approx(3.0)
    assert report['gripper_error_mm']['p50'] == pytest.approx(1.0)


def test_held_commands_do_not_count():
    statistics = TeleopStatistics()
    statistics.truth(0, open_hand())
    statistics.fingers(5 * MS, 6 * MS, np.zeros(20))
    report = statistics.report()
    assert report['commands'] == 0
    assert report['latency_ms'] == {'p50': None, 'p99': None}
    json.dumps(report)


def test_the_gripper_of_the_demo_opens_as_wide_as_it_is_said_to(tmp_path):
    file = tmp_path / 'gripper.urdf'
    file.write_text(GRIPPER)
    assert read_joints(file)['left_finger_joint'].upper == STROKE


def test_the_demo_knows_teleoperation():
    assert command.subject({'DEMO_SUBJECT': 'teleop'}) == 'teleop'
    with pytest.raises(command.UsageError, match='teleop'):
        command.subject({'DEMO_SUBJECT': 'robot'})
