"""What the demo of teleoperation counts, and what it shows."""

import json
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
from rrd_files import contents
from teleop_hands import open_hand

from v2v_pose_ros.ros.demo import command
from v2v_pose_ros.ros.demo.teleop import TeleopStatistics
from v2v_pose_ros.skeletons import FINGERS
from v2v_pose_ros.teleoperation.anatomy import FINGER_ANGLES
from v2v_pose_ros.teleoperation.hand import finger_angles
from v2v_pose_ros.teleoperation.robot_hand import HINGES

MS = 1_000_000


def test_commands_are_compared_with_the_hand_of_their_frame():
    statistics = TeleopStatistics()
    for frame in range(31):
        stamp = frame * 33 * MS
        statistics.truth(stamp, open_hand((0.01 * frame, 0, 0.5)))
        angles = finger_angles(open_hand()) + np.deg2rad(2.0)
        statistics.joints(stamp, stamp + 40 * MS, angles)
        statistics.wrist(stamp, np.array([0.01 * frame, 0.003, 0.5]))
    report = statistics.report()
    assert report['frames_sent'] == report['commands'] == 31
    assert report['rate_hz'] == pytest.approx(30.3, abs=0.1)
    assert report['latency_ms'] == {'p50': 40.0, 'p99': 40.0}
    assert report['joint_error_deg']['p50'] == pytest.approx(2.0)
    assert report['joint_medians_deg'] == pytest.approx(dict.fromkeys(FINGER_ANGLES, 2.0))
    assert report['wrist_error_mm']['p50'] == pytest.approx(3.0)


def test_fingertips_are_compared_with_those_of_an_adults_hand():
    """Two degrees at each of three joints move a fingertip that is 10 cm away by 4 to 9 mm."""
    statistics, hand = TeleopStatistics(), open_hand()
    wrist = hand[0]
    for frame, size in enumerate((1.0, 0.7)):
        statistics.truth(frame, wrist + size * (hand - wrist))
        statistics.joints(frame, frame, finger_angles(hand))
    tips = statistics.report()['fingertip_medians_mm']
    assert tips == pytest.approx(dict.fromkeys(FINGERS, 0.0), abs=0.1)
    bent = finger_angles(hand) + np.deg2rad(2.0)
    statistics = TeleopStatistics()
    statistics.truth(0, hand)
    statistics.joints(0, 0, bent)
    assert all(2 < tip < 12 for tip in statistics.report()['fingertip_medians_mm'].values())


def test_held_commands_do_not_count():
    statistics = TeleopStatistics()
    statistics.truth(0, open_hand())
    statistics.joints(5 * MS, 6 * MS, np.zeros(20))
    report = statistics.report()
    assert report['commands'] == 0
    assert report['latency_ms'] == {'p50': None, 'p99': None}
    json.dumps(report)


def test_the_demo_knows_teleoperation():
    assert command.subject({'DEMO_SUBJECT': 'teleop'}) == 'teleop'
    with pytest.raises(command.UsageError, match='teleop'):
        command.subject({'DEMO_SUBJECT': 'robot'})


def test_the_demo_records_the_robot_hand_and_reports_how_it_follows(tmp_path):
    program = (
        'import sys; from v2v_pose_ros.ros.demo import command, teleop; '
        "teleop.MODULES['pose_node'] = 'perfect_pose_node'; sys.exit(command.main())"
    )
    variables = {'DEMO_SUBJECT': 'teleop', 'DEMO_SECONDS': '4', 'DEMO_VIEWER': 'view.rrd'}
    path = f'{os.environ.get("PYTHONPATH", "")}:{Path(__file__).parent}'
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=tmp_path,
        env={**os.environ, **variables, 'TERM': 'dumb', 'PYTHONPATH': path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / 'demo' / 'report.json').read_text())
    assert report['commands'] > 10
    assert report['latency_ms']['p50'] > 0
    # The stand-in for the pose node is 3 mm off; speed limits may add to that.
    assert report['wrist_error_mm']['p50'] >= 2.9
    assert report['joint_error_deg']['p50'] < 5
    assert report['fingertip_error_mm']['p50'] < 20
    assert set(report['joint_medians_deg']) == set(FINGER_ANGLES)
    written = contents(tmp_path / 'view.rrd')
    # The synthetic hand, and the robot hand that is commanded: its parts, and how they move.
    assert len(written['/subjects/hand/joints']['stamp']) > 0
    parts = [path for path, columns in written.items() if 'Boxes3D:half_sizes' in columns]
    assert sum('visual_geometries' in path for path in parts) == 4 + 3 * len(FINGERS)
    for hinge in HINGES:
        turns = np.array(written[f'/robot/joints/{hinge.name}']['Transform3D:quaternion'])
        assert len(turns) > 10, hinge.name
    mounts = np.array(written['/robot/mount']['Transform3D:translation'])
    assert np.ptp(mounts[:, 0], axis=0).max() > 0.005  # and it moves
    for plot in ('/tracking/wrist_mm', '/tracking/fingers_deg', '/command_latency/whole'):
        values = np.array(written[plot]['Scalars:scalars'])
        assert len(values) > 10, plot
        assert (values >= 0).all(), plot
    assert np.median(written['/tracking/wrist_mm']['Scalars:scalars']) >= 2.9
