"""Where the links of a URDF are, by the rules of the format and nothing of the package."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation


def links(text: str, positions: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Return the places [3] of links in the root's axes, metres.

    Args:
        text: a URDF of fixed and revolute joints.
        positions: rad, of all joints that mimic no other.
    """
    robot = ElementTree.fromstring(text)
    joints = {joint.find('child').get('link'): joint for joint in robot.findall('joint')}

    def turn(joint: ElementTree.Element) -> Rotation:
        if joint.get('type') == 'fixed':
            return Rotation.identity()
        axis, mimic = _numbers(joint.find('axis').get('xyz')), joint.find('mimic')
        if mimic is None:
            angle = positions[joint.get('name')]
        else:
            angle = float(mimic.get('multiplier')) * positions[mimic.get('joint')]
        return Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))

    def frame(link: str) -> np.ndarray:
        here = np.eye(4)
        if link not in joints:
            return here
        joint = joints[link]
        origin = joint.find('origin')
        before = Rotation.from_euler('xyz', _numbers(origin.get('rpy', '0 0 0')))
        here[:3, 3] = _numbers(origin.get('xyz'))
        here[:3, :3] = (before * turn(joint)).as_matrix()
        return frame(joint.find('parent').get('link')) @ here

    names = [link.get('name') for link in robot.findall('link')]
    return {name: frame(name)[:3, 3] for name in names}


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])
