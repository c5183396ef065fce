"""Draw the picture of the README: skeletons found by the shipped model on synthetic depth.

Run `.venv/bin/python tools/draw_hands.py docs/images/hands.png`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from v2v_pose_ros.estimator import Estimate, PoseEstimator
from v2v_pose_ros.overlay import color_depth, draw_skeletons
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene

CAMERA = sr305()
TIMES = (1.0, 5.4, 9.0, 12.2, 16.4, 21.0)  # seconds of the synthetic camera's motion
HALF = 130  # pixels about the hand


def _range(estimate: Estimate) -> tuple[float | None, float | None]:
    """Return the depths between which the colours run: about the hand, and what is behind it."""
    if not estimate.skeletons:
        return None, None
    depth = float(estimate.skeletons[0].reference_point[2])
    return depth - 0.12, depth + 0.7


def main() -> None:
    """Draw six moments of the synthetic camera's motion."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--model', default='hand_lite')
    options = parser.parse_args()
    estimator = PoseEstimator.load(options.model)
    scene = HandCameraScene(CAMERA, seed=3)
    tiles = []
    for time in TIMES:
        depth, _ = scene.frame(time)
        estimate = estimator(depth, CAMERA)
        colors = color_depth(depth, *_range(estimate))
        picture = draw_skeletons(colors, CAMERA, estimate.skeletons, cube=False)
        centre = np.array([CAMERA.cx, CAMERA.cy])
        if estimate.skeletons:
            centre = CAMERA.project(estimate.skeletons[0].positions).mean(axis=0)
        column, row = (round(float(value)) for value in centre)
        framed = cv2.copyMakeBorder(picture, HALF, HALF, HALF, HALF, cv2.BORDER_CONSTANT)
        tiles.append(framed[row : row + 2 * HALF, column : column + 2 * HALF])
    rows = [np.hstack(tiles[start : start + 3]) for start in (0, 3)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), np.vstack(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == '__main__':
    main()
