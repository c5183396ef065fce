"""Body poses: joint limits, what people do all day, free limbs, and motion between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.synthesis.people.model import ANGLES, BodyModel, BodyShape, SIDES
from v2v_pose_ros.synthesis.poses import PoseSampler

# Degrees, low and high; after Kapandji, The Physiology of the Joints, and the American Academy of
# Orthopaedic Surgeons' ranges of motion.
_LIMITS = {
    'pelvis_tilt': (-20, 70),
    'bend': (-25, 80),
    'lean': (-30, 30),
    'twist': (-45, 45),
    'nod': (-40, 45),
    'head_tilt': (-30, 30),
    'head_turn': (-65, 65),
    'shoulder_raise': (-8, 30),
    'shoulder_forward': (-15, 25),
    'arm_flexion': (-50, 175),
    'arm_abduction': (-45, 165),
    'arm_rotation': (-90, 110),
    'elbow_flexion': (0, 148),
    'wrist_flexion': (-60, 60),
    'thigh_flexion': (-25, 120),
    'thigh_abduction': (-15, 50),
    'thigh_rotation': (-45, 35),
    'knee_flexion': (0, 140),
    'ankle_flexion': (-40, 25),
}


def _limits() -> Tensor:
    rows = [_LIMITS.get(name) or _LIMITS[name.split('_', 1)[1]] for name in ANGLES]
    return torch.deg2rad(torch.tensor(rows, dtype=torch.float32))


LIMITS = _limits()
"""[31, 2] lowest and highest angle of each joint in radians."""


@dataclass(frozen=True)
class Gesture:
    """A way to hold some joints, in degrees.

    Attributes:
        both: angles of the trunk, and of the limbs of both sides.
        first: angles of one side that differ; which side is drawn.
        second: angles of the other side that differ.
    """

    both: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    second: dict[str, float] = field(default_factory=dict)


def _arm(
    flexion: float, abduction: float, rotation: float, elbow: float, **more: float
) -> dict[str, float]:
    return {
        'arm_flexion': flexion,
        'arm_abduction': abduction,
        'arm_rotation': rotation,
        'elbow_flexion': elbow,
        **more,
    }


def _leg(thigh: float, knee: float, abduction: float = 0, ankle: float = 0) -> dict[str, float]:
    return {
        'thigh_flexion': thigh,
        'knee_flexion': knee,
        'thigh_abduction': abduction,
        'ankle_flexion': ankle,
    }


_HANGING = _arm(2, 9, 15, 14)

ARMS: dict[str, Gesture] = {
    'hanging': Gesture(_HANGING),
    'hands_on_hips': Gesture(_arm(-22, 48, 45, 98)),
    'crossed': Gesture(_arm(38, 8, 62, 98)),
    'sideways': Gesture(_arm(0, 88, 0, 6)),
    'up': Gesture(_arm(165, 10, 0, 12, shoulder_raise=18)),
    'cactus': Gesture(_arm(0, 85, -85, 88)),
    'reaching': Gesture(_arm(82, 4, 5, 12)),
    'reaching_with_one': Gesture(_HANGING, first=_arm(80, 8, 5, 18)),
    'pointing': Gesture(_HANGING, first=_arm(75, 25, 10, 5)),
    'waving': Gesture(_HANGING, first=_arm(15, 75, -85, 95)),
    'hand_up': Gesture(_HANGING, first=_arm(155, 12, 0, 15)),
    'telephoning': Gesture(_HANGING, first=_arm(35, 30, 25, 142)),
    'looking_at_a_phone': Gesture(_arm(22, 8, 32, 92, nod=28)),
    'one_hand_before_the_trunk': Gesture(_HANGING, first=_arm(20, 10, 45, 92)),
    'carrying': Gesture(_arm(22, 8, 12, 82)),
    'behind_the_back': Gesture(_arm(-28, 12, 100, 62)),
    'behind_the_head': Gesture(_arm(105, 75, -60, 132)),
    'in_pockets': Gesture(_arm(-12, 18, 20, 42)),
    'clapping': Gesture(_arm(52, 4, 38, 68)),
    'guard': Gesture(_arm(42, 6, 15, 128)),
    'punching': Gesture(_arm(42, 6, 15, 125), first=_arm(88, -5, 10, 8)),
    'throwing': Gesture(_HANGING, first=_arm(60, 95, -80, 85)),
    'across_the_body': Gesture(_HANGING, first=_arm(78, -32, 20, 28)),
    'racket': Gesture(_arm(30, 15, 20, 60), first=_arm(45, 70, -30, 40)),
    'on_the_thighs': Gesture(_arm(32, 8, 15, 42)),
    'typing': Gesture(_arm(24, 12, 22, 80)),
    'swinging': Gesture(_HANGING, first=_arm(32, 8, 15, 28), second=_arm(-28, 9, 10, 12)),
    'running': Gesture(first=_arm(42, 10, 15, 92), second=_arm(-42, 12, 10, 88)),
    'chin_in_hand': Gesture(_HANGING, first=_arm(48, 5, 35, 138)),
    'bowling': Gesture(_HANGING, first=_arm(-40, 15, 0, 8)),
}
"""How arms are held."""

LEGS: dict[str, Gesture] = {
    'standing': Gesture(_leg(1, 3, -1)),
    'standing_wide': Gesture(_leg(2, 3, 11)),
    'one_leg_free': Gesture(_leg(0, 2), first=_leg(12, 22, 4)),
    'walking': Gesture(first=_leg(25, 8), second=_leg(-16, 16, 0, -8)),
    'stepping': Gesture(first=_leg(42, 58), second=_leg(-4, 4)),
    'running': Gesture({'bend': 8}, first=_leg(62, 80), second=_leg(-18, 62, 0, -20)),
    'lunging': Gesture({'bend': 5}, first=_leg(68, 78, 6), second=_leg(-18, 32, 6, 10)),
    'bending': Gesture({'pelvis_tilt': 38, 'bend': 38, **_leg(38, 6, 6)}),
    'bowing': Gesture({'pelvis_tilt': 15, 'bend': 25, **_leg(15, 3)}),
    'squatting': Gesture({'pelvis_tilt': 25, 'bend': 25, **_leg(110, 122, 14, 18)}),
    'half_squatting': Gesture({'pelvis_tilt': 22, 'bend': 14, **_leg(70, 68, 10, 14)}),
    'kneeling': Gesture(first=_leg(85, 92), second=_leg(-4, 95, 6, -35)),
    'leg_raised': Gesture(first=_leg(72, 12, 6), second=_leg(0, 4)),
    'leg_aside': Gesture(first=_leg(4, 4, 38), second=_leg(0, 4)),
    'sitting': Gesture({'pelvis_tilt': -6, **_leg(82, 84, 8)}),
    'sitting_back': Gesture({'pelvis_tilt': -18, 'bend': 5, **_leg(70, 62, 10)}),
    'sitting_forward': Gesture({'pelvis_tilt': 12, 'bend': 24, **_leg(96, 88, 9)}),
    'legs_crossed': Gesture(_leg(84, 82, 5), first=_leg(98, 76, -12)),
}
"""What legs do, and the trunk with them."""

SITTING = ('sitting', 'sitting_back', 'sitting_forward', 'legs_crossed')
_UPRIGHT = ('standing', 'standing_wide', 'one_leg_free', 'walking')


def _table(gestures: dict[str, Gesture]) -> Tensor:
    """Return the angles [G, 31] of gestures whose first side is the right one."""
    rows = torch.zeros(len(gestures), len(ANGLES))
    for row, gesture in zip(rows, gestures.values(), strict=True):
        for side, own in zip(SIDES, (gesture.first, gesture.second), strict=True):
            for name, value in {**gesture.both, **own}.items():
                place = name if name in ANGLES else f'{side}_{name}'
                row[ANGLES.index(place)] = value
    return torch.deg2rad(rows)


def mirrored(angles: Tensor) -> Tensor:
    """Return angles [B, 31] of the same poses seen in a mirror: left and right change places."""
    names = [_other_side(name) for name in ANGLES]
    result = angles[:, [ANGLES.index(name) for name in names]].clone()
    for name in ('lean', 'twist', 'head_tilt', 'head_turn'):
        result[:, ANGLES.index(name)] *= -1
    return result


def _other_side(name: str) -> str:
    side, _, rest = name.partition('_')
    return {'right': f'left_{rest}', 'left': f'right_{rest}'}.get(side, name)


class BodyPoseSampler(PoseSampler):
    """Draws joint angles [B, 31] of people.

    Half are arms that do something over legs that do something; a third has free arms; the rest
    are between two poses or have free legs too.
    """

    tolerance = 0.03

    def __init__(
        self,
        model: BodyModel,
        generator: torch.Generator,
        arms: Sequence[str] = (),
        legs: Sequence[str] = (),
    ) -> None:
        """Remember the body and the source of randomness (on the body's device).

        Args:
            model: the body.
            generator: on the body's device.
            arms: of ARMS; these alone are drawn; all, and free arms, by default.
            legs: of LEGS; these alone are drawn; all by default, standing most of all.
        """
        super().__init__(generator, LIMITS)
        self.model = model
        self._arm_table, self._leg_table = (
            _table(ARMS).to(self.device),
            _table(LEGS).to(self.device),
        )
        self._arms = [list(ARMS).index(name) for name in arms or ARMS]
        self._legs = [list(LEGS).index(name) for name in legs or LEGS]
        self._upright = [] if legs else [list(LEGS).index(name) for name in _UPRIGHT]
        self._free_arms = not arms
        self._arm_columns = torch.tensor(
            [
                any(part in name for part in ('arm', 'elbow', 'wrist', 'shoulder'))
                for name in ANGLES
            ],
            device=self.device,
        )

    def draw(self, count: int) -> Tensor:
        """Return angles [B, 31] whose limbs may lie inside the body."""
        angles = self._gestures(count)
        if self._free_arms:
            kind = self.draws.uniform(count, 1)
            between = self.draws.uniform(count, 1)
            mixed = between * angles + (1 - between) * self._gestures(count)
            angles = torch.where(kind > 0.8, mixed, angles)
            free = (kind < 0.3) & self._arm_columns
            angles = torch.where(free, self._free(count), angles)
            angles = torch.where(kind < 0.04, self._free(count), angles)
        return self.clamp(angles)

    def _pick(self, choices: Sequence[int], count: int) -> Tensor:
        table = torch.tensor(choices, device=self.device)
        return table[self.draws.choice(len(choices), count)]

    def _gestures(self, count: int) -> Tensor:
        """Draw arms and legs that go on independently, on either side, with some variation."""
        legs = self._pick(self._legs, count)
        if self._upright:
            upright = self.draws.chance(0.6, count)
            legs = torch.where(upright, self._pick(self._upright, count), legs)
        return (
            self._either_side(self._arm_table[self._pick(self._arms, count)])
            + self._either_side(self._leg_table[legs])
            + self._variation(count)
        )

    def _either_side(self, angles: Tensor) -> Tensor:
        swap = self.draws.chance(0.5, len(angles), 1)
        return torch.where(swap, mirrored(angles), angles)

    def _variation(self, count: int) -> Tensor:
        """Return what makes one pose of a kind differ from the next, [B, 31] radians."""
        degrees = torch.full((len(ANGLES),), 6.0, device=self.device)
        for column, name in enumerate(ANGLES):
            if 'rotation' in name or 'elbow' in name:
                degrees[column] = 13.0
            elif 'arm' in name or name == 'head_turn':
                degrees[column] = 11.0
            elif 'shoulder' in name or 'ankle' in name or name.endswith('thigh_abduction'):
                degrees[column] = 4.0
        scale = self.draws.uniform(count, 1, low=0.3, high=1.4)
        return torch.deg2rad(degrees) * scale * self.draws.normal(count, len(ANGLES))

    def _free(self, count: int) -> Tensor:
        """Draw angles anywhere within the limits, nearer to their middle."""
        low, high = self.limits[:, 0], self.limits[:, 1]
        spread = (
            self.draws.uniform(count, len(ANGLES)) + self.draws.uniform(count, len(ANGLES))
        ) / 2
        spread = torch.where(self._arm_columns, self.draws.uniform(count, len(ANGLES)), spread)
        return low + (high - low) * spread

    def penetration(self, angles: Tensor) -> Tensor:
        """Return [B] how deep (m) arms lie inside trunk, head or each other, by capsules."""
        batch = len(angles)
        shape = BodyShape(
            torch.zeros(batch, self.model.components, device=self.device),
            torch.zeros(batch, 19, device=self.device),
        )
        joint = dict(zip(BODY.names, self.model(shape, angles).joints.unbind(1), strict=True))
        hips = 0.5 * (joint['right_hip'] + joint['left_hip'])
        body = [
            _balls(joint['neck'], hips, (0.15, 0.4, 0.65, 0.9), 0.105),
            _balls(joint['right_hip'], joint['right_knee'], (0.2, 0.5, 0.8), 0.065),
            _balls(joint['left_hip'], joint['left_knee'], (0.2, 0.5, 0.8), 0.065),
            _balls(joint['head'], joint['neck'], (0.0,), 0.095),
        ]
        arms = {
            side: _balls(
                joint[f'{side}_elbow'], joint[f'{side}_hand'], (0.0, 0.35, 0.7, 1.0), 0.035
            )
            for side in SIDES
        }
        trunk = torch.cat([balls for balls, _ in body], 1)
        radii = torch.cat([radius for _, radius in body])
        overlaps = []
        for balls, radius in arms.values():
            gap = torch.cdist(balls, trunk)
            overlaps.append((radius[:, None] + radii - gap).flatten(1).amax(1))
        (right, radius), (left, _) = arms['right'], arms['left']
        overlaps.append((2 * radius[0] - torch.cdist(right, left)).flatten(1).amax(1))
        return torch.stack(overlaps).amax(0).clamp(min=0)


def _balls(
    start: Tensor, end: Tensor, places: tuple[float, ...], radius: float
) -> tuple[Tensor, Tensor]:
    """Return points [B, N, 3] between two joints, and their radii [N]."""
    share = torch.tensor(places, device=start.device)[:, None]
    points = start[:, None] + share * (end - start)[:, None]
    return points, torch.full((len(places),), radius, device=start.device)
