"""Cross-entropy and mean of volumes that are distributions, in few passes over them.

The target is a product of three profiles and the mean is linear, so that neither needs a volume of
its own: what is written down as volumes is the softmax, and the gradient in its place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def cross_entropy_and_mean(output: Tensor, profiles: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far volumes are from their targets, and where their means are.

    Args:
        output: [B, J, H, H, H] logarithms of likelihoods, of any sum.
        profiles: [B, J, 3, H] of the targets along x, y and z, each with the sum one.

    Returns:
        Cross-entropies [B, J] and means [B, J, 3], index coordinates x, y, z; the gradient goes to
        the output alone.
    """
    entropy, mean = _CrossEntropyAndMean.apply(output, profiles.to(output.dtype))  # type: ignore[no-untyped-call]
    return entropy, mean


class _CrossEntropyAndMean(torch.autograd.Function):
    """The derivatives written out.

    With p the softmax, t the target, i the index along an axis and m the mean of it, the
    cross-entropy's gradient is p - t, that of the mean is p (i - m).
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, profiles: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the softmax and the profiles for the way back."""
        batch, joints, size = output.shape[:3]
        lines = output.reshape(batch * joints, size * size, size)
        x, y, z = profiles.reshape(batch * joints, 3, size).unbind(1)
        along_x = (lines @ x[:, :, None]).view(-1, size, size)
        expected = (z[:, None] @ along_x @ y[:, :, None]).flatten()
        flat = lines.flatten(1)
        entropy = flat.logsumexp(1) - expected
        probability = flat.softmax(1).view_as(lines)
        axis = torch.arange(size, device=output.device, dtype=output.dtype)
        sums = probability @ torch.stack([torch.ones_like(axis), axis], 1)  # [BJ, HH, 2]
        plane = sums[..., 0].view(-1, size, size)
        mean = torch.stack([sums[..., 1].sum(1), plane.sum(1) @ axis, plane.sum(2) @ axis], 1)
        ctx.save_for_backward(probability, x, y, z, axis, mean)
        return entropy.view(batch, joints), mean.view(batch, joints, 3)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return p (g + sum over axes of g_a (i_a - m_a)) - g t."""
        probability, x, y, z, axis, mean = ctx.saved_tensors
        batch, joints = gradients[0].shape
        size = len(axis)
        of_entropy = gradients[0].reshape(-1, 1)
        of_mean = gradients[1].reshape(-1, 3, 1)
        factors = of_mean * (axis - mean[:, :, None])  # [BJ, 3, H]
        plane = factors[:, 2, :, None] + factors[:, 1, None] + of_entropy[..., None]
        slope = torch.stack([plane.flatten(1), torch.ones_like(plane).flatten(1)], 2)
        line = torch.stack([torch.ones_like(x), factors[:, 0]], 1)
        gradient = (slope @ line).mul_(probability)
        target = (of_entropy[..., None] * z[:, :, None] * y[:, None]).view(-1, size * size, 1)
        gradient.baddbmm_(target, x[:, None], alpha=-1)
        return gradient.view(batch, joints, size, size, size), None
