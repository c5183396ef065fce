"""The networks that the paper compares V2V-PoseNet with (table 1): 2D input, or coordinates out.

All four see 48 pixels or voxels per edge.  The paper gives their numbers of parameters, not their
layers; these follow from the numbers.  Up to the head all are V2V-PoseNet, with 3x3 for 3x3x3
convolutions where the input is an image: 3,409,760 parameters in 3D, 1,161,472 in 2D.

* Coordinates: the features, 32 x 24^d numbers, pass two fully connected layers of 1,024 to 3 J
  coordinates, J = 14 for NYU.  In 3D the first alone has 32 x 24^3 x 1,024 = 453.0 million
  weights; all together 457,488,266, published as 457.5 million.  In 2D there are 21,129,514,
  published as 21.1 million.
* A depth image to likelihood volumes: the head gives the J x 24 slices of the volumes as channels
  of one image.  With V2V-PoseNet's channels this would be 1.2 million parameters; twice the
  channels make 4,654,928, published as 4.6 million.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args, Literal

from torch import nn

from v2v_pose_ros.networks.v2v import Dimensions, PoseNet, V2VConfig

Baseline = Literal['voxel_to_coordinates', 'depth_to_voxel', 'depth_to_coordinates']


@dataclass(frozen=True)
class BaselineConfig:
    """What fixes the architecture.

    Attributes:
        architecture: what comes in, an occupancy grid or a depth image, and what goes out,
            likelihood volumes or coordinates.
        joints: number of joints J.
        input_size: voxels or pixels per edge of the input G.
        channels: those of V2V-PoseNet; 'depth_to_voxel' has twice as many.
        hidden: features of the fully connected layers.
    """

    architecture: Baseline
    joints: int
    input_size: int = 48
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    hidden: int = 1024

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.architecture not in get_args(Baseline):
            raise ValueError(
                f'architecture is {self.architecture!r}; one of {get_args(Baseline)} is meant'
            )
        V2VConfig(self.joints, self.channels)  # the same holds for joints and channels
        if self.input_size < 8 or self.input_size % 8:
            raise ValueError(f'input_size is {self.input_size}; a multiple of 8 is expected')
        if self.hidden < 1:
            raise ValueError(f'hidden is {self.hidden}; a positive number is expected')

    @property
    def dimensions(self) -> Dimensions:
        """Dimensions of the input."""
        return 3 if self.architecture.startswith('voxel') else 2

    @property
    def coordinates(self) -> bool:
        """Whether coordinates come out and not likelihood volumes."""
        return self.architecture.endswith('coordinates')

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a model file's metadata."""
        return {**asdict(self), 'channels': list(self.channels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BaselineConfig:
        """Rebuild the configuration from a model file's metadata."""
        return cls(**{**values, 'channels': tuple(values['channels'])})


class BaselineNet(PoseNet):
    """One of the three networks.

    Occupancy [B, 1, G, G, G] or depth about the reference point in half cube edges [B, 1, G, G]
    gives heatmaps [B, J, G/2, G/2, G/2] or coordinates [B, J, 3] in half cube edges.
    """

    def __init__(self, config: BaselineConfig) -> None:
        """Create the network with PyTorch's default initialisation."""
        widen = 2 if config.architecture == 'depth_to_voxel' else 1
        full, half, quarter, eighth = (widen * channels for channels in config.channels)
        super().__init__((full, half, quarter, eighth), dimensions=config.dimensions)
        self.config = config
        joints, size = config.joints, config.input_size // 2
        if config.coordinates:
            self.head = nn.Sequential(
                nn.Flatten(),
                nn.Linear(half * size**config.dimensions, config.hidden),
                nn.ReLU(inplace=True),
                nn.Linear(config.hidden, config.hidden),
                nn.ReLU(inplace=True),
                nn.Linear(config.hidden, 3 * joints),
                nn.Unflatten(1, (joints, 3)),
            )
        else:
            self.head = nn.Sequential(
                nn.Conv2d(half, joints * size, 1), nn.Unflatten(1, (joints, size))
            )
