"""As much of TensorRT 11's Python API as the package uses, on a CPU, by ONNX Runtime; for tests.

What TensorRT refuses is refused here: weakly typed networks, shapes outside the profile, an engine
of another machine, tensors that were not told where they lie.  A plan is the graph behind a mark.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum

import numpy as np
import onnx
import onnxruntime

__version__ = '11.4.0'

_MARK = b'plan of this machine: '


class Logger:
    WARNING = 2

    def __init__(self, severity: int) -> None:
        self.severity = severity


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(IntEnum):
    TF32 = 7


class Network:
    graph: bytes


class OnnxParser:
    def __init__(self, network: Network, logger: Logger) -> None:
        self._network, self._error = network, ''

    def parse(self, graph: bytes) -> bool:
        try:
            onnx.checker.check_model(onnx.load_from_string(graph))
        except Exception as error:
            self._error = str(error) or 'broken'
            return False
        self._network.graph = graph
        return True

    @property
    def num_errors(self) -> int:
        return 1 if self._error else 0

    def get_error(self, index: int) -> str:
        return [self._error][index]


class Profile:
    def set_shape(self, name: str, least: tuple, usual: tuple, most: tuple) -> None:
        assert name == 'grid'
        assert least <= usual <= most
        self.most = most


class Config:
    def __init__(self) -> None:
        self.flags, self.profiles = {BuilderFlag.TF32}, []

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class Builder:
    def __init__(self, logger: Logger) -> None:
        pass

    def create_network(self, flags: int) -> Network:
        assert flags == 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return Network()

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> memoryview | None:
        if not config.profiles or BuilderFlag.TF32 in config.flags:
            return None  # a graph of any batch needs a profile
        head = _MARK + bytes([config.profiles[0].most[0]])
        return memoryview(head + network.graph)


class Runtime:
    def __init__(self, logger: Logger) -> None:
        pass

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        return Engine(plan[len(_MARK) :]) if plan.startswith(_MARK) else None


class Engine:
    def __init__(self, content: bytes) -> None:
        self.most = content[0]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            content[1:], options, providers=['CPUExecutionProvider']
        )

    def create_execution_context(self) -> Context:
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine, self._shape = engine, None
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple) -> bool:
        fixed = self._engine.session.get_inputs()[0].shape[1:]
        fits = name == 'grid' and list(shape[1:]) == fixed and 1 <= shape[0] <= self._engine.most
        self._shape = shape if fits else None
        return fits

    def get_tensor_shape(self, name: str) -> tuple:
        assert name == 'heatmaps'
        return (self._shape[0], *self._engine.session.get_outputs()[0].shape[1:])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if self._shape is None or self._addresses.keys() != {'grid', 'heatmaps'}:
            return False
        (found,) = self._engine.session.run(['heatmaps'], {'grid': self._at('grid', self._shape)})
        self._at('heatmaps', found.shape)[:] = found
        self._addresses.clear()
        return True

    def _at(self, name: str, shape: tuple) -> np.ndarray:
        pointer = ctypes.cast(self._addresses[name], ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(pointer, shape)
