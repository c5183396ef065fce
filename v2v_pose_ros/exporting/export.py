"""Exports: a network written for another runtime, checked against torch, with a model card."""

from __future__ import annotations

from dataclasses import asdict
import hashlib
import json
from pathlib import Path
import tempfile
from typing import Any

from v2v_pose_ros import __version__
from v2v_pose_ros.exporting import ExportError
from v2v_pose_ros.exporting.comparison import compare, Comparison
from v2v_pose_ros.exporting.formats import get_format
from v2v_pose_ros.models import Model, read_info
from v2v_pose_ros.voxels import VoxelCodec

TOLERANCE = 1e-4
"""Metres that a joint may move by the export; the formats compute in float32 as torch does."""

_CENTRES = {
    'cell_centre': 'metres = reference + cube_size * ((index + 1/2) / H - 1/2) on every axis',
    'lua': 'metres = reference + cube_size * ((2 index + 1/2) / G - 1/2) on every axis',
    'lua_y_up': (
        'metres = reference + cube_size * ((2 index + 1/2) / G - 1/2) on x and z; '
        'on y reference + cube_size * ((2 index + 3/2) / G - 1/2)'
    ),
}


def export_model(
    model: Model, format_name: str, out: Path, tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """Write a model for another runtime and its card beside it; return the card.

    The network is written, read again, run, and compared; only then do the files get their names.
    An export that fails leaves what was there.

    Args:
        model: a loaded pose network.
        format_name: 'onnx', 'openvino' or 'tensorrt'.
        out: the file; its suffix is the format's. The card is called the same with .json behind.
        tolerance: metres that a joint may move by.

    Raises:
        ExportError: the format's packages are missing, or the result differs from torch by more.
        RuntimeUnavailableError: there is no GPU for TensorRT, or it refuses the network.
    """
    chosen = get_format(format_name)
    if out.suffix != chosen.suffix:
        raise ExportError(f'{out} is no name for {format_name}; end it in {chosen.suffix}')
    codec = model.info.make_codec()
    card = make_card(model, codec)
    texts = {'v2v_pose': json.dumps(card, sort_keys=True)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix='.export-') as folder:
        draft = Path(folder) / out.name
        chosen.write(model, draft, texts)
        found = compare(model.network, chosen.load(draft), codec)
        if not found.joints <= tolerance:
            raise ExportError(
                f'{format_name} moves a joint by {1e3 * found.joints:.3f} mm (heatmaps differ by '
                f'{found.heatmaps:.2e}); at most {1e3 * tolerance:g} mm is allowed, so nothing '
                'was written'
            )
        card |= {'format': format_name, 'check': _describe_check(found, tolerance)}
        card['files'] = {
            part.name: hashlib.sha256(part.read_bytes()).hexdigest()
            for part in sorted(Path(folder).iterdir())
        }
        for name in card['files']:
            (Path(folder) / name).replace(out.parent / name)
    out.with_name(f'{out.name}.json').write_text(json.dumps(card, indent=2) + '\n')
    return card


def make_card(model: Model, codec: VoxelCodec) -> dict[str, Any]:
    """Return what a user of an exported network has to know, as plain values."""
    grid, cells = codec.input_size, codec.output_size
    joints = model.info.get_skeleton().names
    return {
        'made_by': f'v2v_pose_ros {__version__}',
        'model': asdict(model.info),
        'model_sha256': read_info(model.path)[1],
        'input': {
            'name': 'grid',
            'type': 'float32',
            'shape': ['batch', 1, grid, grid, grid],
            'axes': ['batch', 'channel', 'z', 'y', 'x'],
            'meaning': (
                'occupancy, 1 where a point lies in the voxel and 0 elsewhere, of a cube of edge '
                f'{codec.cube_size} m about the reference point, in the optical frame (x right, '
                'y down, z forward); voxel = floor(G ((point - reference) / cube_size + 1/2))'
            ),
        },
        'output': {
            'name': 'heatmaps',
            'type': 'float32',
            'shape': ['batch', len(joints), cells, cells, cells],
            'axes': ['batch', 'joint', 'z', 'y', 'x'],
            'joints': list(joints),
            'activation': codec.activation,
            'decoding': f'{_CENTRES[codec.convention]}, G = {grid}, H = {cells}',
        },
    }


def _describe_check(found: Comparison, tolerance: float) -> dict[str, Any]:
    return {
        'against': 'torch float32 on the CPU',
        'grids': found.grids,
        'heatmap_difference': found.heatmaps,
        'joint_difference_mm': 1e3 * found.joints,
        'tolerance_mm': 1e3 * tolerance,
    }
