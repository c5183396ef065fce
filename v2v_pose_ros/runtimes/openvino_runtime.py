"""Networks run by OpenVINO on a CPU.

The graph is built operation by operation from the network's modules: nothing is traced or
converted, it takes milliseconds, and no tool of the converter comes along.
"""

from __future__ import annotations

from functools import singledispatch
import os
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops
import torch
from torch import nn, Tensor

from v2v_pose_ros.models import Model
from v2v_pose_ros.networks.v2v import EncoderDecoder, FoldStem, ResidualBlock, V2VPoseNet
from v2v_pose_ros.runtimes.torch_runtime import fold_normalisation


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


def make_graph(network: nn.Module, input_size: int, batch: int = 1) -> openvino.Model:
    """Return the OpenVINO graph of a network for grids [batch, 1, G, G, G]."""
    grid = ops.parameter([batch, 1, input_size, input_size, input_size], np.float32, name='grid')
    heatmaps = build(fold_normalisation(network), grid)
    return openvino.Model([ops.result(heatmaps)], [grid], 'v2v_pose')


class OpenVINORuntime:
    """A network compiled for this CPU, in bfloat16 where the CPU has it."""

    def __init__(self, model: Model, threads: int | None = None) -> None:
        """Build and compile the graph."""
        self.device = torch.device('cpu')
        self._core = openvino.Core()
        self._graph = make_graph(model.network, model.info.make_codec().input_size)
        capable = 'BF16' in self._core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        self._options = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': 'bf16' if capable else 'f32',
            'INFERENCE_NUM_THREADS': threads or len(os.sched_getaffinity(0)),
        }
        self._requests: dict[int, Any] = {}
        self.name = f'openvino CPU {"bfloat16" if capable else "float32"}'
        self._request(1)

    def _request(self, batch: int) -> Any:
        """Return the compiled graph of a batch size, compiling it when it is first met."""
        if batch not in self._requests:
            graph = self._graph
            if batch != 1:
                shape = list(graph.inputs[0].get_shape())
                graph = graph.clone()
                graph.reshape([batch, *shape[1:]])
            compiled = self._core.compile_model(graph, 'CPU', self._options)
            self._requests[batch] = compiled.create_infer_request()
        return self._requests[batch]

    def __call__(self, grids: Tensor) -> Tensor:
        """Map grids [B, 1, G, G, G] to output; it is valid until the next call."""
        request = self._request(len(grids))
        request.infer([np.ascontiguousarray(grids.numpy())], share_inputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data)
