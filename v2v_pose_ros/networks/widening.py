"""Widening: a trained network taken up by one with more channels, which computes the same.

After Chen, Goodfellow and Shlens, "Net2Net", ICLR 2016.  There channels are copied and told apart
by noise; here new channels begin as an untrained network's do and read everything, while nothing
that was there reads them.  So the output is the narrow network's, and the first step of training
already reaches the weights between new and old.
"""

from __future__ import annotations

import torch
from torch import nn

_TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)


@torch.no_grad()
def widen(narrow: nn.Module, wide: nn.Module) -> None:
    """Give an untrained network the function of a trained one with fewer channels.

    Args:
        narrow: the trained network.
        wide: the network that takes it up; where channels are new, its own weights remain.

    Raises:
        ValueError: where the two have other layers, or `wide` has fewer channels somewhere.
    """
    trained = dict(narrow.named_modules())
    if set(trained) != {name for name, _ in wide.named_modules()}:
        raise ValueError('the networks differ in more than the numbers of their channels')
    for name, module in wide.named_modules():
        transposed = isinstance(module, _TRANSPOSED)
        theirs = dict(trained[name].named_parameters(recurse=False))
        theirs |= dict(trained[name].named_buffers(recurse=False))
        mine = dict(module.named_parameters(recurse=False))
        mine |= dict(module.named_buffers(recurse=False))
        for key, tensor in mine.items():
            _take_up(f'{name}.{key}', tensor, theirs[key], 1 if transposed else 0)


def _take_up(name: str, tensor: torch.Tensor, trained: torch.Tensor, outputs: int) -> None:
    """Put trained values into a tensor's low corner; old outputs read no new inputs."""
    axes = zip(tensor.shape, trained.shape, strict=True)
    if any(own < other or (axis > 1 and own != other) for axis, (own, other) in enumerate(axes)):
        raise ValueError(
            f'{name} of shape {list(trained.shape)} does not fit into {list(tensor.shape)}: as '
            'many channels or more and the same kernels are needed'
        )
    if tensor.ndim > 1:
        tensor.narrow(outputs, 0, trained.shape[outputs]).zero_()
    tensor[tuple(slice(size) for size in trained.shape)] = trained
