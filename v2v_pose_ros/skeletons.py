"""Skeletons as data: joints, parents, colours and maps to other joint sets.

Messages, TF, markers, plots and metrics all read the joint tables from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

FINGERS = ('thumb', 'index', 'middle', 'ring', 'pinky')

_FINGER_COLORS = {
    'wrist': (0.85, 0.85, 0.85),
    'thumb': (0.96, 0.36, 0.33),
    'index': (0.98, 0.75, 0.18),
    'middle': (0.36, 0.78, 0.36),
    'ring': (0.25, 0.62, 0.95),
    'pinky': (0.72, 0.43, 0.90),
}


@dataclass(frozen=True)
class Joint:
    """One joint.

    Attributes:
        name: of the joint.
        parent: the name of its parent, None for the root.
        group: the finger or limb.
        color: of the bone from the parent to this joint, red, green, blue in 0..1.
        link: what its TF frame is called, where that is not the joint's name.
    """

    name: str
    parent: str | None
    group: str
    color: tuple[float, float, float]
    link: str = ''


@dataclass(frozen=True)
class Skeleton:
    """A named tree of J joints in the order that every array of this package has."""

    name: str
    joints: tuple[Joint, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The joint names in order."""
        return tuple(joint.name for joint in self.joints)

    @cached_property
    def links(self) -> tuple[str, ...]:
        """What the joints' TF frames are called, in order."""
        return tuple(joint.link or joint.name for joint in self.joints)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """The index of every joint's parent, -1 for the root."""
        return tuple(
            -1 if joint.parent is None else self.names.index(joint.parent) for joint in self.joints
        )

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs (parent, child) of joint indices."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups (fingers, limbs) in order of appearance."""
        return tuple(dict.fromkeys(joint.group for joint in self.joints))

    @cached_property
    def mirrored(self) -> tuple[int, ...]:
        """What every joint becomes in the mirror: left and right change places."""
        other = {'left': 'right', 'right': 'left'}
        parts = (name.partition('_') for name in self.names)
        return tuple(
            self.index(other.get(first, first) + dash + rest) for first, dash, rest in parts
        )

    @property
    def symmetric(self) -> bool:
        """Whether the subject in the mirror is such a subject again, as a person is."""
        return self.mirrored != tuple(range(len(self)))

    def __len__(self) -> int:
        """Return the number of joints J."""
        return len(self.joints)

    def index(self, name: str) -> int:
        """Return the position of a joint; raise KeyError with the names there are."""
        try:
            return self.names.index(name)
        except ValueError:
            known = ', '.join(self.names)
            raise KeyError(f'{self.name} has no joint {name!r}; it has {known}') from None

    def indices(self, names: Sequence[str]) -> list[int]:
        """Return the positions of several joints."""
        return [self.index(name) for name in names]


def _hand() -> Skeleton:
    joints = [Joint('wrist', None, 'wrist', _FINGER_COLORS['wrist'])]
    for finger in FINGERS:
        joints.append(Joint(f'{finger}_mcp', 'wrist', finger, _FINGER_COLORS[finger]))
    for finger in FINGERS:
        for parent, child in (('mcp', 'pip'), ('pip', 'dip'), ('dip', 'tip')):
            joints.append(
                Joint(f'{finger}_{child}', f'{finger}_{parent}', finger, _FINGER_COLORS[finger])
            )
    return Skeleton('hand', tuple(joints))


def _body() -> Skeleton:
    trunk, right, left = (0.85, 0.85, 0.85), (0.98, 0.60, 0.20), (0.25, 0.62, 0.95)
    table = (
        ('head', 'neck', 'head', (0.96, 0.36, 0.33)),
        ('neck', 'torso', 'trunk', trunk),
        ('right_shoulder', 'neck', 'right_arm', right),
        ('left_shoulder', 'neck', 'left_arm', left),
        ('right_elbow', 'right_shoulder', 'right_arm', right),
        ('left_elbow', 'left_shoulder', 'left_arm', left),
        ('right_hand', 'right_elbow', 'right_arm', right),
        ('left_hand', 'left_elbow', 'left_arm', left),
        ('torso', None, 'trunk', trunk),
        ('right_hip', 'torso', 'right_leg', right),
        ('left_hip', 'torso', 'left_leg', left),
        ('right_knee', 'right_hip', 'right_leg', right),
        ('left_knee', 'left_hip', 'left_leg', left),
        ('right_foot', 'right_knee', 'right_leg', right),
        ('left_foot', 'left_knee', 'left_leg', left),
    )
    return Skeleton(
        'body',
        tuple(
            Joint(name, parent, group, color, _rep_155_link(name))
            for name, parent, group, color in table
        ),
    )


def _rep_155_link(joint: str) -> str:
    """Return the REP 155 name of a body joint's link.

    The REP knows wrists and ankles; ITOP's hands and feet lie a few centimetres beyond them.
    """
    side, _, part = joint.rpartition('_')
    part = {'hand': 'wrist', 'foot': 'ankle'}.get(part, part)
    return f'{side[0]}_{part}' if side else part


HAND = _hand()
"""21 joints in the order of the HANDS 2017 challenge."""

BODY = _body()
"""15 joints in the order of ITOP; right and left are the person's."""

SKELETONS = {skeleton.name: skeleton for skeleton in (HAND, BODY)}


def _finger_by_finger(fingers: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(f'{finger}_{part}' for finger in fingers for part in parts)


JOINT_ORDERS: dict[str, tuple[str, ...]] = {
    'hands2017': HAND.names,
    # MediaPipe and OpenXR without palm: wrist, then finger by finger from the thumb.
    'mediapipe': ('wrist', *_finger_by_finger(FINGERS, ('mcp', 'pip', 'dip', 'tip'))),
    'msra': (
        'wrist',
        *_finger_by_finger(
            ('index', 'middle', 'ring', 'pinky', 'thumb'), ('mcp', 'pip', 'dip', 'tip')
        ),
    ),
}
"""The same 21 hand joints in other orders, by name of this package's joints."""


def _icvl() -> Skeleton:
    joints = [Joint('palm', None, 'palm', _FINGER_COLORS['wrist'])]
    for finger in FINGERS:
        for parent, part in (('palm', 'root'), ('root', 'mid'), ('mid', 'tip')):
            above = parent if parent == 'palm' else f'{finger}_{parent}'
            joints.append(Joint(f'{finger}_{part}', above, finger, _FINGER_COLORS[finger]))
    return Skeleton('icvl', tuple(joints))


def _nyu() -> Skeleton:
    joints = []
    for finger in ('pinky', 'ring', 'middle', 'index'):
        color = _FINGER_COLORS[finger]
        joints.append(Joint(f'{finger}_tip', f'{finger}_mid', finger, color))
        joints.append(Joint(f'{finger}_mid', 'palm', finger, color))
    for part, parent in (('tip', 'thumb_mid'), ('mid', 'thumb_root'), ('root', 'palm')):
        joints.append(Joint(f'thumb_{part}', parent, 'thumb', _FINGER_COLORS['thumb']))
    for name in ('wrist_back', 'wrist'):
        joints.append(Joint(name, 'palm', 'wrist', _FINGER_COLORS['wrist']))
    joints.append(Joint('palm', None, 'palm', _FINGER_COLORS['wrist']))
    return Skeleton('nyu', tuple(joints))


ICVL = _icvl()
"""16 hand joints in the order of ICVL: the palm, then root, middle and tip of every finger."""

NYU = _nyu()
"""The 14 of NYU's 36 hand joints that are evaluated, in the order that result files have."""

MSRA = Skeleton('msra', tuple(HAND.joints[HAND.index(name)] for name in JOINT_ORDERS['msra']))
"""The hand's 21 joints in the order of MSRA."""

DATASET_SKELETONS = {skeleton.name: skeleton for skeleton in (HAND, BODY, ICVL, NYU, MSRA)}
"""Every joint set, those of the datasets included, by name."""


def reorder(order: str) -> list[int]:
    """Return the indices that bring a hand's joints into another order.

    Raises KeyError with the known orders for an unknown one.
    """
    if order not in JOINT_ORDERS:
        raise KeyError(f'unknown joint order {order!r}; known: {", ".join(JOINT_ORDERS)}')
    return HAND.indices(JOINT_ORDERS[order])
