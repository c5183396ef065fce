"""`v2v-pose models`: the model files there are."""

from __future__ import annotations

import argparse
import json
from typing import Any

from v2v_pose_ros.commands import CommandError

HELP = 'list the model files there are'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument('--json', action='store_true')


def run(options: argparse.Namespace) -> None:
    """Print what every model file says of itself."""
    rows = _rows()
    if options.json:
        print(json.dumps({'models': rows}, indent=2))
        return
    if not rows:
        raise CommandError('no model files were found; the package was installed without models/')
    for row in rows:
        grid = f', grid {row["grid"]}' if row['grid'] else ''
        print(
            f'{row["name"]}: {row["kind"]}, {row["skeleton"]}, cube {row["cube_size_m"]} m{grid}, '
            f'{row["bytes"] / 1e6:.1f} MB, sha256 {row["sha256"][:12]}'
        )
        for section in ('training', 'errors'):
            for key, value in row[section].items():
                print(f'    {key}: {value}')


def _rows() -> list[dict[str, Any]]:
    from v2v_pose_ros.models import available_models, read_info

    rows = []
    for name, path in available_models().items():
        info, digest = read_info(path)
        rows.append(
            {
                'name': name,
                'kind': info.kind,
                'skeleton': info.skeleton,
                'cube_size_m': info.codec.get('cube_size'),
                'grid': info.codec.get('input_size'),
                'training': info.training,
                'errors': info.errors,
                'sha256': digest,
                'file': str(path),
                'bytes': path.stat().st_size,
            }
        )
    return rows
