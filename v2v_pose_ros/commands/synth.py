"""`v2v-pose synth`: labelled synthetic depth frames."""

from __future__ import annotations

import argparse
from pathlib import Path

from v2v_pose_ros.commands import CommandError

HELP = 'write labelled synthetic depth frames'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument('--subject', default='hand', choices=('hand', 'body'))
    parser.add_argument('--count', type=int, default=100, help='frames (default: 100)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('out', type=Path, metavar='OUT', help='a folder that is new or empty')


def run(options: argparse.Namespace) -> None:
    """Render and write the frames."""
    from v2v_pose_ros.synthesis.export import write_frames

    if options.count < 1:
        raise CommandError(f'--count is {options.count}; at least one frame is needed')
    write_frames(options.out, options.count, options.seed, options.subject)
    print(f'{options.count} frames in {options.out}')
