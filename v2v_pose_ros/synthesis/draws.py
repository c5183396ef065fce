"""Random numbers, directions and rotations from a generator, on its device."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """Draws of any shape; equal generators in equal states give equal draws."""

    def __init__(self, generator: torch.Generator) -> None:
        """Draw from a generator."""
        self.generator, self.device = generator, generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return numbers between two bounds."""
        draw = torch.rand(*shape, generator=self.generator, device=self.device)
        return low + (high - low) * draw

    def normal(self, *shape: int) -> Tensor:
        """Return numbers of the standard normal distribution."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def chance(self, share: float, *shape: int) -> Tensor:
        """Return booleans that are true in a share of the cases."""
        return self.uniform(*shape) < share

    def choice(self, count: int, *shape: int) -> Tensor:
        """Return integers in 0..count - 1."""
        return torch.randint(count, shape, generator=self.generator, device=self.device)

    def unit(self, *shape: int) -> Tensor:
        """Return directions [..., 3] spread evenly over the sphere."""
        vector = self.normal(*shape, 3)
        return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-6)

    def rotations(self, batch: int) -> Tensor:
        """Return rotations [B, 3, 3] spread evenly.

        By unit quaternions (Shoemake, Graphics Gems III, 1992); the Q of a QR decomposition has
        signs of its own and leaves half of the rotations out.
        """
        q = self.normal(batch, 4)
        w, x, y, z = (q / q.norm(dim=1, keepdim=True).clamp(min=1e-6)).unbind(1)
        rows = [
            torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1),
            torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1),
            torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1),
        ]
        return torch.stack(rows, 1)
