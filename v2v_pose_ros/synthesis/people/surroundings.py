"""What else is in view of a person: floor and walls, furniture, things held, other people.

Everything is in the room's frame: y up, z towards the camera, the floor at y = 0, metres.  Boxes
and other things come as vertices [B, V, 3] and in which of the B scenes they have a place.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor

from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.primitives import superquadrics
from v2v_pose_ros.synthesis.rotations import rotation_about

_HIPS = BODY.indices(['right_hip', 'left_hip'])
_KNEES = BODY.indices(['right_knee', 'left_knee'])
_FEET = BODY.indices(['right_foot', 'left_foot'])
_HANDS = BODY.indices(['right_hand', 'left_hand'])
_SHOULDERS = BODY.indices(['right_shoulder', 'left_shoulder'])
_FAR = 12.0  # metres: no depth camera sees a wall beyond
_SQUARE = (0.08, 0.25)  # exponents of superquadrics that are boxes with rounded edges


@dataclass(frozen=True)
class Planes:
    """P planes in each of B rooms: points p with normal . p = offset.

    Attributes:
        normals: [B, P, 3].
        offsets: [B, P] metres; not a number where there is no such plane.
    """

    normals: Tensor
    offsets: Tensor

    def seen_from(self, rotation: Tensor, position: Tensor) -> Planes:
        """Return the planes in the optical frames of cameras that look at their fronts.

        Args:
            rotation: [B, 3, 3] from the room's frame to the optical frame.
            position: [B, 3] where the cameras are in the room.
        """
        offsets = self.offsets - (self.normals @ position[..., None])[..., 0]
        offsets = torch.where(offsets < 0, offsets, torch.nan)
        return Planes(self.normals @ rotation.transpose(1, 2), offsets)

    def behind(self, depth: Tensor, intrinsics: Tensor) -> Tensor:
        """Return depth [B, H, W] with the planes behind, or before, what it shows."""
        rows, columns = depth.shape[1:]
        fx, fy, cx, cy = intrinsics[:, :, None, None].unbind(1)
        x = (torch.arange(columns, device=depth.device) - cx) / fx
        y = (torch.arange(rows, device=depth.device)[:, None] - cy) / fy
        nearest = torch.where(depth > 0, depth, _FAR)
        for normal, offset in zip(self.normals.unbind(1), self.offsets.unbind(1), strict=True):
            a, b, c = normal[:, :, None, None].unbind(1)
            along = offset[:, None, None] / (a * x + b * y + c)
            nearest = torch.where((along > 0) & (along < nearest), along, nearest)
        return torch.where(nearest < _FAR, nearest, 0.0)


def room(draws: Draws, place: Tensor, floor: float, wall: float) -> Planes:
    """Return floor, a wall behind people at place [B, 3] and walls at both sides, for shares.

    Each side has a wall half as often as there is one behind; passages are as narrow as 80 cm.
    """
    batch = len(place)
    up = place.new_tensor([0.0, 1.0, 0.0]).expand(batch, 3)
    turn = draws.normal(batch) * math.radians(25)
    behind = torch.stack([turn.sin(), torch.zeros_like(turn), turn.cos()], 1)
    right = torch.stack([turn.cos(), torch.zeros_like(turn), -turn.sin()], 1)
    # All look at the person: normal . place is greater than the offset.
    offsets = torch.stack(
        [
            torch.zeros(batch, device=place.device),
            (behind * place).sum(1) - draws.uniform(batch, low=0.25, high=2.5),
            (right * place).sum(1) - 0.4 - 2.0 * draws.uniform(batch) ** 1.5,
            -(right * place).sum(1) - 0.4 - 2.0 * draws.uniform(batch) ** 1.5,
        ],
        1,
    )
    shares = (floor, wall, wall / 2, wall / 2)
    present = torch.stack([draws.chance(share, batch) for share in shares], 1)
    offsets = torch.where(present, offsets, torch.nan)
    return Planes(torch.stack([up, behind, right, -right], 1), offsets)


def _box(draws: Draws, low: Tensor, high: Tensor, yaw: Tensor) -> Tensor:
    """Return boxes [B, V, 3] between corners [B, 3] given before a turn by yaw [B] about y."""
    batch = len(low)
    size = 0.5 * (high - low)
    shape = draws.uniform(batch, 2, low=_SQUARE[0], high=_SQUARE[1])
    # A superquadric's poles lie on its z axis: y is up here.
    vertices = superquadrics(size[:, [0, 2, 1]], shape)[..., [0, 2, 1]]
    vertices = vertices * vertices.new_tensor([1.0, 1.0, -1.0])  # a mirror undoes the exchange
    turned = vertices @ rotation_about(low.new_tensor([0.0, 1.0, 0.0]), yaw).transpose(1, 2)
    return turned + (0.5 * (low + high))[:, None]


def seat(draws: Draws, joints: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Return what somebody sits on, [B, V, 3]; nobody stands on it."""
    hips, knees, feet = (joints[:, part].mean(1) for part in (_HIPS, _KNEES, _FEET))
    sitting = (hips[:, 1] - knees[:, 1]).abs() < 0.22
    sitting &= knees[:, 1] - feet[:, 1] > 0.2
    top = torch.minimum(hips[:, 1], knees[:, 1]) - 0.1
    half = draws.uniform(len(joints), 2, low=0.18, high=0.32)
    middle = hips + 0.25 * (knees - hips) * hips.new_tensor([1.0, 0.0, 1.0])
    low = torch.stack([middle[:, 0] - half[:, 0], top * 0, middle[:, 2] - half[:, 1]], 1)
    high = torch.stack([middle[:, 0] + half[:, 0], top, middle[:, 2] + half[:, 1]], 1)
    legs = draws.chance(0.5, len(joints))  # a plate on legs that are too thin to be seen
    low[:, 1] = torch.where(legs, top - 0.06, low[:, 1])
    return _box(draws, low, high, yaw), sitting & (top > 0.08)


def back_rest(draws: Draws, joints: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Return the back of what somebody sits on, [B, V, 3], behind the trunk."""
    batch = len(joints)
    hips, knees = joints[:, _HIPS].mean(1), joints[:, _KNEES].mean(1)
    shoulders = joints[:, _SHOULDERS].mean(1)
    front = torch.stack([yaw.sin(), torch.zeros_like(yaw), yaw.cos()], 1)
    trunk = 0.5 * (hips + shoulders)
    depth = torch.minimum((hips * front).sum(1), (trunk * front).sum(1)) - 0.2
    middle = hips + front * (depth - (hips * front).sum(1))[:, None]
    half = draws.uniform(batch, low=0.17, high=0.3)
    top = hips[:, 1] + draws.uniform(batch, low=0.1, high=0.75)
    thick = draws.uniform(batch, low=0.015, high=0.06)
    low = torch.stack([middle[:, 0] - half, hips[:, 1] - 0.1, middle[:, 2] - thick], 1)
    high = torch.stack([middle[:, 0] + half, top, middle[:, 2] + thick], 1)
    sitting = (hips[:, 1] - knees[:, 1]).abs() < 0.22
    return _box(draws, low, high, yaw), sitting


def table(draws: Draws, joints: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Return a table or desk [B, V, 3] in front of somebody, at or above the knees."""
    batch = len(joints)
    front = torch.stack([yaw.sin(), torch.zeros_like(yaw), yaw.cos()], 1)
    hips, knees = joints[:, _HIPS].mean(1), joints[:, _KNEES]
    top = torch.maximum(knees[..., 1].amax(1), hips[:, 1] - 0.25) + draws.uniform(
        batch, low=0.1, high=0.28
    )
    deep = draws.uniform(batch, low=0.25, high=0.45)
    away = deep + draws.uniform(batch, low=0.16, high=0.4)
    middle = hips + front * away[:, None]
    half = draws.uniform(batch, low=0.3, high=0.8)
    plate = draws.chance(0.6, batch)
    bottom = torch.where(plate, top - 0.05, 0.0)
    low = torch.stack([middle[:, 0] - half, bottom, middle[:, 2] - deep], 1)
    high = torch.stack([middle[:, 0] + half, top, middle[:, 2] + deep], 1)
    vertices = _box(draws, low, high, yaw)
    inside = _inside(joints[:, _KNEES + _FEET], low, high, yaw) & ~plate[:, None]
    hands = _inside(joints, low, high, yaw) & plate[:, None]
    return vertices, ~inside.any(1) & ~hands.any(1)


def furniture(draws: Draws, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Return a box on the floor [B, V, 3] somewhere about a person, not in them."""
    batch = len(joints)
    middle = joints.mean(1)
    bearing = draws.uniform(batch, high=math.tau)
    away = draws.uniform(batch, low=0.35, high=1.4)
    half = draws.uniform(batch, 2, low=0.06, high=0.6)
    top = 0.15 + 1.7 * draws.uniform(batch) ** 1.3
    x = middle[:, 0] + away * bearing.sin()
    z = middle[:, 2] + away * bearing.cos()
    low = torch.stack([x - half[:, 0], torch.zeros_like(x), z - half[:, 1]], 1)
    high = torch.stack([x + half[:, 0], top, z + half[:, 1]], 1)
    yaw = draws.uniform(batch, high=math.pi)
    return _box(draws, low, high, yaw), ~_inside(joints, low, high, yaw).any(1)


def before(draws: Draws, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Return something on the floor [B, V, 3] between the camera and the person's legs."""
    batch = len(joints)
    middle = joints.mean(1)
    top = draws.uniform(batch, low=0.3, high=1.0)
    share = draws.uniform(batch, low=0.45, high=0.8)
    x = middle[:, 0] * share + 0.25 * draws.normal(batch)
    z = middle[:, 2] * share
    half = draws.uniform(batch, low=0.15, high=0.7)
    low = torch.stack([x - half, torch.zeros_like(x), z - 0.2], 1)
    high = torch.stack([x + half, top, z + 0.2], 1)
    yaw = math.radians(20) * draws.normal(batch)
    return _box(draws, low, high, yaw), ~_inside(joints, low, high, yaw).any(1)


def held(draws: Draws, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Return a box, ball or stick [B, V, 3] in one hand or between both."""
    batch = len(joints)
    hands = joints[:, _HANDS]
    one = hands[torch.arange(batch, device=joints.device), draws.choice(2, batch)]
    gap = (hands[:, 0] - hands[:, 1]).norm(dim=1)
    both = (gap < 0.6) & draws.chance(0.6, batch)
    size = draws.uniform(batch, 3, low=0.02, high=0.16)
    size[:, 0] = torch.where(both, 0.5 * gap, size[:, 0])
    long = draws.chance(0.25, batch) & ~both
    size[:, 2] = torch.where(long, draws.uniform(batch, low=0.2, high=0.6), size[:, 2])
    vertices = superquadrics(size, draws.uniform(batch, 2, low=0.1, high=1.0))
    along = (hands[:, 1] - hands[:, 0]) / gap.clamp(min=1e-3)[:, None]
    turn = draws.rotations(batch)
    third = torch.linalg.cross(along, turn[:, :, 2])
    third = third / third.norm(dim=1, keepdim=True).clamp(min=1e-6)
    between = torch.stack([along, torch.linalg.cross(third, along), third], 2)
    rotation = torch.where(both[:, None, None], between, turn)
    middle = torch.where(both[:, None], hands.mean(1), one)
    return vertices @ rotation.transpose(1, 2) + middle[:, None], torch.ones_like(both)


def _inside(points: Tensor, low: Tensor, high: Tensor, yaw: Tensor) -> Tensor:
    """Return which points [B, N, 3] are in or within a hand's breadth of boxes as of `_box`."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    back = rotation_about(low.new_tensor([0.0, 1.0, 0.0]), -yaw)
    local = (points - middle[:, None]) @ back.transpose(1, 2)
    return (local.abs() < half[:, None] + 0.1).all(-1)
