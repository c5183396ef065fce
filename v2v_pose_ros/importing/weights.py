"""Weights of others made into model files: the way from a file to a network of this package.

Three things differ between data sets and programs, and none of them shows in a file of weights:
the order of the joints, which way the volumes' y axis points, and where a joint lies among the
cells of a heatmap (the codec's convention).
"""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
from pathlib import Path

import torch
from torch import Tensor

from v2v_pose_ros.importing import ImportWeightsError, module_tree, state_dicts, torch7
from v2v_pose_ros.models import check_info, ModelInfo, save_model
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.skeletons import DATASET_SKELETONS, JOINT_ORDERS, Skeleton
from v2v_pose_ros.voxels import Convention

SOURCES = ('auto', 'torch7', 'pytorch')
_MAX_NAMES = 5  # in a message


@dataclass(frozen=True)
class JointOrder:
    """What the networks trained on a data set have in common.

    Attributes:
        skeleton: the joint set.
        joints: its names in the order of the network's outputs.
        cube_size: edge of the cube in metres.
        y_up: whether world coordinates, and so the volumes, have y upwards; the optical frame
            and our volumes have it downwards.
    """

    skeleton: str
    joints: tuple[str, ...]
    cube_size: float
    y_up: bool


def _own_order(skeleton: str, cube_size: float, y_up: bool) -> JointOrder:
    return JointOrder(skeleton, DATASET_SKELETONS[skeleton].names, cube_size, y_up)


JOINT_ORDERS_OF_DATASETS = {
    'hands2017': JointOrder('hand', JOINT_ORDERS['hands2017'], 0.25, False),
    'icvl': _own_order('icvl', 0.2, False),
    'itop': _own_order('body', 2.0, True),
    'msra': JointOrder('hand', JOINT_ORDERS['msra'], 0.2, True),
    'nyu': _own_order('nyu', 0.25, True),
}
"""The data sets of the paper as the authors' code reads them (src/data/*/data.lua)."""


def import_weights(
    path: Path,
    skeleton: str,
    *,
    name: str,
    source: str = 'auto',
    joint_order: str | None = None,
    cube_size: float | None = None,
    y_axis: str | None = None,
    input_size: int = 88,
) -> tuple[V2VPoseNet, ModelInfo]:
    """Return a network with the weights of a file, and what it is.

    Args:
        path: a Torch7 file of the authors' code or a PyTorch state dict.
        skeleton: name of the skeleton whose joints the network finds.
        name: the model's name.
        source: 'torch7', 'pytorch', or 'auto' for what the file's first bytes say.
        joint_order: the data set that the network was trained on; needed where the skeleton does
            not settle it.
        cube_size: edge of the cube in metres; the data set's by default.
        y_axis: 'up' or 'down' in the volumes of the training; the data set's by default.
        input_size: voxels per edge of the occupancy grid.

    Raises:
        ImportWeightsError: the file cannot be read, or holds another network; says what differs.
            Also for a cube or a grid that no model has.
    """
    order = choose_order(skeleton, joint_order)
    data = _read(path)
    try:
        found = _find_source(data) if source == 'auto' else source
        if found == 'torch7':
            state = module_tree.to_state(torch7.parse(data))
        else:
            state = state_dicts.to_state(state_dicts.load_tensors(data))
        network = _fill(state, DATASET_SKELETONS[skeleton], len(data))
    except ImportWeightsError as error:
        raise ImportWeightsError(f'{path} cannot be imported: {error}') from error
    y_up = order.y_up if y_axis is None else y_axis == 'up'
    if y_up:
        flip_y(network)
    reorder_outputs(network, order.joints, DATASET_SKELETONS[skeleton])
    convention: Convention = 'cell_centre'
    if found == 'torch7':
        convention = 'lua_y_up' if y_up else 'lua'
    info = ModelInfo(
        name=name,
        skeleton=skeleton,
        network=network.config.to_dict(),
        codec={
            'cube_size': order.cube_size if cube_size is None else cube_size,
            'input_size': input_size,
            'convention': convention,
        },
        training={
            'imported_from': f'{path.name}, {found}, sha256 {hashlib.sha256(data).hexdigest()}',
            'volumes': f'y {"up" if y_up else "down"}, kernels turned to y down, z, y, x',
        },
    )
    try:  # what a model file may not say must not get into one
        check_info(info)
        info.make_codec()
    except ValueError as error:
        raise ImportWeightsError(str(error)) from error
    return network, info


def write_model(path: Path, network: V2VPoseNet, info: ModelInfo) -> None:
    """Write an imported network in the precision it came in, so that it gives the same output."""
    save_model(path, network, info, precision=torch.float32)


def choose_order(skeleton: str, joint_order: str | None) -> JointOrder:
    """Return the joint order of a skeleton; raise ImportWeightsError where it is not settled."""
    fitting = [name for name, o in JOINT_ORDERS_OF_DATASETS.items() if o.skeleton == skeleton]
    if not fitting:
        known = ', '.join(sorted({o.skeleton for o in JOINT_ORDERS_OF_DATASETS.values()}))
        raise ImportWeightsError(f'there is no skeleton {skeleton!r} for imports; known: {known}')
    if joint_order is None and len(fitting) == 1:
        joint_order = fitting[0]
    if joint_order not in fitting:
        given = 'none was given' if joint_order is None else f'{joint_order!r} has other joints'
        raise ImportWeightsError(
            f'the skeleton {skeleton} needs a joint order ({" or ".join(fitting)}); {given}: name '
            'the data set that the network was trained on, or its joints come out mixed up'
        )
    return JOINT_ORDERS_OF_DATASETS[joint_order]


def flip_y(network: V2VPoseNet) -> None:
    """Make a network for volumes with y upwards one for volumes with y downwards, in place.

    The network of the mirrored volume is the mirror image of the network with mirrored kernels:
    padding, pooling and upsampling are symmetric.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            module.weight.data = module.weight.data.flip(3)


def reorder_outputs(network: V2VPoseNet, order: tuple[str, ...], skeleton: Skeleton) -> None:
    """Bring the outputs from another order of the same joints into the skeleton's, in place."""
    indices = [order.index(name) for name in skeleton.names]
    head = network.head
    head.weight.data = head.weight.data[indices]
    assert head.bias is not None
    head.bias.data = head.bias.data[indices]


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ImportWeightsError(f'there is no file {path}')
    return path.read_bytes()


def _find_source(data: bytes) -> str:
    if state_dicts.is_pytorch(data):
        return 'pytorch'
    if data[:4] in (b'\x03\0\0\0', b'\x04\0\0\0'):
        return 'torch7'
    if data[:2] in (b'3\n', b'4\n'):
        raise ImportWeightsError(
            'it is an ASCII file of Torch7: load it in Torch7 and save it as binary, '
            'torch.save(FILE, MODEL)'
        )
    raise ImportWeightsError('it is neither a binary file of Torch7 nor a file of torch.save')


def _fill(state: dict[str, Tensor], skeleton: Skeleton, size: int) -> V2VPoseNet:
    """Build the network that the tensors' shapes tell of and fill it, after all was checked."""
    config = _find_config(state, skeleton)
    with torch.device('meta'):
        shapes = {
            name: tuple(tensor.shape)
            for name, tensor in V2VPoseNet(config).state_dict().items()
            if not name.endswith('num_batches_tracked')
        }
    _complain('lacks', sorted(shapes.keys() - state.keys()))
    _complain('has the unknown', sorted(state.keys() - shapes.keys()))
    differing = [
        f'{name} {tuple(state[name].shape)} instead of {shape}'
        for name, shape in shapes.items()
        if tuple(state[name].shape) != shape
    ]
    _complain('has other shapes for', differing)
    if sum(tensor.numel() for tensor in state.values()) > size:
        raise ImportWeightsError('its tensors claim more numbers than the file holds')
    network = V2VPoseNet(config)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)
    broken = [name for name in shapes if not network.state_dict()[name].isfinite().all()]
    _complain('has values that are not finite in', broken)
    return network.eval().requires_grad_(False)


def _find_config(state: dict[str, Tensor], skeleton: Skeleton) -> V2VConfig:
    """Read joints and channels from the tensors that fix them."""
    inner = 'encoder_decoder'
    names = ['front.0.0.weight', 'front.2.branch.0.weight']
    names += [f'{inner}.encode1.branch.0.weight', f'{inner}.encode2.branch.0.weight']
    names += ['head.weight']
    _complain('lacks', [name for name in names if name not in state])
    widths = [state[name].shape[0] if state[name].dim() == 5 else 0 for name in names]
    if min(widths) < 1 or max(widths) > module_tree.MAX_CHANNELS:
        raise ImportWeightsError(
            f'its layers have {widths} features; the published network has '
            f'[16, 32, 64, 128, {len(skeleton)}]'
        )
    if widths[4] != len(skeleton):
        others = [name for name, other in DATASET_SKELETONS.items() if len(other) == widths[4]]
        hint = f'; {" and ".join(others)} would fit' if others else ''
        raise ImportWeightsError(
            f'it finds {widths[4]} joints; the skeleton {skeleton.name} has {len(skeleton)}{hint}'
        )
    return V2VConfig(widths[4], (widths[0], widths[1], widths[2], widths[3]))


def _complain(problem: str, names: list[str]) -> None:
    if names:
        more = f' and {len(names) - _MAX_NAMES} more' if len(names) > _MAX_NAMES else ''
        shown = ', '.join(name[:120] for name in names[:_MAX_NAMES])
        raise ImportWeightsError(f'it {problem} {shown}{more}')
