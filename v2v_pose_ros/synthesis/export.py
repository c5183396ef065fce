"""Labelled synthetic depth frames as files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import yaml

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.synthesis.kinds import KINDS

SIZES = {'hand': (640, 480), 'body': (320, 240)}
"""Columns and rows of exported frames, by subject."""


def write_frames(folder: Path, count: int, seed: int, subject: str = 'hand') -> None:
    """Write frames of a subject as 16-bit PNG (millimetres), camera.yaml and joints.json.

    Equal seeds give equal files, and the first frames of a longer export are those of a shorter.

    Raises:
        ValueError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f'{folder} exists and is not an empty folder; name a new one')
    folder.mkdir(parents=True, exist_ok=True)
    kind = KINDS[subject]
    scenes, camera = kind.scenes(), kind.camera(*SIZES[subject])
    labels = {}
    for index in range(count):
        scenes.generator.manual_seed(seed * 1_000_000_007 + index)
        depth, joints = scenes.frame(camera)
        name = f'{index:06d}.png'
        millimetres = np.rint(depth * 1000).astype(np.uint16)
        if not cv2.imwrite(str(folder / name), millimetres):
            raise OSError(f'{folder / name} cannot be written')
        labels[name] = [
            {'name': joint, 'position_m': [round(float(v), 5) for v in position]}
            for joint, position in zip(kind.skeleton.names, joints, strict=True)
        ]
    (folder / 'joints.json').write_text(
        json.dumps({'skeleton': subject, 'frames': labels}, indent=1)
    )
    (folder / 'camera.yaml').write_text(yaml.safe_dump(camera_document(camera), sort_keys=False))


def camera_document(camera: Camera) -> dict[str, object]:
    """Return a calibration as camera_calibration writes it."""
    k = [float(value) for value in camera.matrix.ravel()]
    projection = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    coefficients = list(camera.distortion) or [0.0] * 5
    return {
        'image_width': camera.width,
        'image_height': camera.height,
        'camera_name': 'synthetic_depth',
        'camera_matrix': {'rows': 3, 'cols': 3, 'data': k},
        'distortion_model': camera.distortion_model or 'plumb_bob',
        'distortion_coefficients': {'rows': 1, 'cols': len(coefficients), 'data': coefficients},
        'rectification_matrix': {
            'rows': 3,
            'cols': 3,
            'data': [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        },
        'projection_matrix': {'rows': 3, 'cols': 4, 'data': projection},
    }
