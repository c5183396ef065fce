"""What else is in view of a hand: something large behind it, things beside it or held in it.

Every function returns vertices [B, V, 3] in metres, optical frame, and in which of the B scenes
the thing has a place at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.primitives import superquadrics
from v2v_pose_ros.synthesis.rotations import rotation_about

_KNUCKLES = HAND.indices([f'{finger}_mcp' for finger in ('index', 'middle', 'ring', 'pinky')])
_TIPS = HAND.indices([f'{finger}_tip' for finger in ('index', 'middle', 'ring', 'pinky')])


def wall(draws: Draws, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return something large whose near side is 9 to 60 cm behind the hand's middle [B, 3]."""
    batch = len(place)
    size = torch.stack(
        [
            draws.uniform(batch, low=0.1, high=0.45),
            draws.uniform(batch, low=0.1, high=0.5),
            draws.uniform(batch, low=0.06, high=0.2),
        ],
        1,
    )
    shape = draws.uniform(batch, 2, low=0.25, high=1.0)
    tilt = rotation_about(draws.unit(batch), 0.5 * draws.normal(batch))
    vertices = superquadrics(size, shape) @ tilt.transpose(1, 2)
    near = vertices[..., 2].amin(1)
    behind = 0.09 + 0.5 * draws.uniform(batch) ** 2
    offset = torch.cat([0.15 * draws.normal(batch, 2), (behind - near)[:, None]], 1)
    return vertices + (place + offset)[:, None], torch.ones_like(near, dtype=torch.bool)


def clutter(draws: Draws, joints: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return something of 3 to 40 cm near the hand; not where it would touch or hide the hand."""
    batch = len(place)
    size = draws.uniform(batch, 3, low=0.015, high=0.09)
    longer = torch.where(draws.chance(0.3, batch), draws.uniform(batch, low=1.0, high=3.0), 1.0)
    size = torch.cat([size[:, :2], size[:, 2:] * longer[:, None]], 1)
    vertices = superquadrics(size, draws.uniform(batch, 2, low=0.2, high=1.0))
    vertices = vertices @ draws.rotations(batch).transpose(1, 2)
    away = draws.uniform(batch, 1, low=0.07, high=0.2)
    centre = place + draws.unit(batch) * away
    vertices = vertices + centre[:, None]
    inside = (joints - centre[:, None]).norm(dim=-1).amin(1) < size.amax(1) + 0.012
    return vertices, _apart(joints, vertices) & ~inside


def beside(draws: Draws, vertices: Tensor, joints: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Place another hand [B, V, 3], given about its wrist, next to the hand, any way round."""
    batch = len(place)
    turned = vertices @ draws.rotations(batch).transpose(1, 2)
    centre = turned.mean(1, keepdim=True)
    away = draws.unit(batch) * draws.uniform(batch, 1, low=0.09, high=0.2)
    moved = turned - centre + (place + away)[:, None]
    return moved, _apart(joints, moved)


def _apart(joints: Tensor, vertices: Tensor) -> Tensor:
    """Return whether things are free of the hand, and do not hide it from the camera."""
    some = vertices[:, ::3]
    free = torch.cdist(joints, some).amin((1, 2)) > 0.018
    before = some[..., 2].amin(1) < joints[..., 2].amin(1) - 0.01
    rays, joint_rays = (p[..., :2] / p[..., 2:].clamp(min=0.1) for p in (some, joints))
    aside = torch.cdist(joint_rays, rays).amin((1, 2)) * joints[..., 2].mean(1) > 0.015
    return free & (aside | ~before)


def held(draws: Draws, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Return a cylinder, ball, box, card or stick in the grasp, as thick as there is room."""
    batch = len(joints)
    knuckles = joints[:, _KNUCKLES]
    across = knuckles[:, 0] - knuckles[:, 3]
    across = across / across.norm(dim=-1, keepdim=True)
    centre, room = _grasp(draws, joints, across)
    radius = torch.where(
        draws.chance(0.2, batch), room * draws.uniform(batch, low=0.4, high=1.0), room
    )
    length = torch.where(
        draws.chance(0.3, batch), radius, draws.uniform(batch, low=0.03, high=0.13)
    )
    flat = torch.where(draws.chance(0.25, batch), draws.uniform(batch, low=0.15, high=1.0), 1.0)
    size = torch.stack([radius, radius * flat, length], 1).clamp(min=1e-3)
    around = torch.where(draws.chance(0.7, batch), 1.0, draws.uniform(batch, low=0.2))
    ends = draws.uniform(batch, low=0.15, high=1.0)
    vertices = superquadrics(size, torch.stack([ends, around], 1))
    first = torch.linalg.cross(across, draws.unit(batch))
    first = first / first.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    frame = torch.stack([first, torch.linalg.cross(across, first), across], -1)
    slide = across * (length * draws.uniform(batch, low=-0.5, high=0.5))[:, None]
    return vertices @ frame.transpose(1, 2) + (centre + slide)[:, None], room > 0.008


def _grasp(draws: Draws, joints: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Return where something along the knuckles has most room [B, 3], and its radius there [B].

    Places between palm and fingertips and further out of the palm are tried.
    """
    knuckles, tips = joints[:, _KNUCKLES].mean(1), joints[:, _TIPS].mean(1)
    palmar = torch.linalg.cross(across, knuckles - joints[:, 0])
    palmar = palmar / palmar.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    inside = 0.45 * knuckles + 0.45 * tips + 0.1 * joints[:, 0]
    inside = inside + 0.006 * draws.normal(len(joints), 3)
    outwards = draws.uniform(len(joints), 4, low=-0.01, high=0.06)
    outwards = torch.cat([torch.zeros_like(outwards[:, :1]), outwards], 1)
    places = inside[:, None] + outwards[..., None] * palmar[:, None]  # [B, 5, 3]
    relative = joints[:, None] - places[:, :, None]
    # The sum spelt out: summing a broadcast product of three is what einsum is slow at.
    along = (relative * across[:, None, None]).sum(-1, keepdim=True)
    distance = (relative - along * across[:, None, None]).norm(dim=-1).amin(2)
    room, best = (distance - 0.008).clamp(max=0.05).max(1)
    return places[torch.arange(len(joints), device=joints.device), best], room
