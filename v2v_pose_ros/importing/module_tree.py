"""The authors' network as Torch7 saves it: a tree of modules, mapped to our names.

The tree is the one that V2V-PoseNet_RELEASE, src/model.lua builds.  It is written down here once
more, with the name of our module at every leaf that has weights, and a file must have exactly it.
Lua volumes are [z][y][x] as ours are, so the kernels keep their axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from v2v_pose_ros.importing import ImportWeightsError
from v2v_pose_ros.importing.torch7 import StoredTensor, TorchObject

_CLASSES = {
    'sequence': ('Sequential',),
    'branches': ('ConcatTable',),
    'convolution': ('normal3DConv', 'VolumetricConvolution'),
    'deconvolution': ('normal3DdeConv', 'VolumetricFullConvolution'),
    'normalisation': ('VolumetricBatchNormalization',),
    'relu': ('ReLU',),
    'pool': ('VolumetricMaxPooling',),
    'sum': ('CAddTable',),
    'identity': ('Identity',),
}
"""Class names without their package: `nn`, `cudnn` and the authors' own have the same layout."""

MAX_CHANNELS = 4096
"""Features of a layer; the published network has at most 128."""

_OUR_EPSILON = 1e-5


@dataclass(frozen=True)
class _Module:
    """A module of the tree: its kind, its parts, and where its weights go."""

    kind: str
    parts: tuple[_Module, ...] = ()
    name: str = ''


_RELU, _POOL, _SUM = _Module('relu'), _Module('pool'), _Module('sum')


def _sequence(*parts: _Module) -> _Module:
    return _Module('sequence', parts)


def _branches(*parts: _Module) -> _Module:
    return _Module('branches', parts)


def _convolution(name: str) -> _Module:
    return _Module('convolution', name=name)


def _normalisation(name: str) -> _Module:
    return _Module('normalisation', name=name)


def _basic(name: str) -> _Module:
    return _sequence(_convolution(f'{name}.0'), _normalisation(f'{name}.1'), _RELU)


def _residual(name: str) -> _Module:
    branch = _sequence(
        _convolution(f'{name}.branch.0'),
        _normalisation(f'{name}.branch.1'),
        _RELU,
        _convolution(f'{name}.branch.3'),
        _normalisation(f'{name}.branch.4'),
    )
    return _sequence(_branches(branch, _Module('skip', name=f'{name}.skip')), _SUM, _RELU)


def _upsample(name: str) -> _Module:
    return _sequence(
        _Module('deconvolution', name=f'{name}.0'), _normalisation(f'{name}.1'), _RELU
    )


def _network() -> _Module:
    inner = 'encoder_decoder'
    eighth = _sequence(
        _POOL,
        _residual(f'{inner}.encode2'),
        _residual(f'{inner}.middle'),
        _residual(f'{inner}.decode2'),
        _upsample(f'{inner}.up2'),
    )
    quarter = _sequence(
        _POOL,
        _residual(f'{inner}.encode1'),
        _branches(eighth, _residual(f'{inner}.skip2')),
        _SUM,
        _residual(f'{inner}.decode1'),
        _upsample(f'{inner}.up1'),
    )
    half = _sequence(
        _branches(quarter, _residual(f'{inner}.skip1')),
        _SUM,
        _residual('back.0'),
        _basic('back.1'),
        _basic('back.2'),
    )
    front = (_basic('front.0'), _POOL, *(_residual(f'front.{index}') for index in (2, 3, 4)))
    return _sequence(*front, half, _convolution('head'))


def to_state(value: Any) -> dict[str, Tensor]:
    """Return the weights of a saved network by the names of V2VPoseNet's state dict.

    Args:
        value: what `torch7.parse` returned.

    Returns:
        Tensors of the file's shapes, mostly views of the file's numbers.

    Raises:
        ImportWeightsError: the modules are not those of the published network; says where.
    """
    return dict(_walk(_network(), value, 'network'))


def _walk(expected: _Module, found: Any, place: str) -> Iterator[tuple[str, Tensor]]:
    """Go through the expected tree and a saved one side by side."""
    found_class = found.class_name if isinstance(found, TorchObject) else 'no module'
    kind = found_class.rpartition('.')[2]
    if expected.kind == 'skip':  # a convolution where the channels change, else nothing
        name = expected.name
        convolved = _sequence(_convolution(f'{name}.0'), _normalisation(f'{name}.1'))
        expected = _Module('identity') if kind in _CLASSES['identity'] else convolved
    if kind not in _CLASSES[expected.kind]:
        raise ImportWeightsError(
            f'{place} is {found_class[:80]}; {" or ".join(_CLASSES[expected.kind])} is expected '
            'there in the published V2V-PoseNet'
        )
    fields = found.fields
    if expected.name:
        yield from _weights(expected, fields, f'{place} ({expected.name})')
    if not expected.parts:
        return
    modules = fields.get('modules')
    count = len(modules) if isinstance(modules, dict) else 0
    if not isinstance(modules, dict) or count != len(expected.parts):
        raise ImportWeightsError(
            f'{place} has {count} modules; the published V2V-PoseNet has {len(expected.parts)} '
            'there'
        )
    for index, part in enumerate(expected.parts):
        yield from _walk(part, modules.get(index + 1), f'{place}[{index}]')


def _weights(module: _Module, fields: dict[Any, Any], place: str) -> Iterator[tuple[str, Tensor]]:
    yield f'{module.name}.weight', _tensor(fields, 'weight', place)
    yield f'{module.name}.bias', _tensor(fields, 'bias', place)
    if module.kind == 'normalisation':
        yield f'{module.name}.running_mean', _tensor(fields, 'running_mean', place)
        yield f'{module.name}.running_var', _variance(fields, place)
        return
    strides = [fields.get(name) for name in ('dT', 'dH', 'dW')]
    step = 2 if module.kind == 'deconvolution' else 1
    if any(stride not in (None, step) for stride in strides):
        raise ImportWeightsError(f'{place} has the strides {strides}; {step} is expected')
    pads = [fields.get(name) for name in ('padT', 'padH', 'padW')]
    kernel = _tensor(fields, 'weight', place).shape[-1]
    # The authors wrote a padding of 1/2 for the deconvolution, which is truncated to none.
    legal = (None, 0, 0.5) if module.kind == 'deconvolution' else (None, kernel // 2)
    if any(pad not in legal for pad in pads):
        raise ImportWeightsError(f'{place} has the padding {pads}; {legal[-1]} is expected')


def _variance(fields: dict[Any, Any], place: str) -> Tensor:
    """Return the variance that gives the file's normalisation with our epsilon.

    Files of old versions hold running_std, which is 1 / sqrt(variance + epsilon).
    """
    old = 'running_std' in fields and 'running_var' not in fields
    stored = _tensor(fields, 'running_std' if old else 'running_var', place)
    if stored.shape != _tensor(fields, 'weight', place).shape or len(stored) > MAX_CHANNELS:
        raise ImportWeightsError(f'{place} has a variance of shape {tuple(stored.shape)}')
    if old:
        return stored.double() ** -2 - _OUR_EPSILON
    epsilon = fields.get('eps', _OUR_EPSILON)
    if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
        raise ImportWeightsError(f'{place} has the epsilon {epsilon!r}; about 1e-5 is expected')
    return stored if epsilon == _OUR_EPSILON else stored.double() + (epsilon - _OUR_EPSILON)


def _tensor(fields: dict[Any, Any], name: str, place: str) -> Tensor:
    stored = fields.get(name)
    if not isinstance(stored, StoredTensor):
        raise ImportWeightsError(f'{place} lacks the tensor {name}')
    try:
        tensor = stored.tensor()
    except ImportWeightsError as error:
        raise ImportWeightsError(f'{place}, {name}: {error}') from error
    if not torch.is_floating_point(tensor):
        raise ImportWeightsError(f'{place}, {name} holds {tensor.dtype}; floats are expected')
    return tensor
