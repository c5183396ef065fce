"""Speed of every stage and of the whole on this machine, on rendered frames that move."""

from __future__ import annotations

from collections.abc import Callable
import copy
from dataclasses import dataclass
import os
from pathlib import Path
import platform
import resource
import time
from typing import Any

import numpy as np
import torch
from torch import nn, Tensor

from v2v_pose_ros.estimator import Estimate, PoseEstimator
from v2v_pose_ros.tracking import Tracker

_WARM_UP = 5


@dataclass(frozen=True)
class Work:
    """What a network cannot do without, for one grid.

    Attributes:
        multiplications: of its convolutions, each with an addition.
        values: numbers that go through memory when every convolution reads its weights and its
            input once and writes its result once, and everything else is done on the way.
    """

    multiplications: int
    values: int


def count_work(network: nn.Module, input_size: int) -> Work:
    """Count what a network of 3D convolutions has to do for one grid; nothing is computed.

    Args:
        network: maps [1, 1, G, G, G] to anything.
        input_size: voxels per edge G.
    """
    multiplications = values = 0

    def add(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal multiplications, values
        weight = module.weight
        assert isinstance(weight, Tensor)
        transposed = isinstance(module, nn.ConvTranspose3d)
        # Every input value of a transposed convolution, and every output value of the others,
        # meets all weights of its channel.
        each = inputs[0] if transposed else output
        multiplications += each.numel() * weight[0].numel()
        values += inputs[0].numel() + weight.numel() + output.numel()

    counted = copy.deepcopy(network).to('meta').eval()
    for module in counted.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.register_forward_hook(add)
    with torch.inference_mode():
        counted(torch.zeros(1, 1, *[input_size] * 3, device='meta'))
    return Work(multiplications, values)


def processor_name(information: Path = Path('/proc/cpuinfo')) -> str:
    """Return the processor's name as Linux tells it; elsewhere what Python knows."""
    try:
        lines = information.read_text(errors='replace').splitlines()
    except OSError:
        lines = []
    names = (line.partition(':')[2].strip() for line in lines if line.startswith('model name'))
    return next(names, '') or platform.processor() or platform.machine()


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
            'cpu': processor_name(),
            'cores': len(os.sched_getaffinity(0)),
            'system': platform.platform(),
        },
        'image': [camera.width, camera.height],
        'frames': frames,
        'start_up_ms': round(start_up * 1000, 1),
    }
    tracker = Tracker(estimator)
    runs: dict[str, Callable[[int], Estimate]] = {
        'detection': lambda index: estimator(images[index], camera, thorough=False),
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
        report['machine']['cpu'],
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
