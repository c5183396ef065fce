"""Speed of every stage and of the whole on this machine, on rendered frames that move."""

from __future__ import annotations

from collections.abc import Callable
import os
import platform
import resource
import time
from typing import Any

import numpy as np
import torch

from v2v_pose_ros.estimator import Estimate, PoseEstimator
from v2v_pose_ros.tracking import Tracker

_WARM_UP = 5


def _percentiles(seconds: list[float]) -> dict[str, float]:
    values = np.array(seconds) * 1000
    return {
        'p50': round(float(np.percentile(values, 50)), 3),
        'p90': round(float(np.percentile(values, 90)), 3),
        'p99': round(float(np.percentile(values, 99)), 3),
    }


def measure(load: Callable[[], PoseEstimator], frames: int) -> dict[str, Any]:
    """Measure an estimator, frame by frame, as detection and as tracking.

    Args:
        load: makes the estimator; its time is the start-up.
        frames: how many frames count.

    Returns:
        A document of plain values; times in milliseconds.
    """
    began = time.perf_counter()
    estimator = load()
    estimator.warm_up()
    start_up = time.perf_counter() - began
    images, truth, camera = _frames(estimator.skeleton.name, frames + _WARM_UP)
    if estimator.runtime_name.startswith('openvino'):
        # As in the node: what is left to torch is small, and its threads wait for OpenVINO's.
        torch.set_num_threads(1)
    report: dict[str, Any] = {
        'models': list(estimator.model_names),
        'runtime': estimator.runtime_name,
        'machine': {
            'cpu': platform.processor() or platform.machine(),
            'cores': len(os.sched_getaffinity(0)),
            'system': platform.platform(),
        },
        'image': [camera.width, camera.height],
        'frames': frames,
        'start_up_ms': round(start_up * 1000, 1),
    }
    tracker = Tracker(estimator)
    runs: dict[str, Callable[[int], Estimate]] = {
        'detection': lambda index: estimator(images[index], camera),
        'tracking': lambda index: tracker(images[index], camera, index / 30),
    }
    for mode, run in runs.items():
        wholes: list[float] = []
        stages: dict[str, list[float]] = {}
        errors: list[float] = []
        for index in range(len(images)):
            begun = time.perf_counter()
            estimate = run(index)
            elapsed = time.perf_counter() - begun
            if index < _WARM_UP:
                continue
            wholes.append(elapsed)
            for stage, seconds in estimate.timings.items():
                stages.setdefault(stage, []).append(seconds)
            if estimate.skeletons:
                offset = estimate.skeletons[0].positions - truth[index]
                errors.append(float(np.linalg.norm(offset, axis=1).mean()))
        report[mode] = {
            'whole_ms': _percentiles(wholes),
            'stages_ms': {stage: _percentiles(values) for stage, values in stages.items()},
            'found': len(errors),
            'mean_error_mm': round(1000 * float(np.mean(errors)), 2) if errors else None,
        }
    report['memory_mb'] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return report


def _frames(subject: str, count: int) -> tuple[list[Any], list[Any], Any]:
    from v2v_pose_ros.synthesis.kinds import KINDS

    kind = KINDS[subject]
    scene = kind.live(kind.camera(640, 480), seed=0)
    frames = [scene.frame(index / 30) for index in range(count)]
    return [frame[0] for frame in frames], [frame[1] for frame in frames], scene.camera


def format_report(report: dict[str, Any]) -> str:
    """Return a report for people."""
    width, height = report['image']
    lines = [
        f'{", ".join(report["models"])} on {report["runtime"]}, '
        f'{report["machine"]["cores"]} cores, {width} x {height}, {report["frames"]} frames',
        f'start-up {report["start_up_ms"]:.0f} ms, memory {report["memory_mb"]} MB',
    ]
    for mode in ('detection', 'tracking'):
        part = report[mode]
        error = part['mean_error_mm']
        lines.append('')
        lines.append(f'{mode:<16}{"p50":>9}{"p90":>9}{"p99":>9}  ms')
        for stage, times in {**part['stages_ms'], 'whole': part['whole_ms']}.items():
            lines.append(f'  {stage:<14}{times["p50"]:9.2f}{times["p90"]:9.2f}{times["p99"]:9.2f}')
        lines.append(
            f'  found {part["found"]} of {report["frames"]}'
            + (f', mean joint error {error:.1f} mm' if error is not None else '')
        )
    return '\n'.join(lines)
