"""Rotations in batches."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Return rotations [..., 3, 3] about unit axes [..., 3] by angles [...] (Rodrigues)."""
    axis = axis.expand(*angle.shape, 3)
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    sine, cosine = angle.sin()[..., None, None], angle.cos()[..., None, None]
    eye = torch.eye(3, device=angle.device, dtype=angle.dtype)
    return eye + sine * cross + (1 - cosine) * (cross @ cross)
