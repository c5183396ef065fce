"""Networks as TensorRT engines, planned for the GPU they are built on; TensorRT 10 or 11.

Engines are strongly typed: they compute in the precision of the ONNX graph they are planned from,
which TensorRT 11 demands and TensorRT 10 knows.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorrt
import torch
from torch import Tensor

from v2v_pose_ros.models import Model
from v2v_pose_ros.networks.v2v import V2VPoseNet
from v2v_pose_ros.runtimes import RuntimeUnavailableError
from v2v_pose_ros.runtimes.cache import ArtefactCache
from v2v_pose_ros.runtimes.contract import make_checked
from v2v_pose_ros.runtimes.onnx_runtime import GRAPH_VERSION, INPUT, make_graph, OUTPUT

MAX_BATCH = 16
"""Grids at once that an engine is planned for."""

_LOGGER = tensorrt.Logger(tensorrt.Logger.WARNING)


def build(graph: bytes, input_size: int) -> bytes:
    """Plan an engine from an ONNX graph for batches of 1 to MAX_BATCH.

    Raises:
        RuntimeUnavailableError: there is no GPU, or TensorRT refuses the graph.
    """
    if not torch.cuda.is_available():
        raise RuntimeUnavailableError(
            'TensorRT plans engines on the GPU they run on, and torch finds none'
        )
    builder = tensorrt.Builder(_LOGGER)
    network = builder.create_network(
        1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    parser = tensorrt.OnnxParser(network, _LOGGER)
    if not parser.parse(graph):
        reasons = '; '.join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise RuntimeUnavailableError(f'TensorRT cannot read the graph: {reasons}')
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # ten bits of mantissa are no float32
    profile = builder.create_optimization_profile()
    shapes = [(batch, 1, *[input_size] * 3) for batch in (1, 1, MAX_BATCH)]
    profile.set_shape(INPUT, *shapes)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeUnavailableError(
            'TensorRT could not plan an engine; its messages above say why'
        )
    return bytes(plan)


def load(plan: bytes, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Make an engine ready to run on the GPU it was planned on, for any number of grids.

    Raises:
        RuntimeUnavailableError: TensorRT refuses the engine.
    """
    runtime = tensorrt.Runtime(_LOGGER)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise RuntimeUnavailableError('TensorRT cannot load the engine; its messages say why')
    context = engine.create_execution_context()
    stream = torch.cuda.Stream(device)  # on the default one TensorRT waits more than it has to

    def run_some(grids: Tensor) -> Tensor:
        values = grids.to(device, torch.float32).contiguous()
        if not context.set_input_shape(INPUT, tuple(values.shape)):
            raise ValueError(f'the engine does not take grids of the shape {tuple(values.shape)}')
        heatmaps = torch.empty(tuple(context.get_tensor_shape(OUTPUT)), device=device)
        context.set_tensor_address(INPUT, values.data_ptr())
        context.set_tensor_address(OUTPUT, heatmaps.data_ptr())
        current = torch.cuda.current_stream(device)
        stream.wait_stream(current)  # the grids may still be on their way
        started = context.execute_async_v3(stream.cuda_stream)
        current.wait_stream(stream)
        if not started:
            raise RuntimeError('TensorRT could not run the engine; its messages say why')
        return heatmaps

    def run(grids: Tensor) -> Tensor:
        parts = [run_some(part) for part in grids.split(MAX_BATCH)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    return run


class TensorRTRuntime:
    """A network run by TensorRT in half precision."""

    def __init__(
        self, model: Model, device: torch.device, cache: ArtefactCache | None = None
    ) -> None:
        """Plan an engine for this GPU, which takes a minute, or take it from the cache.

        Raises:
            RuntimeMismatchError: it computes something else than torch.
            RuntimeUnavailableError: TensorRT refuses the network.
        """
        assert isinstance(model.network, V2VPoseNet)
        network, size = model.network, model.info.make_codec().input_size
        self.device = device
        gpu = torch.cuda.get_device_name(device)
        self.name = f'tensorrt {gpu} float16'
        settings = {
            'tensorrt': tensorrt.__version__,
            'gpu': gpu,
            'batch': MAX_BATCH,
            'graph': GRAPH_VERSION,
        }
        with torch.cuda.device(device):
            self._run, self.check = make_checked(
                model,
                self.name,
                'float16',
                settings,
                lambda: build(make_graph(network, size, half=True).SerializeToString(), size),
                lambda plan: load(plan, device),
                cache,
            )

    @torch.inference_mode()
    def __call__(self, grids: Tensor) -> Tensor:
        """Map grids [B, 1, G, G, G] to float32 output on the device."""
        with torch.cuda.device(self.device):
            return self._run(grids)
