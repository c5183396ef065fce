"""Labelled windows of depth images, in batches: what training sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from v2v_pose_ros.synthesis.draws import Draws

_AWAY = 0.8  # of a cube from a subject's middle, along an axis, where it shows little of it


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


def reference_points(
    scene: Scene,
    cube_size: float,
    generator: torch.Generator,
    tracked: float = 0.5,
    reach: float | None = None,
) -> Tensor:
    """Draw the cubes' centres [B, 3] as the pipeline finds them.

    A share is what tracking and refinement give: the middle of the joints' bounding box, a little
    off.  The others are what detection gives: a centre of mass of the points about the subject,
    which a forearm pulls towards itself, and now and then something far off.  Windows that went
    astray get a point that the subject is away from, or an empty cube.

    Args:
        scene: the windows.
        cube_size: edge of the cubes in metres; all errors are in proportion to it.
        generator: source of randomness on the same device.
        tracked: the share that tracking gives.
        reach: metres from the nearest joint beyond which points have no weight, as where detection
            has taken floor and furniture away; they all have by default.
    """
    joints, draws = scene.joints, Draws(generator)
    batch = len(joints)
    middle = middle_of(joints)
    points, valid = scene.points()
    counted = valid
    if reach is not None:
        counted = valid & (torch.cdist(points, joints).amin(-1) < reach)
    mass = middle + 0.08 * cube_size * draws.normal(batch, 3)
    for _ in range(2):
        near = counted & ((points - mass[:, None]).abs().amax(-1) < cube_size / 2)
        weight = near.float() / near.sum(1, keepdim=True).clamp(min=1)
        moved = (points * weight[..., None]).sum(1)
        mass = torch.where(near.any(1, keepdim=True), moved, mass)
    choice = draws.uniform(batch, 1)
    close = 0.048 * cube_size * draws.normal(batch, 3)
    wide = 0.112 * cube_size * draws.normal(batch, 3)
    far = cube_size * draws.uniform(batch, 3, low=-0.4, high=0.4)
    found = torch.where(choice < tracked, middle, mass) + close
    found = torch.where(choice > 0.82, middle + wide, found)
    found = torch.where(choice > 0.96, middle + far, found)
    elsewhere = _elsewhere(points, valid, middle, cube_size, draws)
    return torch.where(scene.astray[:, None], elsewhere, found)


def _elsewhere(
    points: Tensor, valid: Tensor, middle: Tensor, cube_size: float, draws: Draws
) -> Tensor:
    """Return a measured point [B, 3] in each scene that is away from the subject."""
    distance = _AWAY * cube_size
    away = valid & ((points - middle[:, None]).abs().amax(-1) > distance)
    pick = torch.where(away, draws.uniform(*away.shape), 0.0).argmax(1)
    chosen = points[torch.arange(len(points), device=points.device), pick]
    empty = middle - points.new_tensor([0.0, 0.0, 2 * distance])
    found = torch.where(away.any(1, keepdim=True), chosen, empty)
    return found + 0.08 * cube_size * draws.normal(len(points), 3)
