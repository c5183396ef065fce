"""Robot hands: limits come from their URDF, and what cannot be is said in words."""

import builtins
from itertools import pairwise

import numpy as np
import pytest
from teleop_hands import open_hand, pinching_hand

from v2v_pose_ros.teleoperation.anatomy import FINGER_ANGLES
from v2v_pose_ros.teleoperation.hand import finger_angles, palm_length
from v2v_pose_ros.teleoperation.openings import adult_size, keypoints, openings
from v2v_pose_ros.teleoperation.retargeting import make_retargeter, names_in, RobotOptions
from v2v_pose_ros.teleoperation.urdf import read_joints, RobotError

GRIPPER = """
<robot name="gripper">
  <link name="palm"/><link name="left"/><link name="right"/><link name="knuckle"/>
  <joint name="left_joint" type="prismatic">
    <parent link="palm"/><child link="left"/>
    <limit lower="0.0" upper="0.04" effort="10" velocity="0.2"/>
  </joint>
  <joint name="right_joint" type="prismatic">
    <parent link="palm"/><child link="right"/>
    <limit lower="0.0" upper="0.04" effort="10" velocity="0.2"/><mimic joint="left_joint"/>
  </joint>
  <joint name="knuckle_joint" type="revolute">
    <parent link="palm"/><child link="knuckle"/>
    <limit lower="-0.5" upper="0.8" effort="10" velocity="0"/>
  </joint>
  <joint name="mount" type="fixed"><parent link="world"/><child link="palm"/></joint>
</robot>
"""

TIP = 0.1


def two_fingers() -> str:
    """Return the URDF of a hand with two fingers of two hinges each, thumb and index."""
    parts = ['<robot name="hand"><link name="wrist"/>']
    for side, name in ((1, 'thumb'), (-1, 'index')):
        before = 'wrist'
        for place, x in (('base', 0.0), ('middle', TIP / 2)):
            link = f'{name}_{place}'
            parts.append(
                f'<link name="{link}"/><joint name="{link}_joint" type="revolute">'
                f'<parent link="{before}"/><child link="{link}"/>'
                f'<origin xyz="{x} {side * 0.03 if place == "base" else 0} 0"/>'
                '<axis xyz="0 0 1"/><limit lower="-1.2" upper="1.2" effort="1" velocity="2.5"/>'
                '</joint>'
            )
            before = link
        parts.append(
            f'<link name="{name}_tip"/><joint name="{name}_end" type="fixed">'
            f'<parent link="{before}"/><child link="{name}_tip"/>'
            f'<origin xyz="{TIP / 2} 0 0"/></joint>'
        )
    return ''.join(parts) + '</robot>'


TWO_FINGERS = """
retargeting:
  type: vector
  urdf_path: replaced
  target_origin_link_names: [index_tip]
  target_task_link_names: [thumb_tip]
  scaling_factor: 1.0
  target_link_human_indices: [[8], [4]]
  low_pass_alpha: 0.2
"""


@pytest.fixture
def gripper_file(tmp_path):
    file = tmp_path / 'gripper.urdf'
    file.write_text(GRIPPER)
    return file


def gripper(file, **changes) -> RobotOptions:
    return RobotOptions(robot='gripper', urdf=str(file), **changes)


def inputs(positions):
    size = float(palm_length(positions))
    points = adult_size(keypoints(positions), size)
    return points, openings(positions, size), finger_angles(positions)


def test_no_robot_is_none():
    assert make_retargeter(RobotOptions()) is None


def test_limits_come_from_the_urdf(gripper_file):
    joints = read_joints(gripper_file)
    assert list(joints) == ['left_joint', 'right_joint', 'knuckle_joint']
    assert joints['left_joint'].upper == 0.04
    assert joints['left_joint'].velocity == 0.2
    assert joints['right_joint'].mimics == 'left_joint'
    assert joints['knuckle_joint'].velocity == np.inf


def test_gripper_goes_from_closed_to_open_with_the_hand(gripper_file):
    robot = make_retargeter(gripper(gripper_file))
    assert robot.joint_names == ('left_joint', 'knuckle_joint')
    np.testing.assert_allclose(robot(*inputs(pinching_hand())), [0.0, -0.5])
    np.testing.assert_allclose(robot(None, np.ones(5), None), [0.04, 0.8])
    np.testing.assert_allclose(robot(None, np.full(5, 0.5), None), [0.02, 0.15])


def test_gripper_may_be_open_at_the_lower_limit_and_follow_the_whole_hand(gripper_file):
    robot = make_retargeter(
        gripper(
            gripper_file,
            gripper_joints=('knuckle_joint',),
            gripper_open_at='lower',
            gripper_opening='grasp',
        )
    )
    assert robot(None, np.array([0, 0, 0, 0, 1.0]), None) == pytest.approx([-0.5])
    assert robot(None, np.array([1, 1, 1, 1, 0.0]), None) == pytest.approx([0.8])


def test_joints_of_a_direct_hand_follow_the_angles_of_their_names(gripper_file):
    gripper_file.write_text(GRIPPER.replace('knuckle_joint', 'ring_pip_flexion'))
    robot = make_retargeter(RobotOptions(robot='direct', urdf=str(gripper_file)))
    assert robot.joint_names == ('ring_pip_flexion',)
    assert (robot.lower, robot.upper, robot.velocity) == ([-0.5], [0.8], [np.inf])
    angles = np.arange(20.0)
    assert robot(None, None, angles) == [angles[FINGER_ANGLES.index('ring_pip_flexion')]]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'robot': 'direct'}, 'no joint with the name of a finger angle.*knuckle_joint'),
        ({'robot': 'allegor'}, 'allegor.*allegro'),
        ({'robot': 'gripper', 'urdf': ''}, 'urdf is empty'),
        ({'urdf': '/nowhere/hand.urdf'}, '/nowhere/hand.urdf cannot be read'),
        ({'gripper_joints': ('claw',)}, 'no joint claw; it has left_joint'),
        ({'gripper_opening': 'fist'}, "gripper_opening is 'fist'.*grasp"),
    ],
)
def test_impossible_robots_are_refused(gripper_file, options, words):
    with pytest.raises(RobotError, match=words):
        make_retargeter(RobotOptions(**{'robot': 'gripper', 'urdf': str(gripper_file), **options}))


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('no xml', 'is no XML'),
        ('<robot name="x"><link name="y"/></robot>', 'no joint that moves'),
        (GRIPPER.replace('"0.04"', '"wide"'), "upper of joint left_joint is 'wide'"),
        (GRIPPER.replace('lower="0.0"', 'lower="1.0"'), 'limits 1.0 to 0.04'),
    ],
)
def test_impossible_urdfs_are_refused(gripper_file, text, words):
    gripper_file.write_text(text)
    with pytest.raises(RobotError, match=words):
        make_retargeter(gripper(gripper_file))


def test_a_gripper_without_limits_is_refused(gripper_file):
    gripper_file.write_text(GRIPPER.replace('"revolute"', '"continuous"'))
    with pytest.raises(RobotError, match='has no limits'):
        make_retargeter(gripper(gripper_file))


def test_missing_dex_retargeting_is_said_with_what_to_do(gripper_file, monkeypatch):
    importing = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith('dex_retargeting'):
            raise ModuleNotFoundError(f'No module named {name!r}')
        return importing(name, *arguments, **options)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(RobotError, match=r'v2v_pose_ros\[teleop\]'):
        make_retargeter(RobotOptions(robot='allegro', urdf=str(gripper_file)))


@pytest.fixture
def two_fingered(tmp_path):
    pytest.importorskip('dex_retargeting.retargeting_config')
    urdf, config = tmp_path / 'hand.urdf', tmp_path / 'hand.yml'
    urdf.write_text(two_fingers())
    config.write_text(TWO_FINGERS)
    return RobotOptions(robot=str(config), urdf=str(urdf))


def test_dex_retargeting_brings_fingertips_together_with_the_hands(two_fingered):
    robot = make_retargeter(two_fingered)
    assert set(robot.joint_names) == {
        f'{finger}_{place}_joint' for finger in ('thumb', 'index') for place in ('base', 'middle')
    }
    np.testing.assert_allclose(robot.velocity, 2.5)

    def gap(joints):
        """Return the distance of the robot's fingertips, by its geometry."""
        values = dict(zip(robot.joint_names, joints, strict=True))
        tips = []
        for side, finger in ((1, 'thumb'), (-1, 'index')):
            first = values[f'{finger}_base_joint']
            second = first + values[f'{finger}_middle_joint']
            tips.append(
                np.array([0, side * 0.03])
                + TIP / 2 * np.array([np.cos(first), np.sin(first)])
                + TIP / 2 * np.array([np.cos(second), np.sin(second)])
            )
        return np.linalg.norm(tips[0] - tips[1])

    # Vectors of 60 and 10 mm from the index's tip to the thumb's, across the palm.
    points = np.zeros((21, 3))
    points[4] = [0, 0.06, 0]
    for _ in range(10):
        wide = robot(points, np.ones(5), None)
    points[4] = [0, 0.01, 0]
    for _ in range(10):
        narrow = robot(points, np.ones(5), None)
    assert gap(wide) == pytest.approx(0.06, abs=0.01)
    assert gap(narrow) == pytest.approx(0.01, abs=0.01)


def test_dex_retargeting_follows_a_hand_without_jumps(two_fingered):
    robot = make_retargeter(two_fingered)
    path = [(1 - t) * open_hand() + t * pinching_hand() for t in np.linspace(0, 1, 30)]
    joints = [robot(*inputs(positions)) for positions in path]
    assert max(np.abs(b - a).max() for a, b in pairwise(joints)) < 0.5
    for each in joints:
        assert (each >= robot.lower - 2e-3).all()
        assert (each <= robot.upper + 2e-3).all()


def test_a_configuration_that_does_not_fit_the_urdf_is_refused(two_fingered, gripper_file):
    with pytest.raises(RobotError, match='dex-retargeting refuses'):
        make_retargeter(RobotOptions(robot=two_fingered.robot, urdf=str(gripper_file)))


def test_names_are_separated_by_commas():
    assert names_in(' left_joint, right_joint ,') == ('left_joint', 'right_joint')
    assert names_in('') == ()
