"""Error of a body model at the joints of another tracker on real depth frames.

    .venv/bin/python benchmarks/real_people.py FOLDER --model body_lite

FOLDER holds 16-bit PNG frames (millimetres), camera.yaml and joints.json: for every frame the
joints' positions (metres, optical frame) by their names in the Kinect SDK.  Its neck and spine lie
elsewhere than ITOP's; the other 13 joints are compared.  Definitions differ by a few centimetres
all the same: the mean offset of every joint is printed, and what is left without it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.frames import read_depth_png
from v2v_pose_ros.skeletons import BODY

COMPARED = [name for name in BODY.names if name not in ('neck', 'torso')]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--model', action='append', help='default: body_lite')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    camera = Camera.from_yaml(options.folder / 'camera.yaml')
    labels = json.loads((options.folder / 'joints.json').read_text())
    estimator = PoseEstimator.load(options.model or ['body_lite'], skeleton='body')
    chosen = BODY.indices(COMPARED)
    offsets, confidences, missed = [], [], []
    for name, joints in labels.items():
        skeletons = estimator(read_depth_png(options.folder / name, camera), camera).skeletons
        if not skeletons:
            missed.append(name)
            continue
        truth = np.array([joints[joint] for joint in COMPARED])
        offsets.append(skeletons[0].positions[chosen] - truth)
        confidences.append(skeletons[0].confidence)
    every = 1000 * np.array(offsets)
    result = {
        'frames': len(labels),
        'missed': missed,
        'confidence': round(float(np.mean(confidences)), 3),
        'as_it_is': figures(every),
        'without_mean_offsets': figures(every - every.mean(axis=0)),
        'left_and_right_swapped': round(float(swapped(every, labels, missed).mean()), 4),
        'mean_offset_mm': dict(zip(COMPARED, every.mean(axis=0).round().tolist(), strict=True)),
        'mean_error_mm': dict(
            zip(COMPARED, np.linalg.norm(every, axis=2).mean(axis=0).round().tolist(), strict=True)
        ),
    }
    print(json.dumps(result, indent=2) if options.json else table(result))


def figures(offsets: np.ndarray) -> dict[str, float]:
    """Return the figures of offsets [N, J, 3] in millimetres."""
    error = np.linalg.norm(offsets, axis=2)
    return {
        'mean_mm': round(float(error.mean()), 1),
        'median_mm': round(float(np.median(error)), 1),
        'within_100mm': round(float((error <= 100).mean()), 4),
        'within_150mm': round(float((error <= 150).mean()), 4),
    }


def swapped(
    offsets: np.ndarray, labels: dict[str, dict[str, list[float]]], missed: list[str]
) -> np.ndarray:
    """Return in which frames [N] the joints fit better with left and right exchanged."""
    truth = 1000 * np.array(
        [[row[joint] for joint in COMPARED] for name, row in labels.items() if name not in missed]
    )
    other = [
        COMPARED.index(name.replace('right', '*').replace('left', 'right').replace('*', 'left'))
        for name in COMPARED
    ]
    crossed = (truth + offsets)[:, other] - truth
    as_is, exchanged = (np.linalg.norm(each, axis=2).mean(axis=1) for each in (offsets, crossed))
    return exchanged < as_is


def table(result: dict[str, object]) -> str:
    """Return the figures as text."""
    lines = [f'{key}: {value}' for key, value in result.items() if not isinstance(value, dict)]
    for key, value in result.items():
        if isinstance(value, dict):
            lines.append(f'{key}: ' + ', '.join(f'{name} {each}' for name, each in value.items()))
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
