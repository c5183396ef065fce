"""Networks in eight bits: ranges measured on calibration grids, errors of the means corrected.

Activations get one range per layer and weights one per output channel, as integer convolutions
want them (Jacob et al., "Quantization and Training of Neural Networks", CVPR 2018).  Rounding
shifts the mean of every channel; the shift is measured layer by layer, behind layers that are
rounded already, and taken off the bias (Nagel et al., "Data-Free Quantization", ICCV 2019,
section 4.2).  One pass does all of it: the calibration batch runs twice side by side, exact in the
first half and rounded in the second.

The stem and the 1x1x1 convolutions at the end stay as they are: they cost little, and their
rounding errors would reach the heatmaps unhindered.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn, Tensor
from torch.nn import functional

from v2v_pose_ros.networks.v2v import ResidualBlock, V2VPoseNet
from v2v_pose_ros.runtimes.torch_runtime import fold_normalisation

LEVELS = 256
"""Of activations; weights have 255, symmetric about zero."""

_CANDIDATES = 24  # upper ends tried for a range
_SAMPLE = 200_000  # values of a layer on which they are tried


class FakeQuantize(nn.Module):
    """Rounds activations to 256 levels of a range that is found in calibration."""

    def __init__(self) -> None:
        """Create it unmeasured."""
        super().__init__()
        self.low, self.high, self.calibrating = 0.0, 0.0, True

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value."""
        return self.low, self.high

    def forward(self, volume: Tensor) -> Tensor:
        """Round; in calibration measure the first half of the batch and round the second."""
        if not self.calibrating:
            return self._round(volume)
        exact, rounded = volume.chunk(2)
        self._measure(exact)
        return torch.cat([exact, self._round(rounded)])

    def _round(self, volume: Tensor) -> Tensor:
        step = (self.high - self.low) / (LEVELS - 1)
        return ((volume.clamp(self.low, self.high) - self.low) / step).round() * step + self.low

    def _measure(self, volume: Tensor) -> None:
        """Choose the range of least squared error: a few cut peaks cost less than wide steps."""
        values = volume.flatten()
        sample = values[:: max(1, len(values) // _SAMPLE)]
        signed = bool(values.min() < 0)
        top = max(float(values.abs().max()), 1e-6)
        best = float('inf')
        for share in torch.linspace(1.0, 0.3, _CANDIDATES).tolist():
            before = self.low, self.high
            self.high = share * top
            # Zero must be a level: padding is zero.
            self.low = -self.high * 128 / 127 if signed else 0.0
            error = float((self._round(sample) - sample).square().sum())
            if error >= best:
                self.low, self.high = before
                break
            best = error


class QuantizedConvolution(nn.Module):
    """A convolution, transposed or not, with weights of 255 levels and a corrected bias."""

    def __init__(self, convolution: nn.Conv3d | nn.ConvTranspose3d) -> None:
        """Round the weights."""
        super().__init__()
        self.exact = convolution
        self.transposed = isinstance(convolution, nn.ConvTranspose3d)
        weight = convolution.weight.detach()
        self.channel = 1 if self.transposed else 0
        others = [axis for axis in range(5) if axis != self.channel]
        self.limit = weight.abs().amax(others, keepdim=True).clamp(min=1e-9)
        self.weight = (weight / self.limit * 127).round() * (self.limit / 127)
        self.bias = cast(Tensor, convolution.bias).detach().clone()
        self.calibrating = True

    def forward(self, volume: Tensor) -> Tensor:
        """Convolve; in calibration both halves of the batch, and correct the second's mean."""
        if not self.calibrating:
            return self._convolve(volume, self.weight, self.bias)
        exact, rounded = volume.chunk(2)
        wanted = self.exact(exact)
        found = self._convolve(rounded, self.weight, self.bias)
        shift = (wanted - found).mean((0, 2, 3, 4))
        self.bias += shift
        return torch.cat([wanted, found + shift.view(1, -1, 1, 1, 1)])

    def _convolve(self, volume: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if self.transposed:
            return functional.conv_transpose3d(volume, weight, bias, self.exact.stride)
        return functional.conv3d(volume, weight, bias, self.exact.stride, self.exact.padding)  # type: ignore[arg-type]


@torch.inference_mode()
def quantize(network: V2VPoseNet, grids: Tensor) -> V2VPoseNet:
    """Return a network that computes what its eight-bit form does, calibrated on grids.

    Args:
        network: the network in evaluation mode, float32 on the CPU.
        grids: [B, 1, G, G, G] as the network will see them; 16 hands are enough.
    """
    folded = fold_normalisation(network)
    assert isinstance(folded, V2VPoseNet)
    inner = folded.encoder_decoder
    stem = 1 if network.config.stem == 'fold' else 2
    front = list(folded.front)
    folded.front = nn.Sequential(
        *front[:stem], FakeQuantize(), *(_block(block) for block in front[stem:])
    )
    for name in ('encode1', 'encode2', 'middle', 'decode2'):
        setattr(inner, name, _block(getattr(inner, name)))
    # What these give is added to something, and the sum is what gets rounded.
    _block(inner.skip1, last=False)
    _block(inner.skip2, last=False)
    inner.decode1 = nn.Sequential(FakeQuantize(), _block(inner.decode1))  # type: ignore[assignment]
    for up in (inner.up1, inner.up2):
        up[0] = QuantizedConvolution(up[0])  # type: ignore[arg-type]
    back = list(folded.back)
    folded.back = nn.Sequential(FakeQuantize(), _block(back[0], last=False), *back[1:])
    folded(torch.cat([grids, grids]))
    for module in folded.modules():
        if isinstance(module, FakeQuantize | QuantizedConvolution):
            module.calibrating = False
    return folded


def _block(block: nn.Module, last: bool = True) -> nn.Module:
    """Quantise a residual block in place, its result too unless it is the last."""
    assert isinstance(block, ResidualBlock)
    convolution, _, relu, second, _ = block.branch
    block.branch = nn.Sequential(
        QuantizedConvolution(convolution),  # type: ignore[arg-type]
        relu,
        FakeQuantize(),
        QuantizedConvolution(second),  # type: ignore[arg-type]
    )
    if isinstance(block.skip, nn.Sequential):
        block.skip = QuantizedConvolution(block.skip[0])  # type: ignore[arg-type]
    return nn.Sequential(block, FakeQuantize()) if last else block
