"""Networks as GPUs want them: half precision, channels last, recorded once and replayed.

A 3D convolution of a single frame takes tens of microseconds on a GPU, and starting it from
Python takes as long.  A recorded sequence (a CUDA graph) starts as one.  It has fixed shapes and
fixed places in memory: what goes in is copied to where the recording reads it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn, Tensor
from torch.nn import functional

from v2v_pose_ros.networks.v2v import V2VPoseNet

_WARM_UP = 3  # runs before recording: libraries choose their kernels in the first


class WideStem(nn.Module):
    """A 7x7x7 convolution of one channel as a 7x7x1 convolution of eight.

    Tensor cores take channels by eight, and a single one wastes seven.  Eight copies of the grid,
    each moved on by a voxel along x, fill them: the convolution along x becomes one over channels.
    The eighth copy meets zeros.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        """Rearrange the weights."""
        super().__init__()
        assert convolution.in_channels == 1
        assert convolution.kernel_size == (7, 7, 7)
        assert convolution.bias is not None
        weight = convolution.weight.detach().new_zeros(convolution.out_channels, 8, 7, 7, 1)
        weight[:, :7, :, :, 0] = convolution.weight.detach()[:, 0].permute(0, 3, 1, 2)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(convolution.bias.detach().clone(), requires_grad=False)

    def forward(self, grid: Tensor) -> Tensor:
        """Convolve [B, 1, D, H, W]."""
        copies = functional.pad(grid[:, 0], (3, 4)).unfold(-1, 8, 1)  # [B, D, H, W, 8]
        # Contiguous with the channels last, which is what the convolution wants.
        wide = copies.contiguous().permute(0, 4, 1, 2, 3)
        return functional.conv3d(wide, self.weight, self.bias, padding=(3, 3, 0))


def prepare_network(
    folded: nn.Module, device: torch.device, precision: torch.dtype, wide_stem: bool = True
) -> Callable[[Tensor], Tensor]:
    """Return a network on a device as a function of float32 grids that gives float32.

    Args:
        folded: the network without normalisations; it is taken over.
        device: where it shall run.
        precision: of weights and activations.
        wide_stem: whether a stem of 7x7x7 is rearranged.
    """
    if wide_stem and isinstance(folded, V2VPoseNet) and folded.config.stem == 'conv7':
        block = folded.front[0]
        assert isinstance(block, nn.Sequential)
        block[0] = WideStem(block[0])  # type: ignore[arg-type]
    folded.to(device, precision).requires_grad_(False)
    folded.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def run(grids: Tensor) -> Tensor:
        given = grids.to(precision).contiguous(memory_format=torch.channels_last_3d)
        output: Tensor = folded(given)
        return output.float().contiguous()

    return run


class Replay:
    """A function of tensors on a GPU, recorded; its result is valid until the next call."""

    def __init__(self, function: Callable[..., Tensor], *given: Tensor) -> None:
        """Record the function with the shapes, and in the memory, of what is given."""
        self._given = given
        device = given[0].device
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.backends.cudnn.flags(benchmark=True):
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    function(*given)
            torch.cuda.current_stream(device).wait_stream(side)
            with torch.cuda.graph(self._graph):
                self._result = function(*given)

    def __call__(self, *values: Tensor) -> Tensor:
        """Copy values to where the recording reads them, and start it; nothing is waited for."""
        for place, value in zip(self._given, values, strict=True):
            place.copy_(value, non_blocking=True)
        self._graph.replay()
        return self._result
