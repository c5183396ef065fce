"""The robot hand with a person's joints stands as a person's hand does with the same angles."""

from functools import cache

import numpy as np
import pytest
from robot_links import links
import torch

from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import HandPoseSampler
from v2v_pose_ros.teleoperation import anatomy
from v2v_pose_ros.teleoperation.following import Following
from v2v_pose_ros.teleoperation.hand import wrist_frame
from v2v_pose_ros.teleoperation.retargeting import make_retargeter, RobotOptions
from v2v_pose_ros.teleoperation.robot_hand import fingertips, SPEED, urdf
from v2v_pose_ros.teleoperation.urdf import read_joints

pytestmark = pytest.mark.usefixtures('one_thread')

TIPS = [f'{finger}_tip' for finger in FINGERS]


@cache
def model() -> HandModel:
    return HandModel()


def poses(count: int) -> torch.Tensor:
    """Return angles [B, 22] of the whole repertoire."""
    return HandPoseSampler(model(), torch.Generator().manual_seed(4)).sample(count)


def test_fingertips_are_those_of_a_person_with_the_same_angles():
    truth = poses(40)
    joints = model()(HandShape.mean(40, model().components), truth).joints.numpy().astype(float)
    for angles, positions in zip(truth[:, 2:].numpy(), joints, strict=True):
        about_wrist = (positions - positions[0]) @ wrist_frame(positions)
        tips = about_wrist[HAND.indices(TIPS)]
        np.testing.assert_allclose(fingertips(angles), tips, atol=1e-4)


def test_the_urdf_says_the_same():
    text = urdf()
    for angles in poses(10)[:, 2:].numpy():
        places = links(text, dict(zip(anatomy.FINGER_ANGLES, angles, strict=True)))
        np.testing.assert_allclose(fingertips(angles), [places[tip] for tip in TIPS], atol=1e-5)


def test_joints_have_the_names_and_the_limits_of_finger_angles(tmp_path):
    file = tmp_path / 'hand.urdf'
    file.write_text(urdf())
    joints = read_joints(file)
    own = {name: joint for name, joint in joints.items() if joint.mimics is None}
    assert set(own) == set(anatomy.FINGER_ANGLES)
    for name, (lower, upper) in zip(anatomy.FINGER_ANGLES, anatomy.LIMITS, strict=True):
        assert (own[name].lower, own[name].upper) == pytest.approx((lower, upper), abs=1e-5)
        assert own[name].velocity == SPEED
    robot = make_retargeter(RobotOptions(robot='direct', urdf=str(file)))
    assert set(robot.joint_names) == set(own)


def test_with_all_joints_at_zero_every_finger_is_straight_within_five_degrees():
    places = links(urdf(), dict.fromkeys(anatomy.FINGER_ANGLES, 0.0))
    for finger in FINGERS[1:]:
        parts = ('proximal', 'middle', 'distal', 'tip')
        steps = np.diff([places[f'{finger}_{part}'] for part in parts], axis=0)
        directions = steps / np.linalg.norm(steps, axis=1, keepdims=True)
        np.testing.assert_allclose(directions @ directions.T, 1.0, atol=4e-3)


@pytest.mark.parametrize('handedness', ['right', 'left'])
def test_commands_are_compared_with_the_hand_on_the_side_that_it_is_of(handedness):
    angles = poses(1)
    joints = model()(HandShape.mean(1, model().components), angles).joints.numpy()[0].astype(float)
    mirror = np.array([-1, 1, 1]) if handedness == 'left' else np.ones(3)
    following = Following()
    following.see(7, joints * mirror, handedness)
    errors = following.finger_errors(7, angles[0, 2:].numpy())
    assert np.median(errors) < 1.0
    assert following.finger_errors(8, angles[0, 2:].numpy()) is None
