"""How a network is executed: one small interface, several runtimes behind it."""

from __future__ import annotations

from importlib.util import find_spec
import logging
from typing import Protocol

import torch
from torch import Tensor

from v2v_pose_ros.defaults import RUNTIMES
from v2v_pose_ros.models import Model
from v2v_pose_ros.networks.v2v import V2VPoseNet
from v2v_pose_ros.runtimes.contract import make_checked, RuntimeMismatchError

_LOG = logging.getLogger(__name__)

ONNX_INSTALL = "pip install 'v2v_pose_ros[onnx]'"
TENSORRT_INSTALL = f"pip install 'tensorrt>=10,<12' and {ONNX_INSTALL}"
"""How to install what runs and writes networks of a kind."""

_OPENVINO = (('openvino',), 'pip install openvino')
_COMPILED = {
    'openvino': _OPENVINO,
    'openvino_int8': _OPENVINO,
    'onnx': (('onnx', 'onnxruntime'), ONNX_INSTALL),
    'tensorrt': (('tensorrt', 'onnx', 'onnxruntime'), TENSORRT_INSTALL),
}
"""Runtimes with a compiler of their own: the packages they need and how to install them."""


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
    """Make a model ready to run, compared with float32 torch when it is first made.

    Args:
        model: the loaded model.
        runtime: 'auto' takes OpenVINO on the CPU where it is installed and computes what torch
            does, else torch.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        RuntimeUnavailableError: what was asked for by name is not there.
        RuntimeMismatchError: what was asked for by name computes something else than torch.
    """
    if runtime not in RUNTIMES:
        raise RuntimeUnavailableError(
            f'there is no runtime {runtime!r}; known: {", ".join(RUNTIMES)}'
        )
    if runtime == 'tensorrt' and not torch.cuda.is_available():
        raise RuntimeUnavailableError(
            'the runtime tensorrt runs on an NVIDIA GPU, and torch finds none; use runtime auto'
        )
    if device == 'auto' and runtime in _COMPILED:
        device = 'cuda' if runtime == 'tensorrt' else 'cpu'  # the only one that they run on here
    chosen = choose_device(device)
    if runtime == 'auto':
        return _make_best(model, chosen)
    if runtime == 'torch':
        return _make_torch(model, chosen)
    kind = 'cuda' if runtime == 'tensorrt' else 'cpu'
    if chosen.type != kind:
        raise RuntimeUnavailableError(f'the runtime {runtime} runs on device {kind} here')
    return _make_compiled(model, runtime, chosen)


def _make_best(model: Model, device: torch.device) -> Runtime:
    """Return OpenVINO on a CPU, torch on a GPU or where OpenVINO is of no use, saying why."""
    if device.type != 'cpu':
        return _make_torch(model, device)
    try:
        return _make_compiled(model, 'openvino', device)
    except (RuntimeUnavailableError, RuntimeMismatchError) as error:
        _LOG.warning('%s; torch runs the network instead', error)
    return _make_torch(model, device)


def _make_torch(model: Model, device: torch.device) -> Runtime:
    from v2v_pose_ros.runtimes.torch_runtime import TorchRuntime

    runtime = TorchRuntime(model.network, device)
    if runtime.precision != torch.float32 and isinstance(model.network, V2VPoseNet):
        # Nothing is compiled, but what the check found is kept.
        settings = {'torch': torch.__version__, 'device': str(device)}
        precision = str(runtime.precision).removeprefix('torch.')
        try:
            make_checked(model, runtime.name, precision, settings, bytes, lambda _: runtime)
        except RuntimeMismatchError as error:
            _LOG.warning('%s; float32 is used instead', error)
            return TorchRuntime(model.network, device, torch.float32)
    return runtime


def _make_compiled(model: Model, runtime: str, device: torch.device) -> Runtime:
    packages, install = _COMPILED[runtime]
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        raise RuntimeUnavailableError(
            f'the runtime {runtime} lacks {" and ".join(missing)}: {install}'
        )
    try:
        if runtime == 'onnx':
            from v2v_pose_ros.runtimes.onnx_runtime import OnnxRuntime

            return OnnxRuntime(model)
        if runtime == 'tensorrt':
            from v2v_pose_ros.runtimes.tensorrt_runtime import TensorRTRuntime

            return TensorRTRuntime(model, device)
        from v2v_pose_ros.runtimes.openvino_runtime import OpenVINORuntime

        return OpenVINORuntime(model, precision='int8' if runtime == 'openvino_int8' else None)
    except ImportError as error:
        raise RuntimeUnavailableError(
            f'the runtime {runtime} is installed but cannot be loaded ({error}): {install}'
        ) from error
