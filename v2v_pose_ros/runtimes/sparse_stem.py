"""The published network's first layers where there is something to see, which is almost nowhere.

A 7x7x7 convolution over 88^3 voxels and a pooling make a tenth of the network's arithmetic and,
with one channel that vector units cannot fill, a fifth of its time.  A depth camera
fills 3,000 of the 681,472 voxels: where none is near, the result is the same everywhere.  Only
the cells of the pooled volume within reach of a voxel are computed, each from the 8x8x8 voxels
that it depends on, as one product of matrices.  Nothing is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor

from v2v_pose_ros.networks.v2v import BasicBlock

_CHUNK = 4096  # cells at once: 8 MB of neighbourhoods
_REACH = 3  # voxels to each side
_EDGE = 2 * _REACH + 2  # voxels that a pooled cell depends on, along an axis


class SparseStem:
    """Convolution 7x7x7 of an occupancy grid, ReLU and the maximum over 2x2x2 voxels."""

    def __init__(self, block: nn.Module, precision: torch.dtype = torch.float32) -> None:
        """Take the weights of a block whose normalisation is folded.

        Args:
            block: the 7x7x7 convolution, normalisation and ReLU.
            precision: what products are computed in.
        """
        assert isinstance(block, BasicBlock)
        convolution = block[0]
        assert isinstance(convolution, nn.Conv3d)
        assert convolution.kernel_size == (7, 7, 7)
        assert convolution.bias is not None
        weight = convolution.weight.detach()[:, 0]
        self.channels = len(weight)
        # One column for each channel at each of the cell's 2x2x2 voxels.
        columns = weight.new_zeros(_EDGE, _EDGE, _EDGE, 2, 2, 2, self.channels)
        moved = weight.permute(1, 2, 3, 0)
        for z in range(2):
            for y in range(2):
                for x in range(2):
                    columns[z : z + 7, y : y + 7, x : x + 7, z, y, x] = moved
        self._columns = columns.reshape(_EDGE**3, 8 * self.channels).to(precision)
        self._bias = convolution.bias.detach()

    @torch.inference_mode()
    def __call__(self, grids: Tensor) -> Tensor:
        """Map grids of zeros and ones [B, 1, G, G, G] to [B, G/2, G/2, G/2, channels]."""
        half = grids.shape[-1] // 2
        out = self._bias.relu().repeat(len(grids) * half**3, 1)
        for index, grid in enumerate(grids[:, 0].numpy()):
            neighbours = _Neighbours(grid)
            for first in range(0, len(neighbours.cells), _CHUNK):
                cells = neighbours.cells[first : first + _CHUNK]
                voxels = torch.from_numpy(neighbours.gather(cells)).to(self._columns.dtype)
                values = (voxels @ self._columns).view(-1, 8, self.channels).amax(1).float()
                out[index * half**3 + _flat(cells, half)] = (values + self._bias).relu()
        return out.view(len(grids), half, half, half, self.channels)


class _Neighbours:
    """The pooled cells with a voxel in reach, and the voxels about them.

    Attributes:
        cells: [K, 3] z, y, x.
    """

    def __init__(self, grid: NDArray[np.float32]) -> None:
        size = len(grid)
        half, width = size // 2, size + _EDGE
        padded = np.zeros((width, width, width), np.uint8)
        inside = slice(_REACH, _REACH + size)
        padded[inside, inside, inside] = grid
        # The eight voxels that begin at every second one, as the bytes of one number.
        strides = (width * width, width, 2)
        rows = np.ndarray((width, width, half), np.uint64, padded.data, strides=strides)
        self._rows = np.ascontiguousarray(rows)
        self._shape = width, half
        near = _within_reach(_within_reach(self._rows != 0, half).swapaxes(0, 1), half)
        self.cells = np.argwhere(near.swapaxes(0, 1))

    def gather(self, cells: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the 8x8x8 voxels [K, 512] that cells depend on."""
        width, half = self._shape
        z, y, x = cells.T
        first = (2 * z * width + 2 * y) * half + x
        step = np.arange(_EDGE)
        beside = ((step[:, None] * width + step) * half).ravel()
        return self._rows.ravel()[first[:, None] + beside].view(np.uint8)


def _within_reach(voxels: NDArray[np.bool_], half: int) -> NDArray[np.bool_]:
    """Return for every pooled cell along the first axis whether one of its eight voxels is set."""
    pairs = voxels[0::2] | voxels[1::2]
    found = pairs[:half].copy()
    for step in range(1, _EDGE // 2):
        found |= pairs[step : step + half]
    return found


def _flat(cells: NDArray[np.intp], half: int) -> NDArray[np.intp]:
    z, y, x = cells.T
    return (z * half + y) * half + x
