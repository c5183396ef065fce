"""Networks run by OpenVINO on a CPU.

The graph is built operation by operation from the network's modules: nothing is traced or
converted, it takes milliseconds, and no tool of the converter comes along.
"""

from __future__ import annotations

from functools import cached_property, singledispatch
import os
from typing import Any

import numpy as np
import torch
from torch import nn, Tensor

from v2v_pose_ros.models import Model
from v2v_pose_ros.networks.v2v import EncoderDecoder, FoldStem, ResidualBlock, V2VPoseNet
from v2v_pose_ros.runtimes.cache import ArtefactCache
from v2v_pose_ros.runtimes.contract import Check, make_checked, Network
from v2v_pose_ros.runtimes.probes import calibration_grids
from v2v_pose_ros.runtimes.quantization import (
    FakeQuantize,
    LEVELS,
    quantize,
    QuantizedConvolution,
)
from v2v_pose_ros.runtimes.silent_openvino import openvino, ops
from v2v_pose_ros.runtimes.sparse_stem import SparseStem
from v2v_pose_ros.runtimes.torch_runtime import fast_precision, fold_normalisation

GRAPH_VERSION = 1
"""Of the graphs built here; counted up when they change, so that kept ones are not taken."""


def _array(tensor: Tensor | None) -> np.ndarray[Any, Any]:
    assert tensor is not None
    return tensor.detach().cpu().numpy()


@singledispatch
def build(module: nn.Module, node: Any) -> Any:
    """Append a module's operations to a graph's node; registered for every module in use."""
    raise NotImplementedError(f'{type(module).__name__} has no OpenVINO counterpart here')


@build.register
def _(module: nn.Conv3d, node: Any) -> Any:
    padding = [int(value) for value in module.padding]
    result = ops.convolution(
        node, _array(module.weight), list(module.stride), padding, padding, list(module.dilation)
    )
    return ops.add(result, _array(module.bias).reshape(1, -1, 1, 1, 1))


@build.register
def _(module: nn.ConvTranspose3d, node: Any) -> Any:
    result = ops.convolution_backprop_data(node, _array(module.weight), list(module.stride))
    return ops.add(result, _array(module.bias).reshape(1, -1, 1, 1, 1))


@build.register
def _(module: nn.MaxPool3d, node: Any) -> Any:
    size = [int(module.kernel_size)] * 3  # type: ignore[arg-type]
    pooled = ops.max_pool(node, size, [1, 1, 1], [0, 0, 0], [0, 0, 0], size)
    return pooled.output(0)


@build.register
def _(module: nn.ReLU, node: Any) -> Any:
    return ops.relu(node)


@build.register
def _(module: nn.Identity, node: Any) -> Any:
    return node


@build.register
def _(module: nn.Sequential, node: Any) -> Any:
    for part in module:
        node = build(part, node)
    return node


@build.register
def _(module: ResidualBlock, node: Any) -> Any:
    return ops.relu(ops.add(build(module.branch, node), build(module.skip, node)))


@build.register
def _(module: FoldStem, node: Any) -> Any:
    depth, height, width = (int(n) // 2 for n in list(node.get_shape())[2:])
    split = ops.reshape(node, [-1, depth, 2, height, 2, width, 2], False)
    moved = ops.transpose(split, [0, 2, 4, 6, 1, 3, 5])
    return build(module.block, ops.reshape(moved, [-1, 8, depth, height, width], False))


@build.register
def _(module: EncoderDecoder, node: Any) -> Any:
    quarter = build(module.encode1, build(module.pool, node))
    eighth = build(module.encode2, build(module.pool, quarter))
    eighth = build(module.decode2, build(module.middle, eighth))
    joined = ops.add(build(module.up2, eighth), build(module.skip2, quarter))
    joined = build(module.up1, build(module.decode1, joined))
    return ops.add(joined, build(module.skip1, node))


@build.register
def _(module: V2VPoseNet, node: Any) -> Any:
    for part in (module.front, module.encoder_decoder, module.back, module.head):
        node = build(part, node)
    return node


@build.register
def _(module: FakeQuantize, node: Any) -> Any:
    low, high = (np.full((1, 1, 1, 1, 1), value, np.float32) for value in module.range)
    return ops.fake_quantize(node, low, high, low, high, LEVELS)


@build.register
def _(module: QuantizedConvolution, node: Any) -> Any:
    limit, exact = _array(module.limit), module.exact
    # The compiler makes integers of weights that are rounded in the graph.
    weight = ops.fake_quantize(
        ops.constant(_array(module.weight)), -limit, limit, -limit, limit, LEVELS - 1
    )
    if module.transposed:
        result = ops.convolution_backprop_data(node, weight, list(exact.stride))
    else:
        padding = [int(value) for value in exact.padding]
        result = ops.convolution(
            node, weight, list(exact.stride), padding, padding, list(exact.dilation)
        )
    return ops.add(result, _array(module.bias).reshape(1, -1, 1, 1, 1))


def make_graph(network: nn.Module, input_size: int, batch: int = 1) -> openvino.Model:
    """Return the OpenVINO graph of a network for grids [batch, 1, G, G, G]."""
    grid = ops.parameter([batch, 1, input_size, input_size, input_size], np.float32, name='grid')
    heatmaps = build(fold_normalisation(network), grid)
    return openvino.Model([ops.result(heatmaps)], [grid], 'v2v_pose')


def _make_rest(network: V2VPoseNet, input_size: int, batch: int) -> openvino.Model:
    """Return the graph of a folded network behind its sparse stem (sparse_stem.py)."""
    half = input_size // 2
    channels = network.config.channels[0]
    stem = ops.parameter([batch, half, half, half, channels], np.float32, name='stem')
    node = ops.transpose(stem, [0, 4, 1, 2, 3])
    rest = (network.front[2:], network.encoder_decoder, network.back, network.head)
    for part in rest:
        node = build(part, node)
    return openvino.Model([ops.result(node)], [stem], 'v2v_pose')


class OpenVINORuntime:
    """A network compiled for this CPU, in bfloat16 where the CPU has it, or in eight bits."""

    def __init__(
        self,
        model: Model,
        threads: int | None = None,
        precision: str | None = None,
        cache: ArtefactCache | None = None,
    ) -> None:
        """Compile the network, or take it from the cache.

        Args:
            model: the model.
            threads: of the CPU; all that the process may use by default.
            precision: 'float32', 'bfloat16' or 'int8'; by default the CPU's fastest without
                calibration.
            cache: where compiled networks are kept.

        Raises:
            RuntimeMismatchError: the compiled network computes something else than torch.
        """
        assert isinstance(model.network, V2VPoseNet)
        self.device = torch.device('cpu')
        self._core = openvino.Core()
        capable = 'BF16' in self._core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        self._fast = 'bfloat16' if capable else 'float32'
        self._precision = precision or self._fast
        self._threads = threads or len(os.sched_getaffinity(0))
        self._model, self._cache = model, cache
        self._size = model.info.make_codec().input_size
        self.name = f'openvino CPU {self._precision}'
        self._stem: SparseStem | None = None
        if model.network.config.stem == 'conv7':
            low = torch.float32 if self._precision == 'float32' else fast_precision(self.device)
            self._stem = SparseStem(fold_normalisation(model.network.front[0]), low)
        self._networks: dict[int, Network] = {}
        self._networks[1], self.check = self._make(1)

    @cached_property
    def _network(self) -> V2VPoseNet:
        """The network with its normalisation folded, in eight bits where that is meant."""
        network = self._model.network
        assert isinstance(network, V2VPoseNet)
        if self._precision == 'int8':
            return quantize(network, calibration_grids(self._model))
        folded = fold_normalisation(network)
        assert isinstance(folded, V2VPoseNet)
        return folded

    def _make(self, batch: int) -> tuple[Network, Check]:
        """Return the network for a batch size."""
        settings = {
            'batch': batch,
            'graph': GRAPH_VERSION,
            'openvino': openvino.get_version(),
            'processor': self._core.get_property('CPU', 'FULL_DEVICE_NAME'),
            'threads': self._threads,
        }
        return make_checked(
            self._model,
            self.name,
            self._precision,
            settings,
            lambda: self._compile(batch),
            lambda compiled: self._load(compiled, batch),
            self._cache,
        )

    @property
    def _options(self) -> dict[str, Any]:
        fast = self._fast if self._precision == 'int8' else self._precision
        return {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': {'bfloat16': 'bf16', 'float32': 'f32'}[fast],
            'INFERENCE_NUM_THREADS': self._threads,
        }

    def _compile(self, batch: int) -> bytes:
        if self._stem is not None:
            graph = _make_rest(self._network, self._size, batch)
        else:
            graph = make_graph(self._network, self._size, batch)
        compiled = self._core.compile_model(graph, 'CPU', self._options)
        return compiled.export_model().getvalue()

    def _load(self, compiled: bytes, batch: int) -> Network:
        """Return a compiled network as a function of grids; a single one stands for a batch."""
        request = self._core.import_model(compiled, 'CPU', self._options).create_infer_request()

        def run(grids: Tensor) -> Tensor:
            values = self._stem(grids) if self._stem is not None else grids
            repeated = values.expand(batch, *values.shape[1:]).contiguous()
            request.infer([repeated.numpy()], share_inputs=True)
            return torch.from_numpy(request.get_output_tensor(0).data)[: len(grids)]

        return run

    def __call__(self, grids: Tensor) -> Tensor:
        """Map grids [B, 1, G, G, G] to output; it is valid until the next call."""
        batch = len(grids)
        if batch not in self._networks:
            self._networks[batch], _ = self._make(batch)
        return self._networks[batch](grids)
