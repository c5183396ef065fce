"""Grids that make a pose network sure of itself: figures of ellipsoids and capsules.

They serve to compare runtimes, and say nothing about accuracy.
"""

from __future__ import annotations

import math

import torch
from torch import nn, Tensor

from v2v_pose_ros.models import Model
from v2v_pose_ros.skeletons import BODY, Skeleton
from v2v_pose_ros.voxels import VoxelCodec

_POINTS = 1500  # of the trunk, and of each limb

# Where limbs start, which way they go (degrees from upwards, clockwise in the image), the lengths
# of their parts and their radius, all in cube edges; of a hand's palm and fingers, thumb first...
_HAND = (
    ((-0.13, 0.10), -55, (0.16, 0.12, 0.10), 0.042),
    ((-0.13, -0.10), -10, (0.17, 0.10, 0.09), 0.037),
    ((-0.04, -0.12), 0, (0.18, 0.12, 0.09), 0.037),
    ((0.05, -0.11), 8, (0.17, 0.11, 0.09), 0.036),
    ((0.12, -0.08), 18, (0.13, 0.08, 0.08), 0.032),
)
# ...and of a person's trunk, head, arms and legs.
_BODY = (
    ((0.0, -0.17), 0, (0.05, 0.04, 0.04), 0.06),
    ((-0.10, -0.13), -150, (0.15, 0.13, 0.05), 0.028),
    ((0.10, -0.13), 150, (0.15, 0.13, 0.05), 0.028),
    ((-0.05, 0.1), -178, (0.14, 0.13, 0.03), 0.04),
    ((0.05, 0.1), 178, (0.14, 0.13, 0.03), 0.04),
)
_TRUNKS = {False: (0.17, 0.18, 0.06), True: (0.1, 0.18, 0.07)}
_SHIFT = {False: 0.08, True: -0.03}  # downwards, to the middle of the cube


def probe_grids(codec: VoxelCodec, skeleton: Skeleton, count: int, seed: int = 0) -> Tensor:
    """Return occupancy grids [B, 1, G, G, G] of figures whose limbs bend at random.

    Args:
        codec: of the network.
        skeleton: 'body' gives people, every other one hands.
        count: how many.
        seed: equal seeds give equal grids.
    """
    generator = torch.Generator().manual_seed(seed)
    grids = []
    for _ in range(count):
        points = _figure(skeleton.name == BODY.name, generator) * codec.cube_size
        grids.append(codec.occupancy(points[None], torch.zeros(1, 3)))
    return torch.cat(grids)


def calibration_grids(model: Model) -> Tensor:
    """Return grids [B, 1, G, G, G] as a network meets them, to measure its activations on.

    Hands are rendered with the noise of depth cameras, as in training; other subjects are figures.
    """
    codec, skeleton = model.info.make_codec(), model.info.get_skeleton()
    # As many voxels in all as 16 grids of 48^3 have: memory is a few hundred megabytes.
    count = min(16, max(3, round(16 * (48 / codec.input_size) ** 3)))
    if skeleton.name == BODY.name:
        return probe_grids(codec, skeleton, count, seed=1)
    from v2v_pose_ros.synthesis.hands.scenes import HandScenes, SceneOptions
    from v2v_pose_ros.synthesis.windows import reference_points

    scenes = HandScenes(seed=20_180_618, options=SceneOptions(astray=0.0))
    grids = []
    for _ in range(count):
        scene = scenes.sample(1)
        points, valid = scene.points()
        references = reference_points(scene, codec.cube_size, scenes.generator)
        grids.append(codec.occupancy(points, references, valid))
    return torch.cat(grids)


def _figure(person: bool, generator: torch.Generator) -> Tensor:
    """Return the points [N, 3] of one figure's near surfaces, in cube edges about the middle."""

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand(1, generator=generator))

    def near_side(count: int) -> Tensor:
        normals = nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
        return torch.cat([normals[:, :2], -normals[:, 2:].abs()], 1)

    parts = [
        near_side(_POINTS) * torch.tensor(_TRUNKS[person])
        + torch.tensor([0.0, _SHIFT[person], 0.0])
    ]
    bend = 0.4 if person else uniform(0, 0.9)
    for start, angle, lengths, radius in _BODY if person else _HAND:
        place, pitch = torch.tensor([start[0], start[1] + _SHIFT[person], 0.0]), 0.0
        turn = math.radians(angle + uniform(-8, 8))
        for length in lengths:
            pitch += uniform(0, bend)
            way = torch.tensor(
                [
                    math.sin(turn) * math.cos(pitch),
                    -math.cos(turn) * math.cos(pitch),
                    -math.sin(pitch),
                ]
            )
            along = torch.rand(_POINTS // 3, 1, generator=generator) * length
            parts.append(place + along * way + radius * near_side(_POINTS // 3))
            place = place + length * way
    roll = math.radians(uniform(-25, 25))
    turned = torch.tensor(
        [
            [math.cos(roll), -math.sin(roll), 0.0],
            [math.sin(roll), math.cos(roll), 0.0],
            [0.0, 0.0, 1.0],
        ]
    )
    return torch.cat(parts) @ turned.T
