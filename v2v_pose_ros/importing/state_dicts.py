"""State dicts of PyTorch reimplementations in the manner of dragonbook/V2V-PoseNet-pytorch.

Their volumes are [x][y][z]: the kernels' last three axes are reversed on the way in.  Only tensors
are loaded, and what a pickle calls is looked at before (pickles.py).
"""

from __future__ import annotations

from collections.abc import Iterator
import io
import pickletools
import re
from typing import Any
import warnings
import zipfile

import torch
from torch import Tensor

from v2v_pose_ros.importing import ImportWeightsError
from v2v_pose_ros.importing.pickles import check_pickle

_CONTAINERS = ('model_state_dict', 'state_dict', 'model')
_LEGACY_PICKLES = 5  # magic number, version, system, content, keys of the storages

_ENCODER_DECODER = {
    'encoder_res1': 'encode1',
    'encoder_res2': 'encode2',
    'mid_res': 'middle',
    'decoder_res2': 'decode2',
    'decoder_upsample2': 'up2',
    'decoder_res1': 'decode1',
    'decoder_upsample1': 'up1',
    'skip_res1': 'skip1',
    'skip_res2': 'skip2',
}


def is_pytorch(data: bytes) -> bool:
    """Tell whether bytes begin as files of torch.save do."""
    return data.startswith((b'PK\x03\x04', b'\x80\x02'))


def load_tensors(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint's state dict by the names in the file.

    Raises:
        ImportWeightsError: the file is no state dict, damaged, or calls for more than tensors.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of what is deprecated, not wrong
        for number, part in enumerate(_pickles(data)):
            check_pickle(part, number)
        content = _load(data)
    tensors = _find_state(content)
    _check_storages(tensors, len(data))
    return tensors


def _load(data: bytes) -> Any:
    try:
        return torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)
    except Exception as error:  # whatever PyTorch raises of a damaged file
        raise ImportWeightsError(f'PyTorch cannot load it: {_first_line(error)}') from error


def to_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by the names of V2VPoseNet's state dict, volumes turned to [z][y][x].

    Names that have no counterpart keep their name, to be reported.
    """
    state = {}
    for name, tensor in tensors.items():
        if name.endswith('num_batches_tracked'):
            continue
        kernel = tensor.dim() == 5
        state[_rename(name)] = tensor.permute(0, 1, 4, 3, 2) if kernel else tensor
    return state


def _rename(name: str) -> str:
    """Return our name of a dragonbook-style tensor; an unknown name as it is."""
    root, _, rest = name.removeprefix('module.').partition('.')
    if root == 'output_layer':
        return f'head.{rest}'
    block, _, rest = rest.partition('.')
    rest = re.sub(r'^block\.', '', rest)
    rest = re.sub(r'^res_branch\.', 'branch.', rest)
    rest = re.sub(r'^skip_con\.', 'skip.', rest)
    if root in ('front_layers', 'back_layers'):
        return f'{root.removesuffix("_layers")}.{block}.{rest}'
    if root == 'encoder_decoder' and block in _ENCODER_DECODER:
        return f'encoder_decoder.{_ENCODER_DECODER[block]}.{rest}'
    return name


def _pickles(data: bytes) -> Iterator[bytes]:
    """Yield bytes that begin with a pickle, for every pickle that loading would run."""
    if data.startswith(b'PK'):
        yield from _zipped_pickles(data)
        return
    stream = io.BytesIO(data)
    for _ in range(_LEGACY_PICKLES):
        start = stream.tell()
        yield data[start:]
        for _ in pickletools.genops(stream):
            pass


def _zipped_pickles(data: bytes) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pickled = _read_only_pickle(archive, len(data))
    except ImportWeightsError:
        raise
    except Exception as error:  # whatever zipfile raises of a damaged archive
        raise ImportWeightsError(f'it is a damaged zip archive ({error})') from error
    yield pickled


def _read_only_pickle(archive: zipfile.ZipFile, size: int) -> bytes:
    """Return the one pickle of an archive of a number of bytes, made as torch.save does."""
    entries = archive.infolist()
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > size:
        raise ImportWeightsError(
            'it is a zip archive with compressed or overlapping parts; torch.save makes none of '
            'these'
        )
    if any(entry.filename.endswith('/constants.pkl') for entry in entries):
        raise ImportWeightsError(
            'it is a TorchScript program; save the state dict instead: '
            'torch.save(model.state_dict(), FILE)'
        )
    names = [entry.filename for entry in entries if entry.filename.lower().endswith('.pkl')]
    if len(names) != 1 or not names[0].endswith('/data.pkl'):
        raise ImportWeightsError('it is a zip archive that torch.save did not make')
    return archive.read(names[0])


def _find_state(content: Any) -> dict[str, Tensor]:
    """Return the state dict in a checkpoint: the checkpoint itself or one of its entries."""
    if isinstance(content, dict):
        for key in _CONTAINERS:
            if isinstance(content.get(key), dict):
                content = content[key]
                break
    if not isinstance(content, dict) or not content:
        raise ImportWeightsError(
            f'it holds {type(content).__name__}; a state dict or a checkpoint with the entry '
            f'{_CONTAINERS[0]} is expected'
        )
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ImportWeightsError(
                f'its entry {str(name)[:80]!r} is {type(tensor).__name__}; a state dict has '
                'tensors only'
            )
    return dict(content)


def _check_storages(tensors: dict[str, Tensor], size: int) -> None:
    """Refuse tensors that claim more numbers than the file has bytes."""
    storages = {}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != 'cpu':
            raise ImportWeightsError(f'{name} is no plain tensor')
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > storage.nbytes():
            raise ImportWeightsError(f'{name} has more numbers than its storage')
    if sum(storages.values()) > size:
        raise ImportWeightsError('its tensors claim more numbers than the file holds')


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
