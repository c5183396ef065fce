"""`v2v-pose bench`: the speed of every stage and of the whole, on this machine."""

from __future__ import annotations

import argparse
import json

from v2v_pose_ros.commands import CommandError
from v2v_pose_ros.commands.estimator import add_estimator_arguments, load_estimator

HELP = 'measure every stage on this machine'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    add_estimator_arguments(parser, model_required=False)
    parser.add_argument('--frames', type=int, default=60, help='frames counted (default: 60)')
    parser.add_argument('--json', action='store_true')


def run(options: argparse.Namespace) -> None:
    """Measure, and print the figures."""
    from v2v_pose_ros.benchmark import format_report, measure

    if options.frames < 1:
        raise CommandError(f'--frames is {options.frames}; at least one frame is needed')
    report = measure(lambda: load_estimator(options), options.frames)
    print(json.dumps(report, indent=2) if options.json else format_report(report))
