"""`v2v-pose evaluate`: result files, scored by the field's metrics."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "score result files by the field's metrics"
DATASETS = ('icvl', 'nyu', 'msra', 'hands2017', 'itop_front', 'itop_top')
FORMATS = ('pixel', 'world')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument('--dataset', required=True, choices=DATASETS)
    parser.add_argument('--ground-truth', required=True, type=Path, metavar='FILE')
    parser.add_argument(
        '--predictions',
        required=True,
        nargs='+',
        type=Path,
        metavar='FILE',
        help='a result file for each method, a frame a line, or JSON as predict writes it',
    )
    parser.add_argument(
        '--names', nargs='+', metavar='NAME', help='of the methods (default: their files)'
    )
    parser.add_argument(
        '--format',
        choices=FORMATS,
        help='u v d or x y z (default: what the dataset is published in)',
    )
    parser.add_argument('--ground-truth-format', choices=FORMATS, help='where it is another one')
    parser.add_argument('--json', action='store_true', help='millimetres and fractions')
    parser.add_argument(
        '--plot', type=Path, metavar='FILE', help='curves and bars as .pdf, .svg or .png'
    )
    parser.add_argument(
        '--draw', type=Path, metavar='DIR', help='write pictures of skeletons, frame by frame'
    )
    parser.add_argument(
        '--draw-count', type=int, default=8, metavar='N', help='how many (default: 8)'
    )
    parser.add_argument(
        '--data', type=Path, metavar='DIR', help="the dataset's folder, to draw on depth images"
    )


def run(options: argparse.Namespace) -> None:
    """Score, draw what was asked for, and print the figures."""
    from v2v_pose_ros.evaluation.evaluate import evaluate
    from v2v_pose_ros.evaluation.report import format_report, to_json

    result = evaluate(
        options.dataset,
        options.ground_truth,
        options.predictions,
        options.names,
        options.format,
        options.ground_truth_format,
    )
    if options.plot:
        from v2v_pose_ros.evaluation.plots import plot

        plot(result, options.plot)
    if options.draw:
        from v2v_pose_ros.evaluation.drawings import draw_frames

        draw_frames(result, options.draw, options.draw_count, options.data)
    print(json.dumps(to_json(result), indent=1) if options.json else format_report(result))
