"""Draw the picture of the page on realism: rendered hands as three kinds of sensors see them.

Run `.venv/bin/python tools/draw_sensors.py docs/images/sensors.png`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from v2v_pose_ros.overlay import color_depth
from v2v_pose_ros.synthesis.hands.scenes import HandScenes, SceneOptions
from v2v_pose_ros.synthesis.sensors import FAMILIES

COLUMNS = 6
TILE = 160  # pixels


def main() -> None:
    """Draw the same scenes without noise and through each kind of sensor, a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    options = parser.parse_args()
    common = {'cut': 0.0, 'astray': 0.0, 'held': 0.4, 'distance': (0.35, 0.9)}
    kinds = [
        SceneOptions(**common, noise=False),
        *(SceneOptions(**common, family=family) for family in FAMILIES),
    ]
    rows = []
    for kind in kinds:
        scene = HandScenes(seed=5, options=kind, window=TILE).sample(COLUMNS)
        nearest = scene.joints[..., 2].amin(1)
        tiles = [
            color_depth(depth, near - 0.05, near + 0.4)
            for depth, near in zip(scene.depth.numpy(), nearest.tolist(), strict=True)
        ]
        rows.append(np.hstack(tiles))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), np.vstack(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == '__main__':
    main()
