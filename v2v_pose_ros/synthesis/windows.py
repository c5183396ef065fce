"""Labelled windows of depth images, in batches: what training sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from v2v_pose_ros.synthesis.draws import Draws


@dataclass(frozen=True)
class Scene:
    """B labelled depth windows.

    Attributes:
        depth: [B, S, S] metres, 0 = no measurement.
        intrinsics: [B, 4] fx, fy, cx, cy of the windows in pixels.
        joints: [B, J, 3] metres, optical frame.
        astray: [B] whether the window looks at something else than the subject.
    """

    depth: Tensor
    intrinsics: Tensor
    joints: Tensor
    astray: Tensor

    def points(self) -> tuple[Tensor, Tensor]:
        """Return points [B, S * S, 3] and which of them are measurements [B, S * S]."""
        rows, columns = self.depth.shape[1:]
        u = torch.arange(columns, device=self.depth.device)
        v = torch.arange(rows, device=self.depth.device)[:, None]
        fx, fy, cx, cy = self.intrinsics[:, :, None, None].unbind(1)
        x, y = (u - cx) / fx * self.depth, (v - cy) / fy * self.depth
        return torch.stack([x, y, self.depth], -1).flatten(1, 2), (self.depth > 0).flatten(1)


def middle_of(joints: Tensor) -> Tensor:
    """Return the middles [B, 3] of the boxes about joints [B, J, 3]."""
    return 0.5 * (joints.amin(1) + joints.amax(1))


def cut_by_border(draws: Draws, depth: Tensor, share: float) -> Tensor:
    """Cut a share of windows [B, S, S] by a straight image border through the outer third."""
    batch, size = len(depth), depth.shape[1]
    cut, side = draws.chance(share, batch), draws.choice(4, batch)
    place = (draws.uniform(batch, low=0.15, high=0.36) * size)[:, None, None]
    axis = torch.arange(size, device=depth.device)
    row, column = axis[None, :, None], axis[None, None, :]
    outside = torch.stack(
        [
            (row < place).expand_as(depth),
            (row > size - place).expand_as(depth),
            (column < place).expand_as(depth),
            (column > size - place).expand_as(depth),
        ]
    )[side, torch.arange(batch, device=depth.device)]
    return torch.where(outside & cut[:, None, None], 0.0, depth)
