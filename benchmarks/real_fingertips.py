"""Error of a hand model at fingertips that people marked on real depth frames.

    .venv/bin/python benchmarks/real_fingertips.py FOLDER --model hand_lite

FOLDER holds 16-bit PNG frames (millimetres), camera.yaml and fingertips.json: for every frame the
marked joints' "position_m" in the optical frame.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.frames import read_depth_png
from v2v_pose_ros.skeletons import HAND


def main() -> None:
    """Measure and print, frame by frame and over all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--model', action='append', help='default: hand_lite')
    options = parser.parse_args()
    camera = Camera.from_yaml(options.folder / 'camera.yaml')
    labels = json.loads((options.folder / 'fingertips.json').read_text())
    estimator = PoseEstimator.load(options.model or ['hand_lite'])
    offsets, found = [], 0
    for name, tips in labels.items():
        skeletons = estimator(read_depth_png(options.folder / name, camera), camera).skeletons
        if not skeletons:
            print(f'{name}: not found')
            continue
        found += 1
        truth = np.array([tip['position_m'] for tip in tips.values()])
        offset = 1000 * (skeletons[0].positions[HAND.indices(list(tips))] - truth)
        offsets.append(offset)
        errors = zip(tips, np.linalg.norm(offset, axis=1), strict=True)
        print(f'{name}: ' + ', '.join(f'{tip} {error:.1f}' for tip, error in errors))
    every = np.concatenate(offsets)
    errors = np.linalg.norm(every, axis=1)
    print(f'found in {found} of {len(labels)} frames')
    print(f'{len(errors)} fingertips: mean {errors.mean():.2f} mm, median {np.median(errors):.2f}')
    print('mean offset x, y, z: ' + ', '.join(f'{value:.1f}' for value in every.mean(axis=0)))


if __name__ == '__main__':
    main()
