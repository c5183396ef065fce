"""TensorRT engines, planned for the GPU they are built on; needs tensorrt 10 and CUDA."""

from __future__ import annotations

from collections.abc import Callable

import tensorrt
import torch
from torch import Tensor

from v2v_pose_ros.exporting import ExportError

_LOGGER = tensorrt.Logger(tensorrt.Logger.WARNING)


def build(graph: bytes, input_size: int, max_batch: int) -> bytes:
    """Plan an engine in float32 from an ONNX graph for batches of 1 to max_batch.

    Raises:
        ExportError: there is no GPU, or TensorRT refuses the graph.
    """
    if not torch.cuda.is_available():
        raise ExportError('TensorRT plans engines on the GPU they run on, and torch finds none')
    builder = tensorrt.Builder(_LOGGER)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, _LOGGER)
    if not parser.parse(graph):
        reasons = '; '.join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ExportError(f'TensorRT cannot read the graph: {reasons}')
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # ten bits of mantissa are no float32
    profile = builder.create_optimization_profile()
    shapes = [(batch, 1, *[input_size] * 3) for batch in (1, 1, max_batch)]
    profile.set_shape('grid', *shapes)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError('TensorRT could not plan an engine; its messages above say why')
    return bytes(plan)


def load(plan: bytes) -> Callable[[Tensor], Tensor]:
    """Make an engine ready to run on the GPU; it takes and gives tensors on the CPU."""
    engine = tensorrt.Runtime(_LOGGER).deserialize_cuda_engine(plan)
    if engine is None:
        raise ExportError('TensorRT cannot load the engine that it planned')
    context = engine.create_execution_context()
    stream = torch.cuda.Stream()

    def run(grids: Tensor) -> Tensor:
        values = grids.to('cuda', torch.float32).contiguous()
        context.set_input_shape('grid', tuple(values.shape))
        heatmaps = torch.empty(tuple(context.get_tensor_shape('heatmaps')), device='cuda')
        context.set_tensor_address('grid', values.data_ptr())
        context.set_tensor_address('heatmaps', heatmaps.data_ptr())
        torch.cuda.synchronize()  # the grids may still be on their way
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return heatmaps.cpu()

    return run
