"""Superquadrics: boxes, cylinders, balls and all between as one mesh of fixed topology."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_RINGS, _SECTORS = 9, 16


def superquadric_faces(device: torch.device | str = 'cpu') -> Tensor:
    """Return the faces [F, 3], counter-clockwise seen from outside."""
    faces = []
    for ring in range(_RINGS - 1):
        for sector in range(_SECTORS):
            after = (sector + 1) % _SECTORS
            a, b = ring * _SECTORS + sector, ring * _SECTORS + after
            c, d = a + _SECTORS, b + _SECTORS
            faces += [[a, b, c], [b, d, c]]
    return torch.tensor(faces, device=device)


def superquadrics(size: Tensor, exponents: Tensor) -> Tensor:
    """Return vertices of superquadrics about the origin.

    Args:
        size: [..., 3] half extents in metres.
        exponents: [..., 2] along z and around it; 1 is round, towards 0 square.

    Returns:
        [..., V, 3] metres.
    """
    device = size.device
    # The angles stay off the singular multiples of a quarter turn by nothing: poles are rings of
    # coinciding vertices, which close the mesh.
    north = torch.linspace(-math.pi / 2, math.pi / 2, _RINGS, device=device)[:, None]
    around = (torch.arange(_SECTORS, device=device) + 0.5) * (math.tau / _SECTORS)

    def power(value: Tensor, exponent: Tensor) -> Tensor:
        return value.sign() * value.abs() ** exponent[..., None, None]

    along, round_ = exponents[..., 0], exponents[..., 1]
    ring = power(north.cos().clamp(min=0), along)
    x = ring * power(around.cos().expand(1, -1), round_)
    y = ring * power(around.sin().expand(1, -1), round_)
    z = power(north.sin(), along).expand(x.shape)
    return torch.stack([x, y, z], -1).flatten(-3, -2) * size[..., None, :]
