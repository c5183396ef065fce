"""`v2v-pose predict`: the joints in depth images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

from v2v_pose_ros.commands import CommandError
from v2v_pose_ros.commands.estimator import add_estimator_arguments, load_estimator

if TYPE_CHECKING:  # it would import PyTorch
    from v2v_pose_ros.estimator import SkeletonEstimate

HELP = 'find the joints in depth images'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    add_estimator_arguments(parser, model_required=True)
    parser.add_argument(
        '--camera',
        required=True,
        type=Path,
        metavar='camera.yaml',
        help='the calibration, as camera_calibration writes it',
    )
    parser.add_argument('--out', type=Path, metavar='FILE', help='write the joints as JSON')
    parser.add_argument('--overlay', type=Path, metavar='DIR', help='write overlay images')
    parser.add_argument('--json', action='store_true', help='print the joints as JSON')
    parser.add_argument(
        'frames',
        nargs='+',
        type=Path,
        metavar='FRAME.png',
        help='16-bit PNG, millimetres, 0 = no measurement',
    )


def run(options: argparse.Namespace) -> None:
    """Estimate frame by frame, then write what was asked for."""
    import cv2

    from v2v_pose_ros.camera import Camera
    from v2v_pose_ros.frames import read_depth_png
    from v2v_pose_ros.overlay import add_status, color_depth, draw_skeletons

    camera = Camera.from_yaml(options.camera)
    estimator = load_estimator(options)
    if options.overlay:
        options.overlay.mkdir(parents=True, exist_ok=True)
    frames, written = [], set[Path]()
    for path in options.frames:
        depth = read_depth_png(path, camera)
        estimate = estimator(depth, camera)
        found = estimate.skeletons[0] if estimate.skeletons else None
        frames.append({'file': str(path), 'found': found is not None, 'joints': _joints(found)})
        status = 'not found' if found is None else f'confidence {found.confidence:.2f}'
        if options.overlay:
            picture = draw_skeletons(color_depth(depth), camera, estimate.skeletons)
            target = _overlay_file(options.overlay, path, written)
            if not cv2.imwrite(str(target), add_status(picture, f'{path.name}  {status}')):
                raise CommandError(f'{target} cannot be written')
        if not options.json:
            print(f'{path}: {status}')
    document = json.dumps({'frames': frames}, indent=1)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(document + '\n')
    if options.json:
        print(document)


def _joints(found: SkeletonEstimate | None) -> list[dict[str, Any]]:
    """Return a skeleton's joints as they are written, none where nothing was found."""
    if found is None:
        return []
    return [
        {
            'name': name,
            'position_m': [round(float(v), 5) for v in position],
            'confidence': round(float(confidence), 4),
        }
        for name, position, confidence in zip(
            found.skeleton.names, found.positions, found.confidences, strict=True
        )
    ]


def _overlay_file(folder: Path, frame: Path, written: set[Path]) -> Path:
    """Return where a frame's overlay goes; frames of one name in several folders stay apart."""
    target, number = folder / f'{frame.stem}.png', 1
    while target in written:
        number += 1
        target = folder / f'{frame.stem}_{number}.png'
    written.add(target)
    return target
