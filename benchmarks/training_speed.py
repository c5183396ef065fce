"""Samples per second of a training, and where the time goes: scenes, forward, backward.

    .venv/bin/python benchmarks/training_speed.py config/train/hand_lite.yaml

On a CPU scenes are drawn by worker processes (`data.workers`) beside the network, on a GPU in turn
with it on the same device.  The medians of some batches are printed, first ones left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
from pathlib import Path
import statistics
import tempfile
import time

import torch

from v2v_pose_ros.runtimes import choose_device
from v2v_pose_ros.training.config import ConfigError, load_config
from v2v_pose_ros.training.data import make_source
from v2v_pose_ros.training.losses import pose_loss
from v2v_pose_ros.training.trainer import Trainer

WARM_UP = 3  # batches


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path)
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threads', type=int, help='of the network on a CPU')
    parser.add_argument('--batches', type=int, default=12)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        config = load_config(options.config)
    except ConfigError as error:
        parser.error(str(error))
    device = choose_device(options.device)
    source = make_source(config, device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder), device)
    trainer.network.train()
    batch = source[0].to(device)

    def forward() -> None:
        output = trainer.forward(trainer.network, batch.grids)
        pose_loss(output, batch.joints, batch.references, trainer.codec, config.loss)

    numbers = iter(range(1, WARM_UP + options.batches + 1))
    threads = torch.get_num_threads()
    if device.type == 'cpu':
        torch.set_num_threads(1)  # as in a worker
    scenes = median(lambda: source[next(numbers)], options.batches, device)
    torch.set_num_threads(threads)
    ahead = median(forward, options.batches, device)
    step = median(lambda: trainer.train_step(batch), options.batches, device)
    whole = max(scenes, step) if device.type == 'cpu' else scenes + step
    report = {
        'experiment': config.name,
        'device': str(device),
        'threads': threads,
        'batch': config.batch,
        'scenes_ms': 1000 * scenes,
        'forward_ms': 1000 * ahead,
        'backward_ms': 1000 * (step - ahead),
        'scenes_per_second': config.batch / scenes,
        'steps_samples_per_second': config.batch / step,
        'samples_per_second': config.batch / whole,
    }
    report = {key: round(v, 1) if isinstance(v, float) else v for key, v in report.items()}
    print(json.dumps(report, indent=2) if options.json else table(report))


def median(work: Callable[[], object], count: int, device: torch.device) -> float:
    """Return the median seconds of a piece of work."""
    seconds = []
    for _ in range(WARM_UP + count):
        began = time.perf_counter()
        work()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM_UP:])


def table(report: dict[str, float]) -> str:
    """Return the figures as text."""
    return '\n'.join(f'{key:26}{value}' for key, value in report.items())


if __name__ == '__main__':
    main()
