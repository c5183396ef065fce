"""Write the pages of the reference that the code itself knows best.

`make reference` runs this in the ROS environment; a test compares the pages with what it would
write.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import Field, fields
from pathlib import Path
import re
import sys
from typing import Any

from launch_files import launch_arguments, LaunchArgument

from v2v_pose_ros.cli import COMMANDS, make_parser, PROGRAM
from v2v_pose_ros.ros.declarations import Parameters
from v2v_pose_ros.ros.parameters import NodeParameters
from v2v_pose_ros.ros.synthetic_camera import CameraParameters
from v2v_pose_ros.ros.teleop.parameters import TeleopParameters
from v2v_pose_ros.ros.viewer_node import ViewerParameters

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / 'docs' / 'reference'
NOTE = '<!-- Written by tools/write_reference.py from the code; `make reference` renews it. -->\n'

NODES: tuple[tuple[str, str, type[Parameters]], ...] = (
    ('pose_node', '`/v2v_pose`: depth images in, skeletons out.', NodeParameters),
    ('teleop_node', '`/v2v_teleop`: skeletons in, commands for a robot out.', TeleopParameters),
    ('viewer_node', '`/v2v_pose_viewer`: a live 3D view.', ViewerParameters),
    ('synthetic_camera', '`/synthetic_camera`: stands in for a camera.', CameraParameters),
)


def pages() -> dict[Path, str]:
    """Return every page that is written, file to text."""
    writers: dict[str, Callable[[], str]] = {
        'parameters.md': parameters_page,
        'launch.md': launch_page,
        'commands.md': commands_page,
    }
    return {REFERENCE / name: NOTE + write() for name, write in writers.items()}


def parameters_page() -> str:
    """Return the page on the parameters of all nodes."""
    lines = [
        '# Parameters',
        '',
        'Those of each node. Live ones can be set while the node runs, the others are fixed at',
        'its start. `ros2 param describe` shows the same descriptions; `config/hand.yaml`,',
        '`config/body.yaml` and `config/teleop.yaml` have them as files to copy.',
    ]
    for executable, summary, kind in NODES:
        lines += ['', f'## {executable}', '', summary, '']
        rows = [_parameter_row(entry) for entry in fields(kind)]
        lines += _table(('parameter', 'type', 'default', 'values', 'live', 'meaning'), rows)
    return '\n'.join(lines) + '\n'


def _parameter_row(entry: Field[Any]) -> tuple[str, ...]:
    metadata, kind = entry.metadata, type(entry.default)
    if metadata['choices']:
        values = ', '.join(f'`{choice}`' for choice in metadata['choices'])
    elif metadata['span']:
        values = ' to '.join(f'{end:.10g}' for end in metadata['span'])
    else:
        values = ''
    default = str(entry.default).lower() if kind is bool else repr(entry.default)
    names = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}
    live = 'yes' if metadata['live'] else ''
    text = metadata['description']
    return f'`{entry.name}`', names[kind], f'`{default}`', values, live, text


def launch_page() -> str:
    """Return the page on the arguments of all launch files."""
    lines = [
        '# Launch files',
        '',
        'Their arguments; `ros2 launch v2v_pose_ros hand.launch.py --show-args` prints them, too.',
        'Relative paths are in the share folder of the package.',
    ]
    for file in sorted((ROOT / 'launch').glob('*.launch.py')):
        summary = re.search(r'"""(.+)', file.read_text())
        assert summary is not None, f'{file} has no docstring'
        lines += ['', f'## {file.name}', '', summary[1], '']
        rows = [_launch_row(argument) for argument in launch_arguments(file)]
        lines += _table(('argument', 'default', 'values', 'meaning'), rows)
    return '\n'.join(lines) + '\n'


def _launch_row(argument: LaunchArgument) -> tuple[str, ...]:
    values = ', '.join(f'`{choice}`' for choice in argument.choices if choice)
    default = f'`{argument.default}`' if argument.default else ''
    return f'`{argument.name}`', default, values, argument.description


def commands_page() -> str:
    """Return the page on the command line."""
    lines = [
        f'# {PROGRAM}',
        '',
        'The command line. `--help` behind a command prints the same. The exit code is 0 when the',
        'work is done, 1 when it failed, and 2 for wrong use; what failed is said on the standard',
        'error stream.',
    ]
    subparsers = next(
        action for action in make_parser()._actions if isinstance(action.choices, dict)
    )
    for name, parser in subparsers.choices.items():
        lines += ['', f'## {PROGRAM} {name}', '', f'{_sentence(COMMANDS[name].HELP)}', '']
        lines += ['```text', _usage(name, parser), '```', '']
        lines += _table(('argument', 'default', 'meaning'), _option_rows(parser))
    return '\n'.join(lines) + '\n'


def _sentence(text: str) -> str:
    return f'{text[0].upper()}{text[1:]}.'


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    """Return what has to be given; argparse's own usage differs between versions of Python."""
    words = [PROGRAM, name]
    for action in parser._actions:
        if action.required and action.option_strings:
            words.append(_spelling(action))
    words.append('[OPTIONS]')
    words += [_value(action) for action in parser._actions if not action.option_strings]
    return ' '.join(words)


def _option_rows(parser: argparse.ArgumentParser) -> list[tuple[str, ...]]:
    rows = []
    for action in parser._actions:
        if action.dest == 'help':
            continue
        # Help texts may hold %(default)s and the like, which argparse fills in.
        text = (action.help or '') % {**vars(action), 'prog': PROGRAM}
        if action.choices:
            text = '; '.join(part for part in (text, ', '.join(map(str, action.choices))) if part)
        text += ' (required)' if action.required and action.option_strings else ''
        # None, False and '' say that an option is off.
        takes_value = action.nargs != 0
        default = f'`{action.default}`' if takes_value and action.default else ''
        rows.append((f'`{_spelling(action)}`', default, text))
    return rows


def _spelling(action: argparse.Action) -> str:
    if not action.option_strings:
        return _value(action)
    name = action.option_strings[-1]
    return name if action.nargs == 0 else f'{name} {_value(action)}'


def _value(action: argparse.Action) -> str:
    metavar = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    if isinstance(metavar, tuple):
        return ' '.join(metavar)
    return f'{metavar} ...' if action.nargs == '+' else metavar


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ['---'] * len(head), *rows]
    return ['| ' + ' | '.join(cell.replace('|', '\\|') for cell in line) + ' |' for line in lines]


def main() -> int:
    """Write the pages, or say which are out of date."""
    parser = argparse.ArgumentParser(description='Write the generated pages of the reference.')
    parser.add_argument('--check', action='store_true', help='only tell which are out of date')
    options = parser.parse_args()
    stale = [file for file, text in pages().items() if _read(file) != text]
    if options.check:
        for file in stale:
            print(f'{file.relative_to(ROOT)} is out of date: run `make reference`')
        return 1 if stale else 0
    for file in stale:
        file.write_text(pages()[file])
        print(f'wrote {file.relative_to(ROOT)}')
    return 0


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ''


if __name__ == '__main__':
    sys.exit(main())
