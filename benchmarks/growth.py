"""How the cost grows with the grid, the batch, the image, the subjects and the ensemble.

    .venv/bin/python benchmarks/growth.py OUT

Writes OUT/growth.json and OUT/growth.png.  Values of one size are measured in turn, round by
round; medians of processor time, which other work on the machine lengthens less than wall time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
import json
import os
from pathlib import Path
import time

import matplotlib
import numpy as np
import torch

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.models import load_model, Model, ModelInfo
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.runtimes import make_runtime
from v2v_pose_ros.runtimes.probes import probe_grids
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene

matplotlib.use('Agg')

GRIDS = (32, 48, 64, 88, 104, 128)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
WIDTHS = (160, 320, 640, 1280)
COUNTS = (1, 2, 4, 8)
Series = dict[str, dict[int, float]]


def main() -> None:
    """Measure, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--runtime', default='openvino')
    options = parser.parse_args()
    torch.set_num_threads(1)
    lite = load_model('hand_lite')
    estimator = PoseEstimator(
        [lite], [make_runtime(lite, options.runtime, 'cpu')], passes=1, min_confidence=0.0
    )

    def measure(what: str, runs: Mapping[int, Callable[[], object]]) -> dict[int, float]:
        print(f'{what}: {", ".join(map(str, runs))}', flush=True)
        return in_turn(runs, options.rounds)

    parts: dict[str, Series] = {
        'voxels per edge': {
            name: measure(name, grid_runs(stem, channels, options.runtime))
            for name, stem, channels in (
                ('published network', 'conv7', (16, 32, 64, 128)),
                ('hand_lite', 'fold', (16, 16, 32, 64)),
            )
        },
        'grids at once': {'hand_lite, per grid': measure('batch', batch_runs(lite, options))},
        'columns of the image': {
            'search': measure('search', image_runs(estimator, search=True)),
            'tracking': measure('tracking', image_runs(estimator, search=False)),
        },
        'subjects': {'tracking': measure('subjects', subject_runs(estimator))},
        'networks in the ensemble': {
            'tracking': measure('ensemble', ensemble_runs(lite, options))
        },
    }
    batches = parts['grids at once']['hand_lite, per grid']
    parts['grids at once']['hand_lite, per grid'] = {n: ms / n for n, ms in batches.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    document = {
        'unit': 'milliseconds of processor time, median',
        'runtime': estimator.runtime_name,
        'cores': len(os.sched_getaffinity(0)),
        'rounds': options.rounds,
        'growth': parts,
    }
    (options.out / 'growth.json').write_text(json.dumps(document, indent=2) + '\n')
    draw(parts, options.out / 'growth.png')


def in_turn(runs: Mapping[int, Callable[[], object]], rounds: int) -> dict[int, float]:
    """Return median milliseconds of processor time; every round runs everything once."""
    times: dict[int, list[float]] = {size: [] for size in runs}
    for number in range(rounds + 1):
        for size, run in runs.items():
            begun = time.process_time()
            run()
            if number:  # the first round warms up
                times[size].append(1e3 * (time.process_time() - begun))
    return {size: round(float(np.median(values)), 3) for size, values in times.items()}


def grid_runs(
    stem: str, channels: tuple[int, int, int, int], runtime: str
) -> dict[int, Callable[[], object]]:
    """Return a network of every grid size, without what is around it."""
    runs: dict[int, Callable[[], object]] = {}
    for size in GRIDS:
        torch.manual_seed(0)
        network = V2VPoseNet(V2VConfig(len(HAND), channels, stem)).eval().requires_grad_(False)
        codec = {'cube_size': 0.25, 'input_size': size}
        info = ModelInfo(f'random_{size}', 'hand', network.config.to_dict(), codec)
        made = make_runtime(Model(network, info, Path()), runtime, 'cpu')
        grid = probe_grids(info.make_codec(), HAND, 1)
        runs[size] = lambda made=made, grid=grid: made(grid)  # type: ignore[misc]
    return runs


def batch_runs(model: Model, options: argparse.Namespace) -> dict[int, Callable[[], object]]:
    """Return the model on batches."""
    made = make_runtime(model, options.runtime, 'cpu')
    grid = probe_grids(model.info.make_codec(), HAND, 1)
    runs: dict[int, Callable[[], object]] = {}
    for batch in BATCHES:
        grids = grid.repeat(batch, 1, 1, 1, 1)
        runs[batch] = lambda grids=grids: made(grids)  # type: ignore[misc]
    return runs


def image_runs(estimator: PoseEstimator, search: bool) -> dict[int, Callable[[], object]]:
    """Return the whole way on images of every size, with or without the search."""
    runs: dict[int, Callable[[], object]] = {}
    for width in WIDTHS:
        scene = HandCameraScene(sr305(width, width * 3 // 4), seed=0)
        depth, joints = scene.frame(0.0)
        middle = bounding_box_middle(joints)
        place = None if search else middle
        runs[width] = (
            lambda depth=depth, camera=scene.camera, place=place: estimator(depth, camera, place)  # type: ignore[misc]
        )
    return runs


def subject_runs(estimator: PoseEstimator) -> dict[int, Callable[[], object]]:
    """Return the tracking of several subjects in one image, one after the other."""
    scene = HandCameraScene(sr305(), seed=0)
    depth, joints = scene.frame(0.0)
    middle = bounding_box_middle(joints)

    def track(count: int) -> None:
        for _ in range(count):
            estimator(depth, scene.camera, middle)

    return {count: lambda count=count: track(count) for count in COUNTS}  # type: ignore[misc]


def ensemble_runs(model: Model, options: argparse.Namespace) -> dict[int, Callable[[], object]]:
    """Return the tracking by several networks."""
    scene = HandCameraScene(sr305(), seed=0)
    depth, joints = scene.frame(0.0)
    middle = bounding_box_middle(joints)
    runs: dict[int, Callable[[], object]] = {}
    for count in (*COUNTS, 10):
        models = [replace(model) for _ in range(count)]
        made = [make_runtime(part, options.runtime, 'cpu') for part in models]
        estimator = PoseEstimator(models, made, passes=1, min_confidence=0.0)
        runs[count] = lambda estimator=estimator: estimator(depth, scene.camera, middle)  # type: ignore[misc]
    return runs


def draw(parts: dict[str, Series], path: Path) -> None:
    """Draw all series."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(parts), figsize=(3.1 * len(parts), 2.9), dpi=80)
    for axis, (title, series) in zip(axes, parts.items(), strict=True):
        for name, values in series.items():
            axis.plot(list(values), list(values.values()), 'o-', markersize=3, label=name)
        axis.set(xlabel=title, ylim=(0, None))
        if title == 'voxels per edge':
            axis.set(yscale='log', ylim=(1, None))
        if title in ('grids at once', 'columns of the image'):
            axis.set_xscale('log', base=2)
            axis.set_xticks(list(values), list(map(str, values)))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, frameon=False)
    axes[0].set_ylabel('processor time (ms)')
    figure.tight_layout()
    figure.savefig(path)


if __name__ == '__main__':
    main()
