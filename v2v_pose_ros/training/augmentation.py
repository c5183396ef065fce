"""The paper's augmentation (section 6.1): turns about the optical axis, scales and shifts."""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor

from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.training.config import RecordedConfig, SyntheticConfig
from v2v_pose_ros.training.crops import depth_crops
from v2v_pose_ros.voxels import VoxelCodec


@dataclass(frozen=True)
class Movements:
    """How what is in B cubes moves about their middles.

    Attributes:
        matrix: [B, 3, 3] rotation about z times scale; None where nothing moves.
        shift: [B, 3] metres.
    """

    matrix: Tensor | None
    shift: Tensor

    def __call__(self, points: Tensor, middles: Tensor) -> Tensor:
        """Return points [B, N, 3] moved about middles [B, 3], metres."""
        if self.matrix is None:
            return points
        middles = middles[:, None]
        turned = (points - middles) @ self.matrix.transpose(1, 2)
        return turned + self.shift[:, None] + middles

    def crops(
        self, depth: Tensor, intrinsics: Tensor, middles: Tensor, codec: VoxelCodec
    ) -> Tensor:
        """Return depth images [B, 1, G, G] of the cubes, moved; see `crops.depth_crops`."""
        if self.matrix is not None:  # what comes to lie in the middle
            middles = middles - torch.linalg.solve(self.matrix, self.shift[..., None])[..., 0]
        return depth_crops(
            depth, intrinsics, middles, codec.cube_size, codec.input_size, self.matrix
        )


def movements(
    data: SyntheticConfig | RecordedConfig, codec: VoxelCodec, draws: Draws, batch: int
) -> Movements:
    """Draw the movements that an experiment asks for."""
    if data.rotation == 0 and data.scale == (1, 1) and data.translation == 0:
        return no_movements(batch)
    angle = math.radians(data.rotation) * draws.uniform(batch, low=-1.0, high=1.0)
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    turn = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, zero + 1], -1)
    scale = draws.uniform(batch, low=data.scale[0], high=data.scale[1])
    voxels = draws.choice(2 * data.translation + 1, batch, 3) - data.translation
    return Movements(
        scale[:, None, None] * turn.unflatten(-1, (3, 3)),
        voxels * (codec.cube_size / codec.input_size),
    )


def no_movements(batch: int) -> Movements:
    """Return movements that leave everything where it is."""
    return Movements(None, torch.zeros(batch, 3))
