"""Networks as ONNX graphs, and run by ONNX Runtime on a CPU.

The graph is built operation by operation from the network's modules, as the one for OpenVINO is:
nothing is traced, and it takes any number of grids at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatchmethod
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
import onnxruntime
import torch
from torch import nn, Tensor

from v2v_pose_ros.models import Model
from v2v_pose_ros.networks.v2v import EncoderDecoder, FoldStem, ResidualBlock, V2VPoseNet
from v2v_pose_ros.runtimes.cache import ArtefactCache
from v2v_pose_ros.runtimes.contract import make_checked, Network
from v2v_pose_ros.runtimes.torch_runtime import fold_normalisation

OPSET = 17
"""Old enough for every ONNX Runtime since 1.12, TensorRT since 8.5 and OpenVINO since 2022."""

GRAPH_VERSION = 1
"""Of the graphs built here; counted up when they change, so that kept ones are not taken."""

_FORMAT_VERSION = 8  # of the file, the one that came with the operator set

INPUT, OUTPUT = 'grid', 'heatmaps'
"""What goes into a graph and what comes out, by name."""


class _Graph:
    """The nodes and weights of a graph under construction."""

    def __init__(self, input_size: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._input_size = input_size

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Append an operation and return the name of its result."""
        result = f'{operation.lower()}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(operation, inputs, [result], **attributes))
        return result

    def constant(self, values: Tensor) -> str:
        """Store an array and return its name."""
        name = f'weight_{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(values.detach().cpu().numpy(), name))
        return name

    @singledispatchmethod
    def build(self, module: nn.Module, value: str) -> str:
        """Append a module's operations; registered for every module in use."""
        raise NotImplementedError(f'{type(module).__name__} has no ONNX counterpart here')

    @build.register
    def _(self, module: nn.Conv3d, value: str) -> str:
        assert module.bias is not None
        padding = [int(size) for size in module.padding]
        weights = self.constant(module.weight), self.constant(module.bias)
        return self.add('Conv', value, *weights, pads=padding * 2, strides=module.stride)

    @build.register
    def _(self, module: nn.ConvTranspose3d, value: str) -> str:
        assert module.bias is not None
        weights = self.constant(module.weight), self.constant(module.bias)
        return self.add('ConvTranspose', value, *weights, strides=module.stride)

    @build.register
    def _(self, module: nn.MaxPool3d, value: str) -> str:
        size = [int(module.kernel_size)] * 3  # type: ignore[arg-type]
        return self.add('MaxPool', value, kernel_shape=size, strides=size)

    @build.register
    def _(self, module: nn.ReLU, value: str) -> str:
        return self.add('Relu', value)

    @build.register
    def _(self, module: nn.Identity, value: str) -> str:
        return value

    @build.register
    def _(self, module: nn.Sequential, value: str) -> str:
        for part in module:
            value = self.build(part, value)
        return value

    @build.register
    def _(self, module: ResidualBlock, value: str) -> str:
        branch, skip = self.build(module.branch, value), self.build(module.skip, value)
        return self.add('Relu', self.add('Add', branch, skip))

    @build.register
    def _(self, module: FoldStem, value: str) -> str:
        half = self._input_size // 2
        split = self.constant(torch.tensor([-1, half, 2, half, 2, half, 2]))
        value = self.add('Reshape', value, split)
        value = self.add('Transpose', value, perm=[0, 2, 4, 6, 1, 3, 5])
        joined = self.constant(torch.tensor([-1, 8, half, half, half]))
        return self.build(module.block, self.add('Reshape', value, joined))

    @build.register
    def _(self, module: EncoderDecoder, value: str) -> str:
        quarter = self.build(module.encode1, self.build(module.pool, value))
        eighth = self.build(module.encode2, self.build(module.pool, quarter))
        eighth = self.build(module.decode2, self.build(module.middle, eighth))
        skip = self.build(module.skip2, quarter)
        joined = self.add('Add', self.build(module.up2, eighth), skip)
        joined = self.build(module.up1, self.build(module.decode1, joined))
        return self.add('Add', joined, self.build(module.skip1, value))

    @build.register
    def _(self, module: V2VPoseNet, value: str) -> str:
        for part in (module.front, module.encoder_decoder, module.back, module.head):
            value = self.build(part, value)
        return value


def make_graph(
    network: V2VPoseNet,
    input_size: int,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
) -> onnx.ModelProto:
    """Return the ONNX graph of a network: 'grid' [batch, 1, G, G, G] to 'heatmaps'.

    Args:
        network: the network; its batch normalisation is folded into the convolutions.
        input_size: voxels per edge G.
        metadata: texts that the file carries along.
        half: compute in half precision; what goes in and comes out is float32 all the same.
    """
    graph = _Graph(input_size)
    folded, grid_name, single = fold_normalisation(network), INPUT, onnx.TensorProto.FLOAT
    if half:
        folded = folded.half()
        grid_name = graph.add('Cast', INPUT, to=onnx.TensorProto.FLOAT16)
    result = graph.build(folded, grid_name)
    graph.nodes.append(helper.make_node('Cast', [result], [OUTPUT], to=single))
    size = input_size // 2
    grid = helper.make_tensor_value_info(INPUT, single, ['batch', 1, *[input_size] * 3])
    heatmaps = helper.make_tensor_value_info(
        OUTPUT, single, ['batch', network.config.joints, size, size, size]
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, 'v2v_pose', [grid], [heatmaps], graph.weights),
        opset_imports=[helper.make_opsetid('', OPSET)],
        ir_version=_FORMAT_VERSION,
        producer_name='v2v_pose_ros',
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    return model


def open_session(model: bytes | Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Return a session on the CPU for a graph's bytes or file; all its cores by default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=['CPUExecutionProvider'])


class OnnxRuntime:
    """A network run by ONNX Runtime in float32."""

    def __init__(
        self, model: Model, threads: int | None = None, cache: ArtefactCache | None = None
    ) -> None:
        """Build the graph or take it from the cache, and optimise it for this CPU.

        Raises:
            RuntimeMismatchError: it computes something else than torch.
        """
        assert isinstance(model.network, V2VPoseNet)
        network, size = model.network, model.info.make_codec().input_size
        self.device = torch.device('cpu')
        self.name = 'onnx CPU float32'

        def load(graph: bytes) -> Network:
            session = open_session(graph, threads)

            def run(grids: Tensor) -> Tensor:
                values = np.ascontiguousarray(grids.numpy(), np.float32)
                return torch.from_numpy(session.run([OUTPUT], {INPUT: values})[0])

            return run

        self._run, self.check = make_checked(
            model,
            self.name,
            'float32',
            {'onnxruntime': onnxruntime.__version__, 'operators': OPSET, 'graph': GRAPH_VERSION},
            lambda: make_graph(network, size).SerializeToString(),
            load,
            cache,
        )

    def __call__(self, grids: Tensor) -> Tensor:
        """Map grids [B, 1, G, G, G] to the network's output."""
        return self._run(grids)
