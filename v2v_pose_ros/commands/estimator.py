"""What makes an estimator, for the commands that need one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from v2v_pose_ros import defaults

if TYPE_CHECKING:  # it would import PyTorch
    from v2v_pose_ros.estimator import PoseEstimator
    from v2v_pose_ros.recordings.jobs import EstimatorSettings


def add_estimator_arguments(parser: argparse.ArgumentParser, *, model_required: bool) -> None:
    """Add what makes an estimator; where no model has to be named, there is a default one."""
    group = parser.add_argument_group('model')
    group.add_argument(
        '--model',
        action='append',
        required=model_required,
        metavar='NAME',
        help='a shipped model or a .safetensors file; give it several times for an ensemble',
    )
    group.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    group.add_argument('--runtime', default='auto', choices=defaults.RUNTIMES)
    group.add_argument('--handedness', default=defaults.HANDEDNESS, choices=defaults.HANDEDNESSES)
    ranges = ', '.join(f'{n} {f} for a {s}' for s, (n, f) in defaults.DEPTH_RANGES.items())
    group.add_argument(
        '--depth-range',
        nargs=2,
        type=float,
        metavar=('NEAR', 'FAR'),
        help=f'metres between which the subject is looked for (default: {ranges})',
    )
    group.add_argument(
        '--passes',
        type=int,
        default=defaults.PASSES,
        help='how often the cube is re-centred (default: %(default)s)',
    )
    group.add_argument(
        '--refinement',
        metavar='NAME',
        help='a network that refines the reference point, likewise; none by default',
    )
    group.add_argument(
        '--no-flip-test',
        dest='flip_test',
        action='store_false',
        default=defaults.FLIP_TEST,
        help='do not look at people in the mirror, too: half the time of the network',
    )


def settings_of(options: argparse.Namespace) -> EstimatorSettings:
    """Return the estimator that the arguments describe, to be loaded by whoever needs it."""
    from v2v_pose_ros.recordings.jobs import EstimatorSettings

    return EstimatorSettings(
        models=tuple(options.model or [defaults.MODEL]),
        device=options.device,
        runtime=options.runtime,
        depth_range=tuple(options.depth_range) if options.depth_range else None,
        handedness=options.handedness,
        passes=options.passes,
        refinement=options.refinement,
        flip_test=options.flip_test,
    )


def load_estimator(options: argparse.Namespace) -> PoseEstimator:
    """Return the estimator that the arguments describe."""
    return settings_of(options).load()
