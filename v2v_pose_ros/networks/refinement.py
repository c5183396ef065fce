"""The network that refines the reference point: ScaleNet of DeepPrior++.

Oberweger and Lepetit, "DeepPrior++", ICCVW 2017, section 3.1, which V2V-PoseNet section 4 uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn, Tensor

CROP = 128
"""Edge of the depth crop in pixels."""


@dataclass(frozen=True)
class RefinementConfig:
    """What fixes the architecture: nothing."""

    dimensions = 2

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a model file's metadata."""
        return {}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RefinementConfig:
        """Rebuild the configuration from a model file's metadata, whatever it says."""
        return cls()


class RefinementNet(nn.Module):
    """Depth crop about a reference point to the offset of the true one; 3,567,651 parameters.

    Three branches see the whole crop, its middle half and its middle quarter at full resolution.
    """

    def __init__(self) -> None:
        """Create the network; convolutions He-initialised, linear layers N(0, 0.01)."""
        super().__init__()
        self.config = RefinementConfig()
        self.branch128 = self._branch(pools=(4, 2, 1))
        self.branch64 = self._branch(pools=(2, 2, 1))
        self.branch32 = self._branch(pools=(2, 1, 1))
        self.head = nn.Sequential(
            nn.Linear(968 + 968 + 512, 1024),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(1024, 3),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    @staticmethod
    def _branch(pools: tuple[int, int, int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        channels = 1
        for kernel, pool in zip((5, 5, 3), pools, strict=True):
            layers.append(nn.Conv2d(channels, 8, kernel))
            if pool > 1:
                layers.append(nn.MaxPool2d(pool))
            layers.append(nn.ReLU(inplace=True))
            channels = 8
        return nn.Sequential(*layers, nn.Flatten())

    def forward(self, crop: Tensor) -> Tensor:
        """Map depth [B, 1, 128, 128] in -1..1 to offsets [B, 3] in half cube edges."""
        features = [
            self.branch128(crop),
            self.branch64(crop[..., 32:96, 32:96]),
            self.branch32(crop[..., 48:80, 48:80]),
        ]
        return self.head(torch.cat(features, 1))  # type: ignore[no-any-return]
