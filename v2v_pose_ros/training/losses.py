"""A network's output and joints: the losses between them, and the joints that it means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from v2v_pose_ros.training.config import LossConfig
from v2v_pose_ros.training.distributions import cross_entropy_and_mean
from v2v_pose_ros.voxels import VoxelCodec


def pose_loss(
    output: Tensor, joints: Tensor, references: Tensor, codec: VoxelCodec, config: LossConfig
) -> Tensor:
    """Return the training loss.

    `squared_error` is the mean over joints and voxels as in the authors' code (the paper's
    equation 2 sums).  `cross_entropy` treats each joint's volume as one distribution and asks for
    the target Gaussian normalised to one.  The coordinate term is the mean absolute error of the
    distribution's mean in cells.  With these two, joints outside the cube are drawn to its face,
    and a cube without a subject asks for a distribution that says nothing.

    Of coordinates the first is the mean squared error in half cube edges, the second the
    coordinate term alone.

    Args:
        output: heatmaps [B, J, H, H, H] or coordinates [B, J, 3] in half cube edges.
        joints: [B, J, 3] metres.
        references: [B, 3] centres of the cubes.
        codec: the codec.
        config: which loss.
    """
    output = output.float()
    if is_coordinates(output):
        shown = shown_subjects(joints, references, codec)
        difference = _joint_coordinates(output) - codec.to_cube(joints, references)
        if config.heatmap == 'squared_error':
            return _mean_over(difference.square().mean((1, 2)), shown)
        return _mean_over(difference.abs().mean((1, 2)), shown) * (0.5 * codec.output_size)
    if config.heatmap == 'squared_error':
        return functional.mse_loss(output, codec.heatmaps(joints, references))
    half = 0.5 * codec.cube_size - 0.5 * codec.cell
    inside = references[:, None] + (joints - references[:, None]).clamp(-half, half)
    profiles = codec.profiles(inside, references)
    shown = shown_subjects(joints, references, codec)
    profiles = torch.where(shown[:, None, None, None], profiles, 1.0)  # nothing: everywhere alike
    profiles = profiles / profiles.sum(-1, keepdim=True)
    entropy, mean = cross_entropy_and_mean(output, profiles)
    if config.coordinates == 0:
        return entropy.mean()
    distance = (mean - codec.to_cells(inside, references)).abs().mean((1, 2))
    return entropy.mean() + config.coordinates * _mean_over(distance, shown)


def shown_subjects(joints: Tensor, references: Tensor, codec: VoxelCodec) -> Tensor:
    """Return which cubes [B] hold a subject: more than a fifth of its joints."""
    inside = (joints - references[:, None]).abs().amax(-1) < codec.cube_size / 2
    return inside.float().mean(1) > 0.2


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def predicted_joints(output: Tensor, references: Tensor, codec: VoxelCodec) -> Tensor:
    """Return the joints [B, J, 3] in metres of a network's output, heatmaps or coordinates."""
    if is_coordinates(output):
        return codec.from_cube(_joint_coordinates(output.float()), references)
    return codec.decode(output, references).positions


def is_coordinates(output: Tensor) -> bool:
    """Tell coordinates [B, J, 3] or one offset [B, 3] from heatmaps [B, J, H, H, H]."""
    return output.ndim <= 3


def _joint_coordinates(output: Tensor) -> Tensor:
    return output.view(len(output), -1, 3)
