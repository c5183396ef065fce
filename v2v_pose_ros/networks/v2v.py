"""V2V-PoseNet: a 3D encoder-decoder from an occupancy grid to per-joint likelihood volumes.

Moon, Chang and Lee, "V2V-PoseNet", CVPR 2018, section 5 and figure 3.  All volumes are
[batch, channel, z, y, x]; an input of G voxels per edge gives heatmaps of G / 2 cells per edge.
The blocks are also there in two dimensions, for the networks that the paper compares with
(baselines.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import nn, Tensor
from torch.nn import functional

Dimensions = Literal[2, 3]


class _Layers(NamedTuple):
    """The layers of images or of volumes."""

    convolution: type[nn.Conv2d] | type[nn.Conv3d]
    transposed: type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]
    normalisation: type[nn.BatchNorm2d] | type[nn.BatchNorm3d]
    pooling: type[nn.MaxPool2d] | type[nn.MaxPool3d]


_LAYERS = {
    2: _Layers(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.MaxPool2d),
    3: _Layers(nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.MaxPool3d),
}
_WEIGHTED = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)


@dataclass(frozen=True)
class V2VConfig:
    """What fixes the architecture.

    Attributes:
        joints: number of likelihood volumes J.
        channels: features at full, half, quarter and eighth resolution; the paper has
            (16, 32, 64, 128).
        stem: 'conv7' is the paper's 7x7x7 convolution at full resolution and a pooling;
            'fold' puts each 2x2x2 block of voxels into 8 channels and convolves at half
            resolution, which costs 20 times less and sees the same voxels.
    """

    joints: int
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    stem: str = 'conv7'

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.joints < 1:
            raise ValueError(f'joints is {self.joints}; a network needs at least one joint')
        if len(self.channels) != 4 or min(self.channels) < 1:
            raise ValueError(f'channels is {self.channels}; four positive numbers are expected')
        if self.stem not in ('conv7', 'fold'):
            raise ValueError(f"stem is {self.stem!r}; 'conv7' or 'fold' is expected")

    @property
    def dimensions(self) -> Dimensions:
        """Dimensions of the input."""
        return 3

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a model file's metadata."""
        return {**asdict(self), 'channels': list(self.channels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> V2VConfig:
        """Rebuild the configuration from a model file's metadata."""
        return cls(**{**values, 'channels': tuple(values['channels'])})


class BasicBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU (figure 2, left)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dimensions: Dimensions = 3) -> None:
        """Create the block; the spatial size stays."""
        layers = _LAYERS[dimensions]
        super().__init__(
            layers.convolution(inputs, outputs, kernel, padding=kernel // 2),
            layers.normalisation(outputs),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a skip connection (figure 2, second)."""

    def __init__(self, inputs: int, outputs: int, dimensions: Dimensions = 3) -> None:
        """Create the block; the skip is a 1x1x1 convolution where the channels change."""
        super().__init__()
        layers = _LAYERS[dimensions]
        self.branch = nn.Sequential(
            layers.convolution(inputs, outputs, 3, padding=1),
            layers.normalisation(outputs),
            nn.ReLU(inplace=True),
            layers.convolution(outputs, outputs, 3, padding=1),
            layers.normalisation(outputs),
        )
        self.skip: nn.Module = nn.Identity()
        if inputs != outputs:
            self.skip = nn.Sequential(
                layers.convolution(inputs, outputs, 1), layers.normalisation(outputs)
            )

    def forward(self, volume: Tensor) -> Tensor:
        """Return relu(branch + skip)."""
        return functional.relu(self.branch(volume) + self.skip(volume), inplace=True)


class UpsampleBlock(nn.Sequential):
    """Transposed convolution that doubles the resolution (figure 2, right)."""

    def __init__(self, inputs: int, outputs: int, dimensions: Dimensions = 3) -> None:
        """Create the block."""
        layers = _LAYERS[dimensions]
        super().__init__(
            layers.transposed(inputs, outputs, 2, stride=2),
            layers.normalisation(outputs),
            nn.ReLU(inplace=True),
        )


class FoldStem(nn.Module):
    """Occupancy grid to half resolution without a convolution at full resolution."""

    def __init__(self, outputs: int) -> None:
        """Create the stem."""
        super().__init__()
        self.block = BasicBlock(8, outputs, 3)

    def forward(self, grid: Tensor) -> Tensor:
        """Fold [B, 1, 2d, 2h, 2w] to [B, 8, d, h, w] and convolve."""
        batch, _, depth, height, width = grid.shape
        folded = grid.reshape(batch, depth // 2, 2, height // 2, 2, width // 2, 2)
        folded = folded.permute(0, 2, 4, 6, 1, 3, 5).flatten(1, 3)
        return self.block(folded)  # type: ignore[no-any-return]


class EncoderDecoder(nn.Module):
    """Two levels down and up again with residual skips, no intermediate supervision."""

    def __init__(self, half: int, quarter: int, eighth: int, dimensions: Dimensions = 3) -> None:
        """Create the levels from their channel counts."""
        super().__init__()
        self.pool = _LAYERS[dimensions].pooling(2)
        self.skip1 = ResidualBlock(half, half, dimensions)
        self.encode1 = ResidualBlock(half, quarter, dimensions)
        self.skip2 = ResidualBlock(quarter, quarter, dimensions)
        self.encode2 = ResidualBlock(quarter, eighth, dimensions)
        self.middle = ResidualBlock(eighth, eighth, dimensions)
        self.decode2 = ResidualBlock(eighth, eighth, dimensions)
        self.up2 = UpsampleBlock(eighth, quarter, dimensions)
        self.decode1 = ResidualBlock(quarter, quarter, dimensions)
        self.up1 = UpsampleBlock(quarter, half, dimensions)

    def forward(self, volume: Tensor) -> Tensor:
        """Return features of the input's shape."""
        quarter = self.encode1(self.pool(volume))
        eighth = self.decode2(self.middle(self.encode2(self.pool(quarter))))
        quarter = self.decode1(self.up2(eighth) + self.skip2(quarter))
        return self.up1(quarter) + self.skip1(volume)  # type: ignore[no-any-return]


class PoseNet(nn.Module):
    """What all pose networks share: features at half the input's resolution, then a head."""

    head: nn.Module

    def __init__(
        self,
        channels: tuple[int, int, int, int],
        stem: str = 'conv7',
        dimensions: Dimensions = 3,
    ) -> None:
        """Create the layers before the head, with PyTorch's default initialisation."""
        super().__init__()
        full, half, quarter, eighth = channels
        first: list[nn.Module]
        if stem == 'conv7':
            first = [BasicBlock(1, full, 7, dimensions), _LAYERS[dimensions].pooling(2)]
        else:
            first = [FoldStem(full)]
        self.front = nn.Sequential(
            *first,
            ResidualBlock(full, half, dimensions),
            ResidualBlock(half, half, dimensions),
            ResidualBlock(half, half, dimensions),
        )
        self.encoder_decoder = EncoderDecoder(half, quarter, eighth, dimensions)
        self.back = nn.Sequential(
            ResidualBlock(half, half, dimensions),
            BasicBlock(half, half, 1, dimensions),
            BasicBlock(half, half, 1, dimensions),
        )

    def forward(self, grid: Tensor) -> Tensor:
        """Map [B, 1, G, G, G] or [B, 1, G, G] to what the head gives; G divides by 8."""
        return self.head(self.back(self.encoder_decoder(self.front(grid))))  # type: ignore[no-any-return]

    def initialise_as_published(self, generator: torch.Generator | None = None) -> None:
        """Draw every weight but the normalisation's from N(0, 0.001), no bias (section 5)."""
        for module in self.modules():
            if isinstance(module, _WEIGHTED):
                nn.init.normal_(module.weight, std=0.001, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class V2VPoseNet(PoseNet):
    """The voxel-to-voxel network; 3,410,453 parameters with the paper's channels at 21 joints.

    Occupancy [B, 1, G, G, G] gives heatmaps [B, J, G/2, G/2, G/2].
    """

    head: nn.Conv3d

    def __init__(self, config: V2VConfig) -> None:
        """Create the network with PyTorch's default initialisation."""
        super().__init__(config.channels, config.stem)
        self.config = config
        self.head = nn.Conv3d(config.channels[1], config.joints, 1)
