"""What one training step learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What goes into the network, and what should come out.

    Attributes:
        grids: [B, 1, G, G, G] occupancy, or [B, 1, G, G] depth about the cubes' centres.
        joints: [B, J, 3] metres.
        references: [B, 3] the cubes' centres in metres.
    """

    grids: Tensor
    joints: Tensor
    references: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device, grids as float."""
        return Batch(
            self.grids.to(device, non_blocking=True).float(),
            self.joints.to(device, non_blocking=True),
            self.references.to(device, non_blocking=True),
        )
