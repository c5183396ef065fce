"""Networks run by torch, on a CPU or a CUDA GPU."""

from __future__ import annotations

import copy

import torch
from torch import nn, Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval

from v2v_pose_ros.runtimes.gpu import prepare_network, Replay


def fold_normalisation(network: nn.Module) -> nn.Module:
    """Return a copy with every batch normalisation folded into the convolution before it."""
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            convolution, normalisation = module[index], module[index + 1]
            if isinstance(normalisation, nn.BatchNorm3d):
                module[index] = fuse_conv_bn_eval(  # type: ignore[type-var]
                    convolution,
                    normalisation,
                    transpose=isinstance(convolution, nn.ConvTranspose3d),
                )
                module[index + 1] = nn.Identity()
    return folded


def fast_precision(device: torch.device) -> torch.dtype:
    """Return the fastest precision whose result is good enough: half where the hardware has it."""
    if device.type == 'cuda':
        return torch.float16
    # Emulated bfloat16 is slower than float32.
    supported = getattr(torch.cpu, '_is_avx512_bf16_supported', lambda: False)()
    return torch.bfloat16 if supported else torch.float32


class TorchRuntime:
    """A network with its normalisation folded, in the fastest precision of the device.

    On a GPU the network is recorded once for each batch size and then replayed as a whole.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, precision: torch.dtype | None = None
    ) -> None:
        """Move the network to the device."""
        self.device = device
        self.precision = precision or fast_precision(device)
        where = torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU'
        self.name = f'torch {where} {str(self.precision).removeprefix("torch.")}'
        self._replays: dict[int, Replay] = {}
        if device.type == 'cuda':
            self._network = prepare_network(fold_normalisation(network), device, self.precision)
            return
        self._network = fold_normalisation(network)
        self._channels_last = _widest_input(network) >= 32
        if self._channels_last:
            self._network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, grids: Tensor) -> Tensor:
        """Map grids [B, 1, G, G, G] to float32 output on the device, valid until the next call."""
        if self.device.type == 'cuda':
            batch = len(grids)
            if batch not in self._replays:
                given = grids.to(self.device, torch.float32, copy=True)
                self._replays[batch] = Replay(self._network, given)
            return self._replays[batch](grids)
        if self._channels_last:
            grids = grids.contiguous(memory_format=torch.channels_last_3d)
        enabled = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=enabled):
            output: Tensor = self._network(grids)
        return output.float()


def _widest_input(network: nn.Module) -> int:
    """Return how many channels the half-resolution layers have; narrow ones dislike NDHWC."""
    head = [module for module in network.modules() if isinstance(module, nn.Conv3d)][-1]
    return head.in_channels
