"""How much rendered depth resembles a camera's: the same statistics of both, side by side.

    .venv/bin/python benchmarks/realism.py structured_light FOLDER --picture out.png

FOLDER holds 16-bit PNG (millimetres, 0 = no measurement).  The subject of an image is the largest
thing within 12 cm of its nearest pixels.

    noise_mm_at_1m    deviation of a pixel from its two neighbours in a row, over the square of the
                      distance; robust standard deviation
    rough_mm_at_1m    the same of means over 4 x 4 pixels: what neighbours have in common
    edge_lost         share without measurement within 3 pixels of the outline
    inside_lost       share without measurement further inside
    flying            share of the outline's pixels that float more than 15 mm before or behind
                      both of their sides
    ragged            length of the outline over that of the smoothed one
"""

from __future__ import annotations

import argparse
from dataclasses import replace
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.overlay import color_depth
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.benchmark import EVERYDAY
from v2v_pose_ros.synthesis.hands.scenes import HandScenes
from v2v_pose_ros.synthesis.sensors import FAMILIES

_REACH = 0.12  # metres behind the nearest surface that belong to the subject
_TILE = 200  # pixels of the picture's tiles

Image = NDArray[np.float32]


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('family', choices=FAMILIES)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--count', type=int, default=30, help='rendered frames (default: 30)')
    parser.add_argument('--picture', type=Path, metavar='FILE', help='real above, rendered below')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    real = real_frames(options.folder)
    rendered = rendered_frames(options.family, options.count)
    report = {'real': summary(real), 'rendered': summary(rendered)}
    if options.picture:
        rows = [np.hstack([tile(frame) for frame in frames[:6]]) for frames in (real, rendered)]
        width = min(row.shape[1] for row in rows)
        cv2.imwrite(str(options.picture), np.vstack([row[:, :width] for row in rows]))
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f'{"":16}{"real":>24}{"rendered":>24}    10th, 50th and 90th percentile')
    for key in report['real']:
        values = [' '.join(f'{value:7.3f}' for value in side[key]) for side in report.values()]
        print(f'{key:16}{values[0]:>24}{values[1]:>24}')


def real_frames(folder: Path) -> list[Image]:
    """Return the depth images of a folder in metres."""
    paths = sorted(folder.glob('*.png'))
    if not paths:
        raise SystemExit(f'{folder} holds no .png')
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
    return [image.astype(np.float32) / 1000 for image in images if image is not None]


def rendered_frames(family: str, count: int) -> list[Image]:
    """Return everyday frames of one kind of sensor in metres."""
    everyday = replace(EVERYDAY, family=family, clutter=0.0, distance=(0.35, 0.8))
    scenes = HandScenes(seed=11, options=everyday)
    return [scenes.frame(sr305())[0] for _ in range(count)]


def subject(depth: Image) -> NDArray[np.bool_]:
    """Return the pixels of the nearest thing."""
    near = float(np.quantile(depth[depth > 0], 0.01))
    mask = (depth > 0) & (depth < near + _REACH)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = 1 + stats[1:, cv2.CC_STAT_AREA].argmax() if count > 1 else 0
    chosen: NDArray[np.bool_] = labels == largest
    return chosen


def statistics(depth: Image) -> dict[str, float]:
    """Return the statistics of one image."""
    mask = subject(depth)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    core = cv2.erode(solid, disc).astype(bool)
    band = cv2.dilate(solid, disc).astype(bool) & ~core
    outline = mask & band
    # How far a pixel is from the nearer of its row's two sides, where it is before or behind both.
    left, right = depth[:, :-2] - depth[:, 1:-1], depth[:, 2:] - depth[:, 1:-1]
    between = (depth[:, :-2] > 0) & (depth[:, 2:] > 0) & outline[:, 1:-1]
    floating = (np.sign(left) == np.sign(right)) & (np.minimum(abs(left), abs(right)) > 0.015)
    smooth = cv2.medianBlur(mask.astype(np.uint8), 9)
    return {
        'noise_mm_at_1m': _noise(depth, mask & core),
        'rough_mm_at_1m': _noise(*_halved(*_halved(depth, mask & core))),
        'edge_lost': float((depth[band & (solid > 0)] == 0).mean()),
        'inside_lost': float((depth[core] == 0).mean()) if core.any() else 0.0,
        'flying': float(floating[between].mean()) if between.any() else 0.0,
        'ragged': _outline_length(mask) / max(_outline_length(smooth > 0), 1.0),
    }


def _noise(depth: Image, mask: NDArray[np.bool_]) -> float:
    """Return the robust deviation of pixels from their neighbours' mean, mm at 1 m."""
    inside = mask[:, :-2] & mask[:, 1:-1] & mask[:, 2:]
    bend = depth[:, 1:-1] - 0.5 * (depth[:, :-2] + depth[:, 2:])
    normal = (bend / depth[:, 1:-1].clip(0.05) ** 2)[inside]
    # White noise of deviation s bends by sqrt(3 / 2) s.
    return 1000 * 1.4826 * float(np.median(abs(normal))) / np.sqrt(1.5) if len(normal) else 0.0


def _halved(depth: Image, mask: NDArray[np.bool_]) -> tuple[Image, NDArray[np.bool_]]:
    rows, columns = (size // 2 * 2 for size in depth.shape)
    blocks = depth[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2)
    whole = mask[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).all(axis=(1, 3))
    return blocks.mean(axis=(1, 3)), whole


def _outline_length(mask: NDArray[np.bool_]) -> float:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max((cv2.arcLength(contour, True) for contour in contours), default=0.0)


def summary(frames: list[Image]) -> dict[str, list[float]]:
    """Return the 10th, 50th and 90th percentile of every statistic."""
    rows = [statistics(frame) for frame in frames if (frame > 0).any()]
    return {
        key: np.percentile([row[key] for row in rows], (10, 50, 90)).round(4).tolist()
        for key in rows[0]
    }


def tile(depth: Image) -> NDArray[np.uint8]:
    """Return the subject in colours."""
    rows, columns = np.nonzero(subject(depth))
    near = float(depth[rows, columns].min())
    colors = color_depth(depth, near - 0.02, near + 0.4)
    size = max(np.ptp(rows), np.ptp(columns), 40)
    top, left = (max(0, int(places.mean() - size / 2)) for places in (rows, columns))
    return cv2.resize(
        colors[top : top + size, left : left + size],
        (_TILE, _TILE),
        interpolation=cv2.INTER_NEAREST,
    )


if __name__ == '__main__':
    main()
