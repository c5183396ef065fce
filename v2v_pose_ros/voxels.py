"""The codec: points to occupancy grid, joints to heatmaps, heatmaps to joints.

One written convention serves training, evaluation and the node.  A cube of edge C (metres) is
centred on the reference point c.  The input grid has G voxels per edge, the heatmaps H = G / 2
cells.  Along each axis, x = (p - (c - C / 2)) / C is 0 at the cube's low face and 1 at its high
face, and intervals are half-open: voxel floor(G x) holds a point if 0 <= floor(G x) < G.  Volumes
are [batch, channel, z, y, x]; points are x, y, z in metres in the optical frame.

Three conventions place a joint among the heatmap's cells (index coordinate u, cell i is centred
on i):

* `cell_centre`: u = H x - 1/2, the geometric one and the default.
* `lua`: the authors' code (V2V-PoseNet_RELEASE, src/util.lua) rounds a joint down to an input
  voxel before it halves it, u = floor(G x) / 2; on average u = (G x - 1/2) / 2.  It is for
  imported weights.
* `lua_y_up`: the same for weights of data sets whose y axis points up.  Their kernels are mirrored
  on import, so volumes are like all others, but y is rounded towards the other face.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import get_args, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from v2v_pose_ros.decoding import (
    NOISE_FLOOR,
    read_cells,
    TRUNCATED_VARIANCE,
    VARIANCE_FLOOR,
    WINDOW,
)

Convention = Literal['cell_centre', 'lua', 'lua_y_up']
Activation = Literal['identity', 'softmax']

Coordinates = TypeVar('Coordinates', Tensor, NDArray[np.floating])
"""In torch, which training and GPUs need, or in NumPy, which is faster for a few numbers."""


@dataclass(frozen=True)
class Decoded:
    """Joints read from heatmaps.

    Attributes:
        positions: [B, J, 3] metres, optical frame.
        confidences: [B, J] in 0..1: the amplitude of the target Gaussian that fits the heatmap
            best at the decoded position.  Training makes a heatmap the posterior of the joint
            blurred by the target, so this is the expectation of exp(-d^2 / (2 sigma^2)),
            d the distance of the joint from where it is reported: 1 when certain, small when it
            may be in many places.
        covariances: [B, J, 3, 3] square metres: second moment of the heatmap about its own mean
            less the target's variance, cells under 5 % of the maximum left out.
    """

    positions: Tensor
    confidences: Tensor
    covariances: Tensor


@dataclass(frozen=True)
class VoxelCodec:
    """Points, grids, heatmaps and joints of one cube (paper sections 4 and 5).

    Attributes:
        cube_size: edge C in metres; the paper has 0.2 to 0.25 for hands, 2 for people.
        input_size: voxels per edge G; the paper has 88.
        sigma: standard deviation of the target Gaussian in heatmap cells; the paper has 1.7.
        convention: where a joint lies among the cells, see the module.
        activation: what turns the network's output into likelihoods: 'identity' for networks
            trained by squared error as the paper's, 'softmax' for those trained by cross-entropy.
    """

    cube_size: float
    input_size: int = 88
    sigma: float = 1.7
    convention: Convention = 'cell_centre'
    activation: Activation = 'identity'

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if not (math.isfinite(self.cube_size) and self.cube_size > 0):
            raise ValueError(
                f'cube_size is {self.cube_size}; a positive number of metres is meant'
            )
        if not isinstance(self.input_size, int) or self.input_size < 2 or self.input_size % 2:
            raise ValueError(f'input_size is {self.input_size}; an even number of voxels is meant')
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f'sigma is {self.sigma}; a positive number of cells is meant')
        if self.convention not in get_args(Convention):
            raise ValueError(
                f'convention is {self.convention!r}; one of {get_args(Convention)} is meant'
            )
        if self.activation not in ('identity', 'softmax'):
            raise ValueError(
                f"activation is {self.activation!r}; 'identity' or 'softmax' is meant"
            )

    @property
    def output_size(self) -> int:
        """Heatmap cells per edge H."""
        return self.input_size // 2

    @property
    def cell(self) -> float:
        """Edge of a heatmap cell in metres."""
        return self.cube_size / self.output_size

    def occupancy(self, points: Tensor, reference: Tensor, valid: Tensor | None = None) -> Tensor:
        """Voxelise point sets on their device.

        Args:
            points: [B, N, 3] metres.
            reference: [B, 3] centres of the cubes.
            valid: [B, N] which points are measurements; all by default.

        Returns:
            [B, 1, G, G, G] of zeros and ones in the points' dtype.
        """
        size = self.input_size
        low = reference - 0.5 * self.cube_size
        index = ((points - low[:, None]) * (size / self.cube_size)).floor()
        inside = ((index >= 0) & (index < size)).all(-1)
        if valid is not None:
            inside = inside & valid
        x, y, z = torch.where(inside[..., None], index, 0.0).long().unbind(-1)
        batch = torch.arange(len(points), device=points.device)[:, None]
        # Points outside go to one spare voxel behind the last, which is then cut off.
        flat = ((batch * size + z) * size + y) * size + x
        total = len(points) * size**3
        grid = points.new_zeros(total + 1)
        grid[torch.where(inside, flat, total).flatten()] = 1
        return grid[:total].view(len(points), 1, size, size, size)

    def occupancy_numpy(
        self, points: NDArray[np.float32], reference: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Voxelise one point set [N, 3] about reference [3]; equals `occupancy` to the bit."""
        size = self.input_size
        low = reference.astype(np.float32) - np.float32(0.5 * self.cube_size)
        scale = np.float32(size / self.cube_size)
        flat = np.zeros(len(points), np.int32)
        inside = np.ones(len(points), bool)
        for axis in (2, 1, 0):
            scaled = (points[:, axis] - low[axis]) * scale
            inside &= scaled >= 0
            inside &= scaled < size
            with np.errstate(invalid='ignore'):  # far outside: left out below
                index = scaled.astype(np.int32)  # not negative: truncation is floor
            flat = flat * size + index
        grid = np.zeros(size**3, np.float32)
        grid[flat[inside]] = 1
        return grid.reshape(1, 1, size, size, size)

    def to_cells(self, joints: Tensor, reference: Tensor) -> Tensor:
        """Return heatmap index coordinates [B, J, 3] of joints [B, J, 3] in metres."""
        x = (joints - reference[:, None]) / self.cube_size + 0.5
        if self.convention == 'cell_centre':
            return x * self.output_size - 0.5
        cells = (self._turn(x, 1) * self.input_size).floor() / 2
        return self._turn(cells, self.output_size - 1)

    def to_metres(self, cells: Coordinates, reference: Coordinates) -> Coordinates:
        """Return metres [B, J, 3] of index coordinates [B, J, 3]."""
        if self.convention == 'cell_centre':
            x: Coordinates = (cells + 0.5) / self.output_size
        else:
            turned = self._turn(cells, self.output_size - 1)
            x = self._turn((2 * turned + 0.5) / self.input_size, 1)
        return (x - 0.5) * self.cube_size + reference[:, None]

    def _turn(self, coordinates: Coordinates, last: float) -> Coordinates:
        """Count y [..., 3] from the far end of 0..last where the training's y axis pointed up."""
        if self.convention != 'lua_y_up':
            return coordinates
        turned = coordinates + 0  # a copy, of tensors and arrays alike
        turned[..., 1] = last - coordinates[..., 1]
        return turned

    def to_cube(self, joints: Tensor, reference: Tensor) -> Tensor:
        """Return joints [B, J, 3] in half cube edges about the reference [B, 3]: -1..1 inside."""
        return (joints - reference[:, None]) / (0.5 * self.cube_size)

    def from_cube(self, coordinates: Tensor, reference: Tensor) -> Tensor:
        """Return metres [B, J, 3] of coordinates [B, J, 3] in half cube edges."""
        return coordinates * (0.5 * self.cube_size) + reference[:, None]

    def heatmaps(self, joints: Tensor, reference: Tensor) -> Tensor:
        """Return the target likelihoods of joints (equation 1).

        Args:
            joints: [B, J, 3] metres.
            reference: [B, 3] centres of the cubes.

        Returns:
            [B, J, H, H, H], Gaussians of peak height one; a joint outside the cube leaves the tail
            that reaches inside.
        """
        x, y, z = self.profiles(joints, reference).unbind(2)
        return z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]

    def profiles(self, joints: Tensor, reference: Tensor) -> Tensor:
        """Return the Gaussians [B, J, 3, H] along x, y and z whose product `heatmaps` is."""
        axis = torch.arange(self.output_size, device=joints.device, dtype=joints.dtype)
        offset = axis - self.to_cells(joints, reference)[..., None]
        return torch.exp(-(offset**2) / (2 * self.sigma**2))

    def likelihoods(self, output: Tensor) -> Tensor:
        """Turn a network's output [B, J, H, H, H] into likelihoods with peaks of at most one."""
        if self.activation == 'identity':
            return output.float()
        probability = output.float().flatten(2).softmax(-1).view_as(output)
        return probability * (math.tau * self.sigma**2) ** 1.5

    def decode(
        self, output: Tensor, reference: Tensor, method: Literal['subvoxel', 'argmax'] = 'subvoxel'
    ) -> Decoded:
        """Read joints from a network's output.

        `argmax` is the paper's: the centre of the highest cell.  `subvoxel` takes the mean of the
        5 x 5 x 5 cells about it and inverts what the cut-off does to the mean of a Gaussian, so
        that a perfect heatmap gives the joint back exactly.

        Args:
            output: [B, J, H, H, H] as the network gave it.
            reference: [B, 3] centres of the cubes.
            method: 'subvoxel' or 'argmax'.

        Returns:
            Positions, confidences and covariances in metres.
        """
        if output.is_cpu and not output.requires_grad and method == 'subvoxel':
            volumes, centres = output.detach().float().numpy(), reference.numpy()
            found = [self.decode_numpy(*one) for one in zip(volumes, centres, strict=True)]
            stacked = (torch.from_numpy(np.stack(each)) for each in zip(*found, strict=True))
            return Decoded(*(each.to(reference.dtype) for each in stacked))
        positions, confidences, spreads = self.read(output, reference, method)
        values, vectors = torch.linalg.eigh(spreads.double())
        values = (values - self.sigma**2 * TRUNCATED_VARIANCE).clamp(VARIANCE_FLOOR)
        clean = vectors * values[..., None, :] @ vectors.transpose(-1, -2)
        return Decoded(positions, confidences, clean.to(spreads.dtype) * self.cell**2)

    def read(
        self, output: Tensor, reference: Tensor, method: Literal['subvoxel', 'argmax'] = 'subvoxel'
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read positions, confidences and spreads, waiting for nothing: shapes are fixed.

        Spreads [B, J, 3, 3] are second moments in squared cells, the target's blur included; see
        `decoding.clean_covariances` for the rest.
        """
        heatmaps = self.likelihoods(output)
        peak = self._argmax(heatmaps)
        window, low = self._window(heatmaps, peak)
        offset = self._fit_offset(window, low)
        positions = self.to_metres(peak if method == 'argmax' else low + offset, reference)
        return positions, self._amplitude(window, offset), self._spread(heatmaps)

    def decode_numpy(
        self, output: NDArray[np.float32], reference: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Read the joints of one cube in NumPy, which is several times faster on one core.

        Args:
            output: [J, H, H, H] as the network gave it.
            reference: [3] centre of the cube.

        Returns:
            Positions [J, 3], confidences [J] and covariances [J, 3, 3] as in `Decoded`.
        """
        cells, confidences, covariances = read_cells(
            output, self.sigma, logits=self.activation == 'softmax'
        )
        positions = self.to_metres(cells[None], reference[None])[0]
        return positions, confidences, covariances * np.float32(self.cell**2)

    def _argmax(self, heatmaps: Tensor) -> Tensor:
        """Return the index x, y, z [B, J, 3] of the highest cell."""
        size = self.output_size
        volumes = heatmaps.flatten(2)
        flat = volumes.argmax(-1)
        index = torch.stack([flat % size, flat // size % size, flat // size**2], -1)
        return index.to(heatmaps.dtype)

    def _window(self, heatmaps: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
        """Cut [B, J, 5, 5, 5] about the peaks, moved inside the volume; also its low corner."""
        width = 2 * WINDOW + 1
        low = (peak.long() - WINDOW).clamp(0, self.output_size - width)
        steps = torch.arange(width, device=peak.device)
        x, y, z = (low[..., None] + steps).unbind(2)
        batch = torch.arange(len(heatmaps), device=peak.device)[:, None, None, None, None]
        joint = torch.arange(heatmaps.shape[1], device=peak.device)[None, :, None, None, None]
        window = heatmaps[
            batch, joint, z[..., :, None, None], y[..., None, :, None], x[..., None, None, :]
        ]
        return window.clamp(min=0), low.to(heatmaps.dtype)

    def _fit_offset(self, window: Tensor, low: Tensor) -> Tensor:
        """Return the Gaussian's centre [B, J, 3] in the window's own coordinates.

        The mean of a Gaussian of known sigma cut off by the window is, axis by axis, a monotonic
        function of its centre; Newton steps invert it.
        """
        steps = torch.arange(window.shape[-1], device=low.device, dtype=low.dtype)
        total = window.sum((2, 3, 4)).clamp(min=1e-12)
        sums = (window.sum((2, 3)), window.sum((2, 4)), window.sum((3, 4)))  # x, y, z profiles
        mean = torch.stack([(profile * steps).sum(-1) / total for profile in sums], -1)
        centre = mean.clone()
        for _ in range(6):
            weight = torch.exp(-((steps - centre[..., None]) ** 2) / (2 * self.sigma**2))
            weight = weight / weight.sum(-1, keepdim=True)
            first = (weight * steps).sum(-1)
            variance = (weight * (steps - first[..., None]) ** 2).sum(-1)
            slope = (variance / self.sigma**2).clamp(min=0.05)
            centre = centre + (mean - first) / slope
            centre = centre.clamp(-1.0, float(window.shape[-1]))
        # A heatmap that is no Gaussian must not throw the joint out of its window.
        return centre.clamp(-0.5, window.shape[-1] - 0.5)

    def _amplitude(self, window: Tensor, offset: Tensor) -> Tensor:
        """Return the least-squares height [B, J] of the target Gaussian in the window."""
        steps = torch.arange(window.shape[-1], device=offset.device, dtype=offset.dtype)
        profile = torch.exp(-((steps - offset[..., None]) ** 2) / (2 * self.sigma**2))
        x, y, z = profile.unbind(2)
        target = z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]
        height = (window * target).sum((2, 3, 4)) / (target**2).sum((2, 3, 4)).clamp(min=1e-12)
        return height.clamp(0, 1)

    def _spread(self, heatmaps: Tensor) -> Tensor:
        """Return the second moments [B, J, 3, 3] in squared cells of what is above the noise."""
        volumes = heatmaps.flatten(2)
        floor = NOISE_FLOOR * volumes.amax(-1, keepdim=True).clamp(min=1e-12)
        weight = torch.where(volumes >= floor, volumes, 0.0)
        # About the middle of the volume, so that few digits cancel.
        axis = torch.arange(self.output_size, device=heatmaps.device, dtype=heatmaps.dtype)
        z, y, x = torch.meshgrid(*[axis - 0.5 * self.output_size] * 3, indexing='ij')
        place = torch.stack([x, y, z], -1).flatten(0, 2)
        products = (place[:, :, None] * place[:, None]).flatten(1)
        moments = weight @ torch.cat([torch.ones_like(place[:, :1]), place, products], 1)
        mean = moments[..., 1:] / moments[..., :1].clamp(min=1e-12)
        first, second = mean[..., :3], mean[..., 3:].unflatten(-1, (3, 3))
        return second - first[..., :, None] * first[..., None, :]
