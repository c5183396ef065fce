"""The formats of other runtimes: how a file is written, and how it is run to be checked.

Every file takes 'grid' [batch, 1, G, G, G] and gives 'heatmaps' [batch, J, G/2, G/2, G/2] in
float32, for any batch (TensorRT: up to 16).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.exporting import ExportError
from v2v_pose_ros.models import Model
from v2v_pose_ros.networks.v2v import V2VPoseNet
from v2v_pose_ros.runtimes import ONNX_INSTALL, TENSORRT_INSTALL

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        suffix: of its files.
        packages: Python packages that write and run it.
        extra: what to install to have them.
        write: writes a model to a file, texts along with it where the format has a place.
        load: makes a file of it ready to run.
    """

    suffix: str
    packages: tuple[str, ...]
    extra: str
    write: Callable[[Model, Path, dict[str, str]], None]
    load: Callable[[Path], Network]


def get_format(name: str) -> Format:
    """Return a format; raise ExportError when it is unknown or its packages are missing."""
    if name not in FORMATS:
        raise ExportError(f'there is no format {name!r}; known: {", ".join(FORMATS)}')
    chosen = FORMATS[name]
    missing = [package for package in chosen.packages if not find_spec(package)]
    if missing:
        raise ExportError(
            f'the format {name} needs {" and ".join(missing)}, which this Python lacks: '
            f'{chosen.extra}'
        )
    return chosen


def _parts(model: Model) -> tuple[V2VPoseNet, int]:
    assert isinstance(model.network, V2VPoseNet)
    return model.network, model.info.make_codec().input_size


def _write_onnx(model: Model, path: Path, texts: dict[str, str]) -> None:
    from v2v_pose_ros.runtimes.onnx_runtime import make_graph

    path.write_bytes(make_graph(*_parts(model), texts).SerializeToString())


def _load_onnx(path: Path) -> Network:
    from v2v_pose_ros.runtimes.onnx_runtime import open_session

    session = open_session(path)

    def run(grids: Tensor) -> Tensor:
        return torch.from_numpy(session.run(['heatmaps'], {'grid': grids.numpy()})[0])

    return run


def _write_openvino(model: Model, path: Path, texts: dict[str, str]) -> None:
    from v2v_pose_ros.runtimes.openvino_runtime import make_graph
    from v2v_pose_ros.runtimes.silent_openvino import openvino

    graph = make_graph(*_parts(model))
    graph.inputs[0].get_tensor().set_names({'grid'})
    graph.outputs[0].get_tensor().set_names({'heatmaps'})
    graph.reshape([-1, *list(graph.inputs[0].get_shape())[1:]])
    for key, text in texts.items():
        graph.set_rt_info(text, [key])
    openvino.save_model(graph, path, compress_to_fp16=False)


def _load_openvino(path: Path) -> Network:
    from v2v_pose_ros.runtimes.silent_openvino import openvino

    options = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = openvino.Core().compile_model(path, 'CPU', options)

    def run(grids: Tensor) -> Tensor:
        return torch.from_numpy(np.array(compiled({'grid': grids.numpy()})['heatmaps']))

    return run


def _write_tensorrt(model: Model, path: Path, texts: dict[str, str]) -> None:
    from v2v_pose_ros.runtimes.onnx_runtime import make_graph
    from v2v_pose_ros.runtimes.tensorrt_runtime import build

    network, size = _parts(model)
    path.write_bytes(build(make_graph(network, size, texts).SerializeToString(), size))


def _load_tensorrt(path: Path) -> Network:
    from v2v_pose_ros.runtimes.tensorrt_runtime import load

    run = load(path.read_bytes(), torch.device('cuda'))
    return lambda grids: run(grids).cpu()


FORMATS = {
    'onnx': Format('.onnx', ('onnx', 'onnxruntime'), ONNX_INSTALL, _write_onnx, _load_onnx),
    'openvino': Format(
        '.xml', ('openvino',), 'pip install openvino', _write_openvino, _load_openvino
    ),
    'tensorrt': Format(
        '.engine',
        ('tensorrt', 'onnx', 'onnxruntime'),
        f'on a machine with an NVIDIA GPU, {TENSORRT_INSTALL}',
        _write_tensorrt,
        _load_tensorrt,
    ),
}
