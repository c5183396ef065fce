"""Depth images about a reference point: the 2D input of the networks that the paper compares with.

They show what `localization.refinement_crop` shows, in batches and on any device: the cube's
front at the reference point's depth, seen from the camera.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NEAREST = 0.05  # metres: a cube's middle is taken to be at least so far away


def depth_crops(
    depth: Tensor,
    intrinsics: Tensor,
    references: Tensor,
    cube_size: float,
    size: int,
    turn: Tensor | None = None,
) -> Tensor:
    """Cut depth images to cubes, by the nearest pixel.

    Args:
        depth: [B, H, W] metres, 0 = no measurement.
        intrinsics: [B, 4] fx, fy, cx, cy in pixels.
        references: [B, 3] centres of the cubes in metres.
        cube_size: edge of the cubes in metres.
        size: pixels per edge G of what comes out.
        turn: [B, 3, 3] rotations about z times scales that the scenes undergo about the camera
            before they are cut at their turned references: an image stays the same in it but for a
            turn, so it can be done to depth images as to points.

    Returns:
        [B, 1, G, G] depth about the reference points in half cube edges, -1..1; 1, the far face,
        where nothing is.
    """
    half = cube_size / 2
    steps = half * ((torch.arange(size, device=depth.device) + 0.5) / size * 2 - 1)
    place = torch.stack([steps.expand(size, size), steps[:, None].expand(size, size)], -1)
    place = place.flatten(0, 1).expand(len(depth), -1, 2)  # on the cube's middle plane
    scale = references.new_ones(len(depth), 1)
    if turn is not None:
        place = place @ torch.linalg.inv(turn[:, :2, :2]).transpose(1, 2)
        scale = turn[:, 2, 2:]
    focal, middle = intrinsics[:, None].split(2, -1)
    distance = references[:, None, 2:].clamp(min=_NEAREST)
    pixels = ((references[:, None, :2] + place) / distance * focal + middle).round().long()
    column, row = pixels.unbind(-1)
    rows, columns = depth.shape[1:]
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    z = depth.flatten(1).gather(1, torch.where(inside, row * columns + column, 0))
    offset = scale * (z - references[:, 2:]) / half
    crop = torch.where(inside & (z > 0), offset, 1.0).clamp(-1, 1)
    return crop.view(-1, 1, size, size)
