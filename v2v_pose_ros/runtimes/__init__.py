"""How a network is executed: one small interface, several runtimes behind it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor

from v2v_pose_ros.models import Model

RUNTIMES = ('auto', 'torch', 'openvino', 'onnx')


class RuntimeUnavailableError(ValueError):
    """A runtime or device that was asked for by name is not there."""


class Runtime(Protocol):
    """A network ready to run."""

    name: str
    """What runs it, on what and in which precision, for people to read."""

    device: torch.device
    """Where grids are taken and heatmaps given."""

    def __call__(self, grids: Tensor) -> Tensor:
        """Map grids [B, 1, G, G, G] to the network's output [B, J, G/2, G/2, G/2]."""
        ...


def choose_device(device: str) -> torch.device:
    """Return the torch device of a name; 'auto' takes a GPU where there is one."""
    if device == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise RuntimeUnavailableError(
            f"there is no device {device!r}; 'auto', 'cpu', 'cuda' or 'cuda:0' is meant"
        ) from error
    if chosen.type == 'cuda' and not torch.cuda.is_available():
        raise RuntimeUnavailableError(
            f'device {device!r} was asked for and torch finds no CUDA GPU; use device auto or '
            'cpu, or install the driver and a torch built for CUDA'
        )
    if chosen.type not in ('cpu', 'cuda'):
        raise RuntimeUnavailableError(f"device {device!r} is not supported; use 'cpu' or 'cuda'")
    return chosen


def make_runtime(model: Model, runtime: str = 'auto', device: str = 'auto') -> Runtime:
    """Make a model ready to run.

    Args:
        model: the loaded model.
        runtime: 'auto' takes OpenVINO on the CPU where it is installed, else torch.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        RuntimeUnavailableError: what was asked for by name is not there.
    """
    if device == 'auto' and runtime in ('openvino', 'onnx'):
        device = 'cpu'  # the only one that they run on here
    chosen = choose_device(device)
    if runtime == 'auto':
        runtime = 'openvino' if chosen.type == 'cpu' and find_spec('openvino') else 'torch'
    if runtime == 'torch':
        from v2v_pose_ros.runtimes.torch_runtime import TorchRuntime

        return TorchRuntime(model.network, chosen)
    if runtime == 'openvino':
        if not find_spec('openvino'):
            raise RuntimeUnavailableError(
                'the runtime openvino was asked for and is not installed: pip install openvino'
            )
        from v2v_pose_ros.runtimes.openvino_runtime import OpenVINORuntime

        if chosen.type != 'cpu':
            raise RuntimeUnavailableError('the runtime openvino runs on device cpu here')
        return OpenVINORuntime(model)
    if runtime == 'onnx':
        if not (find_spec('onnx') and find_spec('onnxruntime')):
            raise RuntimeUnavailableError(
                'the runtime onnx was asked for and its packages are not installed: '
                "pip install 'v2v_pose_ros[onnx]'"
            )
        from v2v_pose_ros.runtimes.onnx_runtime import OnnxRuntime

        if chosen.type != 'cpu':
            raise RuntimeUnavailableError('the runtime onnx runs on device cpu here')
        return OnnxRuntime(model)
    raise RuntimeUnavailableError(f'there is no runtime {runtime!r}; known: {", ".join(RUNTIMES)}')
