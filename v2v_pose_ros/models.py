"""Model files: weights in safetensors, with what they are in the metadata.

A file holds the tensors of one network, most in half precision, and a JSON document under the key
`v2v_pose`: skeleton, architecture, codec, training and measured errors, and a SHA-256 of all that
and the tensors.  Nothing is unpickled.  A model is named by its file's stem ("hand_lite") or by a
path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import nn, Tensor

from v2v_pose_ros.calibration import Calibration
from v2v_pose_ros.networks.build import config_from, make_network
from v2v_pose_ros.skeletons import DATASET_SKELETONS, Skeleton
from v2v_pose_ros.voxels import VoxelCodec

_KEY = 'v2v_pose'
_FORMAT = 1
_GRIDS = (16, 256)  # voxels per edge, least and most


class ModelError(ValueError):
    """A model file is missing, damaged or not what was asked for."""


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself.

    Attributes:
        name: the model's name.
        skeleton: name of the skeleton whose joints it finds.
        kind: 'v2v' for pose networks, 'baseline' for those that the paper compares with,
            'refinement' for networks that refine the reference point.
        network: the architecture's configuration.
        codec: cube, grid and convention; of a refinement network only the cube size counts.
        training: data, recipe and hardware in words.
        errors: measured errors, name to figure, millimetres unless the name says otherwise.
        calibration: of the covariances, the fields of `calibration.Calibration`; empty in files
            that were not calibrated.
    """

    name: str
    skeleton: str
    network: dict[str, Any]
    codec: dict[str, Any]
    kind: str = 'v2v'
    training: dict[str, str] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)

    def make_codec(self) -> VoxelCodec:
        """Return the codec that the network was trained with."""
        return VoxelCodec(**self.codec)

    def make_calibration(self) -> Calibration | None:
        """Return how covariances are calibrated; None where nobody measured it.

        Raises:
            ModelError: it is of other joints than the network's.
        """
        if not self.calibration:
            return None
        floor, doubt = float(self.calibration['floor']), float(self.calibration['doubt'])
        scales = self.calibration['scales']
        if len(scales) != self.network['joints']:
            raise ModelError(
                f'the calibration has {len(scales)} scales; the network has '
                f'{self.network["joints"]} joints'
            )
        return Calibration(floor, doubt, tuple(float(scale) for scale in scales))

    def get_skeleton(self) -> Skeleton:
        """Return the skeleton; raise ModelError for one this version does not know."""
        if self.skeleton not in DATASET_SKELETONS:
            raise ModelError(
                f'model {self.name} has the skeleton {self.skeleton!r}; '
                f'this version knows {", ".join(DATASET_SKELETONS)}'
            )
        return DATASET_SKELETONS[self.skeleton]

    def make_network(self) -> nn.Module:
        """Return the untrained network."""
        return make_network(config_from(self.kind, self.network))


@dataclass(frozen=True)
class Model:
    """A loaded network in evaluation mode, float32 on the CPU, and what it is."""

    network: nn.Module
    info: ModelInfo
    path: Path


def model_directories() -> list[Path]:
    """Return the folders where models are looked for by name, the nearest first."""
    package = Path(__file__).resolve().parent
    folders = [package / 'models', package.parent / 'models']
    try:
        from ament_index_python.packages import get_package_share_directory

        folders.append(Path(get_package_share_directory('v2v_pose_ros')) / 'models')
    except (ImportError, LookupError, OSError):
        pass  # no ROS, no ROS environment, or not installed in it: the other folders serve
    return [folder for folder in folders if folder.is_dir()]


def available_models() -> dict[str, Path]:
    """Return the shipped models, name to file."""
    found: dict[str, Path] = {}
    for folder in model_directories():
        for path in sorted(folder.glob('*.safetensors')):
            found.setdefault(path.stem, path)
    return found


def find_model(name: str) -> Path:
    """Return the file of a model given by name or path; raise ModelError with what there is."""
    path = Path(name).expanduser()
    if path.suffix == '.safetensors' or len(path.parts) > 1:
        if path.is_file():
            return path
        raise ModelError(f'there is no model file {path}; give an existing .safetensors file')
    found = available_models()
    if name not in found:
        if path.is_file():
            raise ModelError(
                f'{path} is no model file: its name does not end in .safetensors; v2v-pose '
                'import-weights makes one of weights trained elsewhere'
            )
        known = ', '.join(found) or 'none'
        raise ModelError(f'there is no model {name!r}; shipped are: {known}; a path works too')
    return found[name]


def checksum(tensors: Mapping[str, Tensor], info: ModelInfo) -> str:
    """Return the SHA-256 of what a file says of itself and of its tensors, bytes and shapes."""
    digest = hashlib.sha256(json.dumps(_document(info), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}\n'.encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_model(
    path: Path, network: nn.Module, info: ModelInfo, precision: torch.dtype = torch.float16
) -> None:
    """Write a network's weights with its metadata, in half precision unless told otherwise."""
    tensors = {
        name: tensor.detach().cpu().to(precision).contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    _write(path, tensors, info)


def replace_info(path: Path, info: ModelInfo) -> None:
    """Let a model file say something else of itself; its weights stay what they are.

    Raises:
        ModelError: the file is missing, damaged or changed.
    """
    _, tensors = _read(path)
    _write(path, tensors, info)


def _document(info: ModelInfo) -> dict[str, Any]:
    """Return what goes into a file; what was added later is left out where it says nothing."""
    document = asdict(info)
    if not info.calibration:
        del document['calibration']
    return document


def _write(path: Path, tensors: dict[str, Tensor], info: ModelInfo) -> None:
    document = {'format': _FORMAT, **_document(info), 'sha256': checksum(tensors, info)}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    save_file(tensors, part, metadata={_KEY: json.dumps(document, sort_keys=True)})
    part.chmod(0o644)  # safetensors makes files for their owner alone
    part.replace(path)


def read_info(path: Path) -> tuple[ModelInfo, str]:
    """Return what a model file says of itself and its checksum, without reading the weights."""
    with _open(path) as file:
        return _parse(path, file.metadata())


def load_model(name: str | Path, skeleton: str | None = None, kind: str = 'v2v') -> Model:
    """Load a model by name or path.

    Args:
        name: a shipped model's name or a .safetensors file.
        skeleton: refuse models of another skeleton.
        kind: refuse models of another kind.

    Raises:
        ModelError: the file is missing, damaged, changed, or of another skeleton or kind.
    """
    path = find_model(str(name))
    info, tensors = _read(path)
    if info.kind != kind:
        raise ModelError(f'{path} is a {info.kind} model; a {kind} model is needed here')
    if skeleton is not None and info.skeleton != skeleton:
        raise ModelError(f'{path} finds the skeleton {info.skeleton!r}; {skeleton!r} is needed')
    network = _fill(path, info, tensors)
    return Model(network.eval().requires_grad_(False), info, path)


def _read(path: Path) -> tuple[ModelInfo, dict[str, Tensor]]:
    """Return what a file says of itself, and its tensors; raise ModelError for a damaged one."""
    with _open(path) as file:
        info, expected = _parse(path, file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if checksum(tensors, info) != expected:
        raise ModelError(
            f'{path} is damaged or was changed: its weights and metadata do not match their '
            'checksum; fetch it again or restore it from version control'
        )
    return info, tensors


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework='pt')
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f'{path} cannot be read as a safetensors file ({error}); it is truncated or of '
            'another format: fetch it again, or convert it with "v2v-pose import-weights"'
        ) from error


def _parse(path: Path, metadata: dict[str, str] | None) -> tuple[ModelInfo, str]:
    if not metadata or _KEY not in metadata:
        raise ModelError(f'{path} has no {_KEY} metadata: it is no model file of this package')
    try:
        document = json.loads(metadata[_KEY])
        version = document.pop('format')
        digest = str(document.pop('sha256'))
        info = ModelInfo(**document)
        check_info(info)
        info.make_codec()
        info.make_calibration()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f'{path} has metadata that cannot be used: {error}') from error
    if version != _FORMAT:
        raise ModelError(f'{path} has format {version}; this version reads format {_FORMAT}')
    return info, digest


def check_info(info: ModelInfo) -> None:
    """Raise ValueError for metadata of types or sizes that no model has."""
    for key in ('name', 'skeleton', 'kind'):
        if not isinstance(getattr(info, key), str):
            raise ValueError(f'{key} is {getattr(info, key)!r}; a text is meant')
    for key in ('network', 'codec', 'training', 'errors', 'calibration'):
        if not isinstance(getattr(info, key), dict):
            raise ValueError(f'{key} is {getattr(info, key)!r}; a mapping is meant')
    size = info.codec.get('input_size', 88)
    if info.kind == 'v2v' and (
        type(size) is not int or not _GRIDS[0] <= size <= _GRIDS[1] or size % 8
    ):
        raise ValueError(
            f'input_size is {size!r}; a multiple of 8 from {_GRIDS[0]} to {_GRIDS[1]} is meant'
        )


def _fill(path: Path, info: ModelInfo, tensors: dict[str, Tensor]) -> nn.Module:
    """Build the network and fill it, naming the first tensor that does not fit."""
    skeleton = info.get_skeleton()
    try:
        with torch.device('meta'):  # shapes alone: memory is for what the file really holds
            state = info.make_network().state_dict()
    except (ValueError, TypeError, KeyError, RuntimeError, OverflowError) as error:
        raise ModelError(f'{path} describes a network that cannot be built: {error}') from error
    if info.kind != 'refinement' and info.network['joints'] != len(skeleton):
        raise ModelError(
            f'{path} has {info.network["joints"]} joints; the skeleton {skeleton.name} has '
            f'{len(skeleton)}'
        )
    wanted = {key for key in state if not key.endswith('num_batches_tracked')}
    for key in sorted(wanted ^ tensors.keys()):
        problem = 'lacks' if key in wanted else 'has the unknown'
        raise ModelError(f'{path} {problem} tensor {key}')
    for key in sorted(wanted):
        if tensors[key].shape != state[key].shape:
            raise ModelError(
                f'{path}: tensor {key} has shape {tuple(tensors[key].shape)}; '
                f'{tuple(state[key].shape)} is expected'
            )
        if not tensors[key].isfinite().all():
            raise ModelError(f'{path}: tensor {key} has values that are not finite')
    network = info.make_network()
    filled = network.state_dict()
    filled.update({key: tensors[key].float() for key in wanted})
    network.load_state_dict(filled)
    return network
