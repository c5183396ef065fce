"""`v2v-pose export`: a network for another runtime, checked against torch."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'write a network for another runtime'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument('model', metavar='MODEL', help='a shipped model or a .safetensors file')
    parser.add_argument('--format', required=True, choices=('onnx', 'openvino', 'tensorrt'))
    parser.add_argument(
        'out', type=Path, metavar='OUT', help='a .onnx, .xml or .engine file; its card goes beside'
    )


def run(options: argparse.Namespace) -> None:
    """Write the network, and print how far it is from torch."""
    from v2v_pose_ros.exporting.export import export_model
    from v2v_pose_ros.models import load_model

    check = export_model(load_model(options.model), options.format, options.out)['check']
    print(
        f'{options.out}: the heatmaps differ from torch by {check["heatmap_difference"]:.1e}, the '
        f'joints by {check["joint_difference_mm"]:.5f} mm; {options.out.name}.json says how to '
        'use it'
    )
