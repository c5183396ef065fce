"""`v2v-pose train`: a network from one YAML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from v2v_pose_ros.commands import CommandError

HELP = 'train a network from one YAML file'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument('config', type=Path, metavar='CONFIG.yaml')
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='checkpoints, log and model (default: runs/NAME)'
    )
    parser.add_argument('--device', default='auto')
    parser.add_argument(
        '--minutes',
        type=float,
        metavar='M',
        help='stop after M minutes; the same command continues',
    )


def run(options: argparse.Namespace) -> None:
    """Train, from the last checkpoint where there is one."""
    try:
        from v2v_pose_ros.training.config import load_config
        from v2v_pose_ros.training.trainer import train
    except ImportError as error:  # Ubuntu 24.04 has a pydantic of version 1
        raise CommandError(
            f'training needs {error.name}, or a newer one than is installed: '
            "pip install 'v2v_pose_ros[train]' 'pydantic>=2'"
        ) from error

    config = load_config(options.config)
    folder = options.out or Path('runs') / config.name
    finished = train(config, folder, options.device, options.minutes)
    print(f'{"finished" if finished else "stopped; the same command continues"}: {folder}')
