"""`v2v-pose import-weights`: a model file of weights trained elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from v2v_pose_ros.commands import CommandError

HELP = 'make a model file of weights trained elsewhere'
JOINT_ORDERS = ('hands2017', 'icvl', 'itop', 'msra', 'nyu')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        'file', type=Path, metavar='IN', help="the authors' Torch7 file or a PyTorch state dict"
    )
    parser.add_argument('out', type=Path, metavar='OUT', help='the .safetensors file to write')
    parser.add_argument(
        '--skeleton',
        required=True,
        metavar='S',
        help='hand, body, icvl or nyu: the joints it finds',
    )
    parser.add_argument(
        '--joint-order',
        choices=JOINT_ORDERS,
        help="the data set it was trained on; needed for a hand's 21 joints",
    )
    parser.add_argument('--name', help="the model's name (default: the stem of OUT)")
    parser.add_argument(
        '--cube-size',
        type=float,
        metavar='M',
        help="metres (default: the data set's in the paper)",
    )
    parser.add_argument('--source', default='auto', choices=('auto', 'torch7', 'pytorch'))
    parser.add_argument(
        '--y-axis',
        choices=('up', 'down'),
        help="where y points in the volumes of the training (default: the data set's)",
    )
    parser.add_argument(
        '--grid', type=int, default=88, metavar='G', help='voxels per edge (default: 88)'
    )


def run(options: argparse.Namespace) -> None:
    """Read the weights, check them and write the model file."""
    from v2v_pose_ros.importing.weights import import_weights, write_model

    if options.out.suffix != '.safetensors':
        raise CommandError(f'{options.out} is no name of a model file; end it in .safetensors')
    network, info = import_weights(
        options.file,
        options.skeleton,
        name=options.name or options.out.stem,
        source=options.source,
        joint_order=options.joint_order,
        cube_size=options.cube_size,
        y_axis=options.y_axis,
        input_size=options.grid,
    )
    write_model(options.out, network, info)
    print(
        f'{options.out}: {info.skeleton}, {network.config.joints} joints, cube '
        f'{info.codec["cube_size"]} m, convention {info.codec["convention"]}, '
        f'{info.training["volumes"]}'
    )
