"""The published network as its authors' files hold it, and what it computes; for tests.

Independent of the package: a writer of the Torch7 binary format, a random network in it, an
interpreter of its modules, and the same network in the manner of dragonbook's state dicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import struct
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5


@dataclass(eq=False)
class Lua:
    """A Lua object of a class."""

    name: str
    fields: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class LuaStorage:
    values: np.ndarray


@dataclass(eq=False)
class LuaTensor:
    """A window into a storage; the offset counts from zero here."""

    storage: LuaStorage
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def get(self) -> Tensor:
        values = torch.from_numpy(self.storage.values.astype(np.float32))
        return torch.as_strided(values, self.sizes, self.strides, self.offset)


class Writer:
    """What torch.save(file, object) does in Torch7."""

    def __init__(self, prefix: str = 'torch.Cuda', code: str = 'f') -> None:
        self.bytes = bytearray()
        self._prefix, self._code = prefix, code
        self._indices: dict[int, int] = {}
        self._alive: list[Any] = []

    def int(self, *values: int) -> None:
        self.bytes += struct.pack(f'<{len(values)}i', *values)

    def long(self, *values: int) -> None:
        self.bytes += struct.pack(f'<{len(values)}q', *values)

    def string(self, text: str) -> None:
        self.int(len(text))
        self.bytes += text.encode('latin-1')

    def write(self, value: Any) -> None:
        if value is None:
            self.int(0)
        elif isinstance(value, bool):
            self.int(5, int(value))
        elif isinstance(value, int | float):
            self.int(1)
            self.bytes += struct.pack('<d', value)
        elif isinstance(value, str):
            self.int(2)
            self.string(value)
        elif isinstance(value, bytes):  # a function's code
            self.int(8, len(self._indices) + 1000, len(value))
            self.bytes += value
            self.write({})
        else:
            self._indexed(value)

    def _indexed(self, value: Any) -> None:
        self.int(3 if isinstance(value, dict) else 4)
        known = id(value) in self._indices
        self.int(self._indices.setdefault(id(value), len(self._indices) + 1))
        if known:
            return
        self._alive.append(value)  # or another object might get its id
        if isinstance(value, dict):
            self.int(len(value))
            for key, entry in value.items():
                self.write(key)
                self.write(entry)
            return
        self.string('V 1')
        if isinstance(value, Lua):
            self.string(value.name)
            self.write(value.fields)
        elif isinstance(value, LuaTensor):
            self.string(f'{self._prefix}Tensor')
            self.int(len(value.sizes))
            self.long(*value.sizes, *value.strides, value.offset + 1)
            self.write(value.storage)
        else:
            self.string(f'{self._prefix}Storage')
            self.long(len(value.values))
            self.bytes += value.values.astype(f'<{self._code}').tobytes()


def saved(value: Any, prefix: str = 'torch.Cuda', code: str = 'f') -> bytes:
    writer = Writer(prefix, code)
    writer.write(value)
    return bytes(writer.bytes)


class Maker:
    """Modules with random weights, all in one flat storage as after getParameters()."""

    def __init__(self, seed: int, old: bool = False) -> None:
        self._random = np.random.default_rng(seed)
        self._old = old
        self._tensors: list[LuaTensor] = []
        self._parts: list[np.ndarray] = []
        self._size = 0
        self._storage = LuaStorage(np.empty(0))

    def finish(self) -> None:
        self._storage.values = np.concatenate(self._parts)

    def tensor(self, values: np.ndarray) -> LuaTensor:
        strides = tuple(int(np.prod(values.shape[axis + 1 :])) for axis in range(values.ndim))
        gap = 3  # so that a wrong offset is noticed
        made = LuaTensor(self._storage, self._size + gap, values.shape, strides)
        self._parts += [np.full(gap, np.nan), values.ravel()]
        self._size += gap + values.size
        return made

    def normal(self, *shape: int, scale: float = 1.0) -> LuaTensor:
        return self.tensor(scale * self._random.standard_normal(shape))

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return self._random.uniform(low, high, size)

    def convolution(self, inputs: int, outputs: int, kernel: int) -> Lua:
        shape = (outputs, inputs, kernel, kernel, kernel)
        weight = self.normal(*shape, scale=(inputs * kernel**3) ** -0.5)
        pad = (kernel - 1) // 2
        fields = {'weight': weight, 'bias': self.normal(outputs, scale=0.1), 'train': False}
        fields |= {'gradWeight': weight, 'dT': 1, 'dW': 1, 'dH': 1, 'padT': pad, 'padW': pad}
        return Lua('cudnn.normal3DConv', fields)

    def deconvolution(self, inputs: int, outputs: int) -> Lua:
        weight = self.normal(inputs, outputs, 2, 2, 2, scale=inputs**-0.5)
        fields = {'weight': weight, 'bias': self.normal(outputs, scale=0.1), 'iSize': {1: 3.0}}
        fields |= {'dT': 2, 'dW': 2, 'dH': 2, 'padT': 0.5, 'padW': 0.5, 'padH': 0.5, 'adjT': 1}
        return Lua('cudnn.normal3DdeConv', fields)

    def normalisation(self, size: int) -> Lua:
        variance = self.uniform(0.3, 2.0, size)
        fields = {
            'weight': self.tensor(self.uniform(0.5, 1.5, size)),
            'bias': self.normal(size, scale=0.2),
            'running_mean': self.normal(size, scale=0.2),
            'eps': EPSILON,
        }
        if self._old:
            fields['running_std'] = self.tensor((variance + EPSILON) ** -0.5)
        else:
            fields['running_var'] = self.tensor(variance)
        return Lua('cudnn.VolumetricBatchNormalization', fields)

    def basic(self, inputs: int, outputs: int, kernel: int) -> Lua:
        return sequence(
            self.convolution(inputs, outputs, kernel), self.normalisation(outputs), relu()
        )

    def residual(self, inputs: int, outputs: int) -> Lua:
        branch = sequence(
            self.convolution(inputs, outputs, 3),
            self.normalisation(outputs),
            relu(),
            self.convolution(outputs, outputs, 3),
            self.normalisation(outputs),
        )
        skip = Lua('nn.Identity')
        if inputs != outputs:
            skip = sequence(self.convolution(inputs, outputs, 1), self.normalisation(outputs))
        return sequence(container('nn.ConcatTable', branch, skip), Lua('nn.CAddTable'), relu())

    def upsample(self, inputs: int, outputs: int) -> Lua:
        return sequence(self.deconvolution(inputs, outputs), self.normalisation(outputs), relu())


def container(name: str, *modules: Lua) -> Lua:
    return Lua(name, {'modules': dict(enumerate(modules, 1))})


def sequence(*modules: Lua) -> Lua:
    return container('nn.Sequential', *modules)


def relu() -> Lua:
    return Lua('cudnn.ReLU', {'inplace': True})


def pool() -> Lua:
    return Lua('cudnn.VolumetricMaxPooling', {'kT': 2, 'kW': 2, 'kH': 2, 'evaluate': b'\x1bLJ'})


def make_network(
    joints: int, channels: tuple[int, int, int, int], seed: int = 0, old: bool = False
) -> Lua:
    """Return the published module tree (V2V-PoseNet_RELEASE, src/model.lua) of any width."""
    make = Maker(seed, old)
    full, half, quarter, eighth = channels
    inner = sequence(
        pool(),
        make.residual(quarter, eighth),
        make.residual(eighth, eighth),
        make.residual(eighth, eighth),
        make.upsample(eighth, quarter),
    )
    outer = sequence(
        pool(),
        make.residual(half, quarter),
        container('nn.ConcatTable', inner, make.residual(quarter, quarter)),
        Lua('nn.CAddTable'),
        make.residual(quarter, quarter),
        make.upsample(quarter, half),
    )
    network = sequence(
        make.basic(1, full, 7),
        pool(),
        make.residual(full, half),
        make.residual(half, half),
        make.residual(half, half),
        sequence(
            container('nn.ConcatTable', outer, make.residual(half, half)),
            Lua('nn.CAddTable'),
            make.residual(half, half),
            make.basic(half, half, 1),
            make.basic(half, half, 1),
        ),
        make.convolution(half, joints, 1),
    )
    make.finish()
    return network


def run(module: Lua, value: Any) -> Any:
    """Compute what a Torch7 module's forward computes in evaluation mode."""
    fields = module.fields
    kind = module.name.partition('.')[2]
    modules = list(fields.get('modules', {}).values())
    if kind == 'Sequential':
        for part in modules:
            value = run(part, value)
        return value
    if kind == 'ConcatTable':
        return [run(part, value) for part in modules]
    if kind == 'CAddTable':
        return value[0] + value[1]
    if kind == 'normal3DConv':
        weight = fields['weight'].get()
        return functional.conv3d(
            value, weight, fields['bias'].get(), padding=(weight.shape[-1] - 1) // 2
        )
    if kind == 'normal3DdeConv':
        return functional.conv_transpose3d(
            value, fields['weight'].get(), fields['bias'].get(), stride=2
        )
    if kind == 'VolumetricBatchNormalization':
        if 'running_std' in fields:
            variance = fields['running_std'].get() ** -2 - EPSILON
        else:
            variance = fields['running_var'].get()
        mean, weight, bias = (fields[key].get() for key in ('running_mean', 'weight', 'bias'))
        return functional.batch_norm(value, mean, variance, weight, bias, eps=EPSILON)
    if kind == 'ReLU':
        return value.relu()
    if kind == 'VolumetricMaxPooling':
        return functional.max_pool3d(value, 2)
    assert kind == 'Identity'
    return value


DRAGONBOOK_BLOCKS = (
    ('encoder_res1', 1, 2),
    ('encoder_res2', 2, 3),
    ('mid_res', 3, 3),
    ('decoder_res2', 3, 3),
    ('decoder_res1', 2, 2),
    ('skip_res1', 1, 1),
    ('skip_res2', 2, 2),
)


def make_dragonbook(
    joints: int, channels: tuple[int, int, int, int], seed: int = 0
) -> dict[str, Tensor]:
    """Return a random state dict with dragonbook's names."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def convolution(name: str, *shape: int) -> None:
        scale = float(np.prod(shape[1:])) ** -0.5
        state[f'{name}.weight'] = scale * torch.randn(shape, generator=generator)
        size = shape[1] if 'upsample' in name else shape[0]
        state[f'{name}.bias'] = 0.1 * torch.randn(size, generator=generator)

    def normalisation(name: str, size: int) -> None:
        state[f'{name}.weight'] = 0.5 + torch.rand(size, generator=generator)
        state[f'{name}.bias'] = 0.2 * torch.randn(size, generator=generator)
        state[f'{name}.running_mean'] = 0.2 * torch.randn(size, generator=generator)
        state[f'{name}.running_var'] = 0.3 + torch.rand(size, generator=generator)
        state[f'{name}.num_batches_tracked'] = torch.tensor(7)

    def basic(name: str, inputs: int, outputs: int, kernel: int) -> None:
        convolution(f'{name}.block.0', outputs, inputs, kernel, kernel, kernel)
        normalisation(f'{name}.block.1', outputs)

    def residual(name: str, inputs: int, outputs: int) -> None:
        convolution(f'{name}.res_branch.0', outputs, inputs, 3, 3, 3)
        normalisation(f'{name}.res_branch.1', outputs)
        convolution(f'{name}.res_branch.3', outputs, outputs, 3, 3, 3)
        normalisation(f'{name}.res_branch.4', outputs)
        if inputs != outputs:
            convolution(f'{name}.skip_con.0', outputs, inputs, 1, 1, 1)
            normalisation(f'{name}.skip_con.1', outputs)

    full, half, quarter, eighth = channels
    basic('front_layers.0', 1, full, 7)
    residual('front_layers.2', full, half)
    residual('front_layers.3', half, half)
    residual('front_layers.4', half, half)
    for name, inputs, outputs in DRAGONBOOK_BLOCKS:
        residual(f'encoder_decoder.{name}', channels[inputs], channels[outputs])
    for name, inputs, outputs in (('upsample2', eighth, quarter), ('upsample1', quarter, half)):
        convolution(f'encoder_decoder.decoder_{name}.block.0', inputs, outputs, 2, 2, 2)
        normalisation(f'encoder_decoder.decoder_{name}.block.1', outputs)
    residual('back_layers.0', half, half)
    basic('back_layers.1', half, half, 1)
    basic('back_layers.2', half, half, 1)
    convolution('output_layer', joints, half, 1, 1, 1)
    return state


def run_dragonbook(state: dict[str, Tensor], grid: Tensor) -> Tensor:
    """Compute dragonbook's forward on volumes [B, 1, x, y, z]."""

    def normalised(name: str, value: Tensor) -> Tensor:
        keys = ('running_mean', 'running_var', 'weight', 'bias')
        return functional.batch_norm(value, *(state[f'{name}.{key}'] for key in keys))

    def convolved(name: str, value: Tensor) -> Tensor:
        weight = state[f'{name}.weight']
        return functional.conv3d(value, weight, state[f'{name}.bias'], padding='same')

    def basic(name: str, value: Tensor) -> Tensor:
        return normalised(f'{name}.block.1', convolved(f'{name}.block.0', value)).relu()

    def residual(name: str, value: Tensor) -> Tensor:
        branch = normalised(f'{name}.res_branch.1', convolved(f'{name}.res_branch.0', value))
        branch = convolved(f'{name}.res_branch.3', branch.relu())
        branch = normalised(f'{name}.res_branch.4', branch)
        if f'{name}.skip_con.0.weight' in state:
            value = normalised(f'{name}.skip_con.1', convolved(f'{name}.skip_con.0', value))
        return (branch + value).relu()

    def upsample(name: str, value: Tensor) -> Tensor:
        weight, bias = state[f'{name}.block.0.weight'], state[f'{name}.block.0.bias']
        value = functional.conv_transpose3d(value, weight, bias, stride=2)
        return normalised(f'{name}.block.1', value).relu()

    value = functional.max_pool3d(basic('front_layers.0', grid), 2)
    for index in (2, 3, 4):
        value = residual(f'front_layers.{index}', value)
    inner = 'encoder_decoder'
    skip1 = residual(f'{inner}.skip_res1', value)
    value = residual(f'{inner}.encoder_res1', functional.max_pool3d(value, 2))
    skip2 = residual(f'{inner}.skip_res2', value)
    value = residual(f'{inner}.encoder_res2', functional.max_pool3d(value, 2))
    value = residual(f'{inner}.decoder_res2', residual(f'{inner}.mid_res', value))
    value = residual(
        f'{inner}.decoder_res1', upsample(f'{inner}.decoder_upsample2', value) + skip2
    )
    value = residual('back_layers.0', upsample(f'{inner}.decoder_upsample1', value) + skip1)
    value = basic('back_layers.2', basic('back_layers.1', value))
    return convolved('output_layer', value)
