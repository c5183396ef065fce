"""A robot hand with the joints of a person's, for those who have none: where a URDF is wanted.

It is a right hand of the mean adult's size. Its hinges have the names, the zeros and the limits of
``anatomy.FINGER_ANGLES``, so that the angles of the operator's fingers are its joints' positions.
The root link, ``wrist``, has the wrist's axes: x to the middle finger's knuckle, z out of the back
of the hand. With all joints at zero, all links have the axes of the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.teleoperation import anatomy
from v2v_pose_ros.teleoperation.hand import wrist_frame

Floats = NDArray[np.float64]

ROOT = 'wrist'
SPEED = 10.0
"""How fast each hinge may turn, rad/s."""

_WIDTHS = (0.018, 0.016, 0.014)  # metres, of a finger's bones from the knuckle on
_GAP = 0.004  # metres between the boxes of two bones
_COLOURS = {'palm': '0.25 0.27 0.30 1', 'bone': '0.90 0.55 0.15 1'}
_PARTS = ('proximal', 'middle', 'distal')


@dataclass(frozen=True)
class Hinge:
    """A joint and the link behind it. Vectors are in the root's axes, all joints being at zero.

    Attributes:
        name: of the joint.
        parent: the link before it.
        child: the link behind it.
        place: [3] where it is from the parent's origin, metres.
        axis: [3] what it turns about, by the right hand's rule.
        bone: [3] from the child's origin to the next joint or the fingertip; zero for a link that
            only joins two hinges in one place.
        limits: least and greatest angle, rad.
        mimics: the joint whose angle it has, times the factor; None for one of its own.
        factor: of the angle it mimics.
    """

    name: str
    parent: str
    child: str
    place: Floats
    axis: Floats
    bone: Floats
    limits: tuple[float, float]
    mimics: str | None = None
    factor: float = 1.0


def urdf() -> str:
    """Return the hand's URDF: boxes for bones, and a link ``<finger>_tip`` at each fingertip."""
    robot = ElementTree.Element('robot', name='hand')
    palm = _add(robot, 'link', name=ROOT)
    for knuckle in _PALM[2:]:
        _box(palm, knuckle, 1.3 * _WIDTHS[0], 'palm')
    for hinge in HINGES:
        link = _add(robot, 'link', name=hinge.child)
        if hinge.bone.any():
            width = _WIDTHS[_PARTS.index(hinge.child.rpartition('_')[2])]
            _box(link, hinge.bone, width, 'bone')
        joint = _joint(robot, hinge.name, 'revolute', hinge.parent, hinge.child, hinge.place)
        _add(joint, 'axis', xyz=_text(hinge.axis))
        lower, upper = map(_text, hinge.limits)
        _add(joint, 'limit', lower=lower, upper=upper, effort='1', velocity=_text(SPEED))
        if hinge.mimics is not None:
            _add(joint, 'mimic', joint=hinge.mimics, multiplier=_text(hinge.factor))
        if hinge.child.endswith(_PARTS[-1]):
            tip = f'{hinge.child.rpartition("_")[0]}_tip'
            _add(robot, 'link', name=tip)
            _joint(robot, f'{tip}_joint', 'fixed', hinge.child, tip, hinge.bone)
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding='unicode', xml_declaration=True) + '\n'


def fingertips(angles: Floats) -> Floats:
    """Return where the fingertips [5, 3] are in the wrist's axes, metres, thumb first.

    Args:
        angles: [20] of ``anatomy.FINGER_ANGLES``, rad.
    """
    positions = dict(zip(anatomy.FINGER_ANGLES, angles, strict=True))
    frames = {ROOT: (np.eye(3), np.zeros(3))}
    tips = []
    for hinge in HINGES:
        turn, place = frames[hinge.parent]
        place = place + turn @ hinge.place
        angle = hinge.factor * positions[hinge.mimics or hinge.name]
        turn = turn @ Rotation.from_rotvec(angle * hinge.axis).as_matrix()
        frames[hinge.child] = turn, place
        if hinge.child.endswith(_PARTS[-1]):
            tips.append(place + turn @ hinge.bone)
    return np.array(tips)


def _hinges() -> Iterator[Hinge]:
    """Yield the hinges, each after those before it."""
    for finger, name in enumerate(FINGERS):
        proximal, middle, distal = (f'{name}_{part}' for part in _PARTS)
        hinge, bones = _TO_ROOT @ anatomy.HINGES[finger], _bones(finger)
        yield from _thumb_base(bones[0]) if finger == 0 else _knuckle(finger, hinge, bones[0])
        for number, before, after in ((1, proximal, middle), (2, middle, distal)):
            joint = anatomy.FINGER_ANGLES[4 * finger + 1 + number]
            yield _own(joint, before, after, bones[number - 1], hinge, bones[number])


def _knuckle(finger: int, hinge: Floats, bone: Floats) -> Iterator[Hinge]:
    """Yield the two hinges of a finger's knuckle: aside, then bent."""
    name, still = FINGERS[finger], np.zeros(3)
    back = np.cross(_TO_ROOT @ anatomy.BONES[finger, 0], hinge)  # of the hand at rest
    aside, bend = f'{name}_mcp_abduction', f'{name}_mcp_flexion'
    yield _own(aside, ROOT, f'{name}_knuckle', _PALM[1 + finger], back, still)
    yield _own(bend, f'{name}_knuckle', f'{name}_proximal', still, hinge, bone)


def _thumb_base(bone: Floats) -> Iterator[Hinge]:
    """Yield the thumb's saddle: lifted, swept, and turned inwards by a part of either angle."""
    lift, sweep, still = 'thumb_cmc_abduction', 'thumb_cmc_flexion', np.zeros(3)
    across, along = -_TO_ROOT[:, :2].T
    yield _own(lift, ROOT, 'thumb_lifted', _PALM[1], along, still)
    yield _own(sweep, 'thumb_lifted', 'thumb_swept', still, across, still)
    metacarpal = bone / np.linalg.norm(bone)
    for factor, mimics, before, after, behind in (
        (anatomy.THUMB_TURN[0], sweep, 'thumb_swept', 'thumb_turned', still),
        (anatomy.THUMB_TURN[1], lift, 'thumb_turned', 'thumb_proximal', bone),
    ):
        lower, upper = (factor * limit for limit in _LIMITS[mimics])
        limits = lower, upper
        yield Hinge(
            f'{after}_turn', before, after, still, metacarpal, behind, limits, mimics, factor
        )


def _own(name: str, parent: str, child: str, place: Floats, axis: Floats, bone: Floats) -> Hinge:
    """Return a hinge with an angle of its own, one of ``anatomy.FINGER_ANGLES``."""
    return Hinge(name, parent, child, place, axis, bone, _LIMITS[name])


def _bones(finger: int) -> Floats:
    """Return a finger's bones [3, 3] in the root's axes where each continues the one before it."""
    bent = np.cumsum(anatomy.REST[finger])[:, None] * anatomy.HINGES[finger]
    straight = Rotation.from_rotvec(-bent).apply(anatomy.BONES[finger])
    return np.asarray(anatomy.LENGTHS[finger][:, None] * straight @ _TO_ROOT.T)


def _to_root() -> Floats:
    """Return the rotation [3, 3] from the axes of the hand frame to those of the wrist."""
    palm = np.zeros((len(HAND), 3))
    palm[anatomy.PALM_JOINTS] = anatomy.PALM
    return wrist_frame(palm).T


def _joint(
    robot: ElementTree.Element, name: str, kind: str, parent: str, child: str, place: Floats
) -> ElementTree.Element:
    joint = _add(robot, 'joint', name=name, type=kind)
    _add(joint, 'parent', link=parent)
    _add(joint, 'child', link=child)
    _add(joint, 'origin', xyz=_text(place))
    return joint


def _box(link: ElementTree.Element, bone: Floats, width: float, colour: str) -> None:
    """Let a link show a box along a bone that begins in its origin."""
    length = float(np.linalg.norm(bone))
    turn, _ = Rotation.align_vectors(bone / length, [1.0, 0.0, 0.0])
    visual = _add(link, 'visual')
    _add(visual, 'origin', xyz=_text(bone / 2), rpy=_text(turn.as_euler('xyz')))
    _add(_add(visual, 'geometry'), 'box', size=_text([length - _GAP, width, 0.8 * width]))
    _add(_add(visual, 'material', name=colour), 'color', rgba=_COLOURS[colour])


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _text(values: Floats | list[float] | float) -> str:
    return ' '.join(f'{value:.6g}' for value in np.atleast_1d(values))


_LIMITS: dict[str, tuple[float, float]] = {
    name: (float(lower), float(upper))
    for name, (lower, upper) in zip(anatomy.FINGER_ANGLES, anatomy.LIMITS, strict=True)
}
_TO_ROOT = _to_root()
_PALM = anatomy.PALM @ _TO_ROOT.T  # [6, 3] metres: wrist, thumb, then the knuckles
HINGES = tuple(_hinges())
"""All hinges of the hand, each after those before it."""
