"""Depth images of triangle meshes, batched, on any torch device.

Triangles of any size go through one flat list of candidate pixels: each contributes the pixels of
its bounding box, every candidate evaluates three barycentric coordinates and the inverse depth,
both affine in the pixel, and the nearest surface wins by a scatter.  Pixel centres have integer
coordinates, as in camera_info.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NEAR = 0.02  # metres: triangles that reach nearer are left out


def rasterize(
    vertices: Tensor, faces: Tensor, intrinsics: Tensor, size: tuple[int, int]
) -> Tensor:
    """Render depth.

    Args:
        vertices: [B, V, 3] metres in the optical frame.
        faces: [F, 3] vertex indices, counter-clockwise seen from outside; back faces are culled.
        intrinsics: [B, 4] fx, fy, cx, cy in pixels.
        size: rows and columns of the images.

    Returns:
        [B, rows, columns] distance along the optical axis in metres; 0 where nothing is.
    """
    rows, columns = size
    batch = len(vertices)
    z = vertices[..., 2].clamp(min=1e-6)
    pixels = vertices[..., :2] / z[..., None] * intrinsics[:, None, :2] + intrinsics[:, None, 2:]
    corner = torch.cat([pixels, 1 / z[..., None]], -1)[:, faces]  # [B, F, 3, (u, v, 1/z)]
    limit = torch.tensor([columns - 1.0, rows - 1.0], device=vertices.device)
    low = corner[..., :2].amin(2).ceil().clamp(min=0)
    high = torch.minimum(corner[..., :2].amax(2).floor(), limit)
    edge1 = corner[..., 1, :2] - corner[..., 0, :2]
    edge2 = corner[..., 2, :2] - corner[..., 0, :2]
    area = edge1[..., 0] * edge2[..., 1] - edge1[..., 1] * edge2[..., 0]
    visible = (area < -1e-9) & (high >= low).all(-1) & (corner[..., 2].amax(2) < 1 / _NEAR)
    image, face = visible.nonzero(as_tuple=True)
    low, high = low[image, face], high[image, face]
    affine = _affine(corner[image, face], low, area[image, face])
    extent = (high - low + 1).long()
    inverse, target = _fill(affine, low.long(), extent, image * rows, columns)
    depth = vertices.new_zeros(batch * rows * columns)
    depth.scatter_reduce_(0, target, inverse, 'amax')
    return torch.where(depth > 0, 1 / depth, depth).view(batch, rows, columns)


def _affine(corner: Tensor, low: Tensor, area: Tensor) -> Tensor:
    """Return per triangle the value at `low` and the slopes of b1, b2 and 1/z, [T, 3, 3]."""
    a, b, c = corner.unbind(1)
    du1, dv1 = (b - a)[:, 0] / area, (b - a)[:, 1] / area
    du2, dv2 = (c - a)[:, 0] / area, (c - a)[:, 1] / area
    x, y = low[:, 0] - a[:, 0], low[:, 1] - a[:, 1]
    weight1 = torch.stack([x * dv2 - y * du2, dv2, -du2], -1)
    weight2 = torch.stack([y * du1 - x * dv1, -dv1, du1], -1)
    slope1, slope2 = (b - a)[:, 2, None], (c - a)[:, 2, None]
    inverse = weight1 * slope1 + weight2 * slope2
    inverse[:, 0] += a[:, 2]
    return torch.stack([weight1, weight2, inverse], 1)


def _fill(
    affine: Tensor, low: Tensor, extent: Tensor, first_row: Tensor, columns: int
) -> tuple[Tensor, Tensor]:
    """Return inverse depth and flat pixel of every covered candidate."""
    width, count = extent[:, 0], extent[:, 0] * extent[:, 1]
    start = count.cumsum(0) - count
    triangle = torch.repeat_interleave(count)
    local = torch.arange(len(triangle), device=low.device) - start[triangle]
    dy = torch.div(local, width[triangle], rounding_mode='floor')
    dx = local - dy * width[triangle]
    base = (first_row + low[:, 1]) * columns + low[:, 0]
    table = affine.flatten(1)[triangle]
    x, y = dx.to(affine.dtype), dy.to(affine.dtype)
    b1 = table[:, 0] + table[:, 1] * x + table[:, 2] * y
    b2 = table[:, 3] + table[:, 4] * x + table[:, 5] * y
    inside = (b1 >= 0) & (b2 >= 0) & (b1 + b2 <= 1)
    inverse = table[:, 6] + table[:, 7] * x + table[:, 8] * y
    target = base[triangle] + dy * columns + dx
    return inverse[inside], target[inside]
