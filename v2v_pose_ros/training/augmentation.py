"""The paper's augmentation (section 6.1): turns about the optical axis, scales and shifts."""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor

from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.training.config import SyntheticConfig
from v2v_pose_ros.voxels import VoxelCodec


@dataclass(frozen=True)
class Movements:
    """Of B cubes' content about their middles: scale times rotation [B, 3, 3], shift [B, 3] m."""

    matrix: Tensor
    shift: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Return points [B, N, 3], metres from the middle, where they move to."""
        return points @ self.matrix.transpose(1, 2) + self.shift[:, None]


def movements(
    data: SyntheticConfig, codec: VoxelCodec, draws: Draws, batch: int
) -> Movements | None:
    """Draw movements; None where the experiment asks for none."""
    if data.rotation == 0 and data.scale == (1, 1) and data.translation == 0:
        return None
    angle = math.radians(data.rotation) * draws.uniform(batch, low=-1.0, high=1.0)
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    turn = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, zero + 1], -1)
    scale = draws.uniform(batch, low=data.scale[0], high=data.scale[1])
    voxels = draws.choice(2 * data.translation + 1, batch, 3) - data.translation
    return Movements(
        scale[:, None, None] * turn.unflatten(-1, (3, 3)),
        voxels * (codec.cube_size / codec.input_size),
    )
