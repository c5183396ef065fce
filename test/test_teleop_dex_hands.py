"""Allegro, Shadow and LEAP hands by dex-retargeting, with stand-ins for their URDFs.

A stand-in is the robot hand with a person's joints, as large as the configuration takes the robot
to be, its links called as the configuration calls them. It can do nearly all that a hand does, so
that its fingertips have to come to where the operator's are.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from robot_links import links
import torch
import yaml

from v2v_pose_ros.skeletons import FINGERS
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import HandPoseSampler
from v2v_pose_ros.teleoperation.anatomy import FINGER_ANGLES
from v2v_pose_ros.teleoperation.hand import finger_angles, palm_length
from v2v_pose_ros.teleoperation.openings import adult_size, keypoints, openings
from v2v_pose_ros.teleoperation.retargeting import make_retargeter, RobotOptions
from v2v_pose_ros.teleoperation.robot_hand import ROOT, urdf

pytestmark = pytest.mark.usefixtures('one_thread')

FILES = {'allegro': 'allegro_hand', 'shadow': 'shadow_hand', 'leap': 'leap_hand'}
TURNED = '0 -1.5707963 0'  # from the wrist's axes to MANO's
ROUNDS = 20  # of the solver, which goes on from where it was


def configuration(robot: str, method: str) -> dict:
    """Return what dex-retargeting says of a right robot hand."""
    folder = Path(pytest.importorskip('dex_retargeting.constants').__file__).parent / 'configs'
    kind = '' if method == 'vector' else '_dexpilot'
    file = folder / 'teleop' / f'{FILES[robot]}_right{kind}.yml'
    return yaml.safe_load(file.read_text())['retargeting']


def names(config: dict) -> tuple[str, dict[str, str]]:
    """Return what a configuration calls the base, and other links of the hand."""
    if 'finger_tip_link_names' in config:
        tips = zip(FINGERS, config['finger_tip_link_names'], strict=False)
        return config['wrist_link_name'], {f'{finger}_tip': name for finger, name in tips}
    # Points 4, 8, ... are fingertips; 2, 6, ... are where the second bone after the palm begins.
    called = zip(
        config['target_link_human_indices'][1], config['target_task_link_names'], strict=True
    )
    return config['target_origin_link_names'][0], {
        f'{FINGERS[(point - 1) // 4]}_{"tip" if point % 4 == 0 else "middle"}': name
        for point, name in called
    }


def stand_in(config: dict) -> str:
    """Return the URDF of a hand that the configuration fits."""
    robot = ElementTree.fromstring(urdf())
    base, called = names(config)
    called[ROOT] = 'turned_wrist'
    for element in (*robot.findall('link'), *robot.findall('joint/*[@link]')):
        for key in ('name', 'link'):
            if element.get(key) in called:
                element.set(key, called[element.get(key)])
    for joint in robot.findall('joint'):
        place = np.array([float(word) for word in joint.find('origin').get('xyz').split()])
        joint.find('origin').set('xyz', ' '.join(map(str, config['scaling_factor'] * place)))
        if (mimic := joint.find('mimic')) is not None:  # which these configurations do not know
            joint.set('type', 'fixed')
            joint.remove(mimic)
    ElementTree.SubElement(robot, 'link', name=base)
    mount = ElementTree.SubElement(robot, 'joint', name='mount', type='fixed')
    ElementTree.SubElement(mount, 'parent', link=base)
    ElementTree.SubElement(mount, 'child', link=called[ROOT])
    ElementTree.SubElement(mount, 'origin', xyz='0 0 0', rpy=TURNED)
    return ElementTree.tostring(robot, encoding='unicode')


@pytest.mark.parametrize('robot', FILES)
@pytest.mark.parametrize('method', ['vector', 'dexpilot'])
def test_fingertips_go_where_the_operators_are(tmp_path, robot, method):
    config = configuration(robot, method)
    text, file = stand_in(config), tmp_path / 'hand.urdf'
    file.write_text(text)
    solver = make_retargeter(RobotOptions(robot=robot, urdf=str(file), method=method))
    assert set(solver.joint_names) == set(FINGER_ANGLES)
    model = HandModel()
    truth = HandPoseSampler(model, torch.Generator().manual_seed(8)).sample(8)
    hands = model(HandShape.mean(len(truth), model.components), truth).joints.numpy()
    tips = {
        FINGERS.index(link[:-4]): name for link, name in names(config)[1].items() if 'tip' in link
    }
    off = []
    for hand in hands.astype(float):
        size = float(palm_length(hand))
        points = adult_size(keypoints(hand), size)
        for _ in range(ROUNDS):
            joints = solver(points, openings(hand, size), finger_angles(hand))
        places = links(text, dict(zip(solver.joint_names, joints, strict=True)))
        for finger, name in tips.items():
            if name is not None:  # most of these robots have four fingers
                reached = places[name] / config['scaling_factor']
                off.append(1e3 * np.linalg.norm(reached - points[4 * (finger + 1)]))
    assert np.median(off) < 4  # mm, of a hand of adult size
