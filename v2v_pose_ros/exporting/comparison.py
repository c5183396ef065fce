"""How far an exported network is from the one it was made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math

import torch
from torch import nn, Tensor

from v2v_pose_ros.voxels import VoxelCodec

_SPHERES = 8
_POINTS = 500  # of each sphere


@dataclass(frozen=True)
class Comparison:
    """The largest differences over all grids.

    Attributes:
        grids: how many grids were compared.
        heatmaps: of the network's output, in its own units.
        joints: between decoded joints, metres.
    """

    grids: int
    heatmaps: float
    joints: float


def random_grids(codec: VoxelCodec, count: int, seed: int = 0) -> Tensor:
    """Return occupancy grids [B, 1, G, G, G] as depth cameras fill them.

    A camera sees the near sides of things: each grid has the near halves of a few spheres of
    random size and place.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (count, _SPHERES, _POINTS, 3)
    normals = nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)
    normals[..., 2] = -normals[..., 2].abs()
    centres = 0.6 * (torch.rand(count, _SPHERES, 1, 3, generator=generator) - 0.5)
    radii = 0.05 + 0.15 * torch.rand(count, _SPHERES, 1, 1, generator=generator)
    points = codec.cube_size * (centres + radii * normals).flatten(1, 2)
    return codec.occupancy(points, torch.zeros(count, 3))


@torch.inference_mode()
def compare(
    network: nn.Module, exported: Callable[[Tensor], Tensor], codec: VoxelCodec, count: int = 4
) -> Comparison:
    """Run both on random grids: one by one, and together in a batch.

    Args:
        network: the network in evaluation mode, float32 on the CPU.
        exported: maps grids [B, 1, G, G, G] to output as the network does.
        codec: reads the joints.
        count: how many grids.
    """
    grids = random_grids(codec, count)
    batches = [*grids.split(1), grids]
    heatmaps = joints = 0.0
    for batch in batches:
        expected, found = network(batch), exported(batch)
        if found.shape != expected.shape or not found.isfinite().all():
            return Comparison(count, math.inf, math.inf)
        reference = torch.zeros(len(batch), 3)
        moved = (
            codec.decode(found, reference).positions - codec.decode(expected, reference).positions
        )
        heatmaps = max(heatmaps, float((found - expected).abs().max()))
        joints = max(joints, float(moved.norm(dim=-1).max()))
    return Comparison(count, heatmaps, joints)
