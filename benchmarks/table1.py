"""The paper's table 1 on synthetic hands: depth image or voxels in, coordinates or likelihood out.

    .venv/bin/python benchmarks/table1.py --samples 400000 --out runs/table1

Four networks are trained under one budget, from the same samples in the same order and with the
optimiser of one experiment's file, and measured on the same hands that none of them has seen.  The
paper's errors are those on NYU: what compares is the order of the networks, not the millimetres.

The same command goes on where it was stopped.  The folder has each network's checkpoint and log,
and table1.json.  A budget of minutes ends a training wherever it is, before its rate is cooled
down.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
import sys
from typing import Any

import torch

from v2v_pose_ros.runtimes import choose_device
from v2v_pose_ros.training.config import ConfigError, load_config, TrainConfig
from v2v_pose_ros.training.data import validation_batches
from v2v_pose_ros.training.trainer import Trainer

PAPER = {
    # Input, output, millions of parameters, mean error on NYU in millimetres.
    'depth_to_coordinates': ('2D depth', 'coordinates', 21.1, 18.85),
    'depth_to_voxel': ('2D depth', 'likelihood', 4.6, 13.01),
    'voxel_to_coordinates': ('3D voxels', 'coordinates', 457.5, 16.78),
    'v2v': ('3D voxels', 'likelihood', 3.4, 10.37),
}
EXPERIMENT = Path(__file__).parents[1] / 'config' / 'train' / 'hand_lite.yaml'


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('runs/table1'))
    parser.add_argument('--samples', type=int, default=400_000, help='budget of each network')
    parser.add_argument('--minutes', type=float, help='budget of each network, if less')
    parser.add_argument('--only', action='append', choices=PAPER, help='some of the networks')
    parser.add_argument('--config', type=Path, default=EXPERIMENT, help='data, loss, optimiser')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--size', type=int, default=48, help='voxels or pixels per edge')
    parser.add_argument('--channels', type=int, nargs=4, default=[16, 32, 64, 128])
    parser.add_argument('--hidden', type=int, default=1024)
    options = parser.parse_args()
    if options.minutes is not None and options.minutes <= 0:
        parser.error('--minutes must be positive')
    widths = {'size': options.size, 'channels': options.channels, 'hidden': options.hidden}
    path = options.out / 'table1.json'
    report: dict[str, Any] = {**widths, 'experiment': options.config.stem, 'networks': {}}
    if path.is_file():
        before = json.loads(path.read_text())
        report['networks'] = before['networks']
        if before != {**before, **report}:
            parser.error(f'{path} has results of other settings; choose another --out')
    try:
        base = load_config(options.config)
        experiments = {name: experiment(base, name, options) for name in options.only or PAPER}
    except (ConfigError, ValueError) as error:
        parser.error(str(error))
    device = choose_device(options.device)
    for name, config in experiments.items():
        print(f'{name}: {config.steps} steps of {config.batch}', flush=True)
        report['networks'][name] = measure(config, options.out / name, device, options.minutes)
        path.write_text(json.dumps(report, indent=2) + '\n')
    print(table(report['networks']))


def experiment(base: TrainConfig, architecture: str, options: argparse.Namespace) -> TrainConfig:
    """Return the experiment of one network: the base's but for network, grid and budget."""
    values = base.model_dump()
    steps = math.ceil(options.samples / base.batch)
    return TrainConfig(
        **{
            **values,
            'name': architecture,
            'network': {
                'architecture': architecture,
                'channels': options.channels,
                'hidden': options.hidden,
                'published_initialisation': base.network.published_initialisation,
            },
            'codec': {**values['codec'], 'input_size': options.size},
            'steps': steps,
            'checkpoint_every': min(math.ceil(steps / 10), base.checkpoint_every),
        }
    )


def measure(
    config: TrainConfig, folder: Path, device: torch.device, minutes: float | None
) -> dict[str, Any]:
    """Train a network, or go on with it, until its budget is spent; return its figures."""
    trainer = Trainer(config, folder, device)
    budget = math.inf if minutes is None else minutes
    # A run's minutes include its validations, the budget does not: what is left is run again.
    while trainer.step < config.steps and trainer.seconds / 60 < 0.95 * budget:
        trainer.run(None if minutes is None else minutes - trainer.seconds / 60)
        if trainer.terminated:
            sys.exit('table1: stopped; the same command goes on')
    errors = trainer.errors or trainer.validate(validation_batches(config, device))
    *_, millions, error = PAPER[config.network.architecture]
    return {
        'parameters': sum(weight.numel() for weight in trainer.network.parameters()),
        'samples': trainer.step * config.batch,
        'minutes': round(trainer.seconds / 60, 2),
        **{key: round(value, 4) for key, value in errors.items()},
        'paper': {'parameters_millions': millions, 'mean_mm': error},
    }


def table(networks: dict[str, Any]) -> str:
    """Return our figures beside the paper's as text."""
    lines = [
        f'{"input":10}{"output":13}{"parameters":>11}{"paper":>9}{"mean error":>14}{"paper":>10}'
    ]
    for name, (given, wanted, millions, error) in PAPER.items():
        if name in networks:
            row = networks[name]
            lines.append(
                f'{given:10}{wanted:13}{row["parameters"] / 1e6:9.1f} M{millions:7.1f} M'
                f'{row["mean_mm"]:11.2f} mm{error:7.2f} mm'
            )
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
