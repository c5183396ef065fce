"""The command line: `v2v-pose`.

Human output by default, `--json` (one document on standard output) where a figure is asked for.
Exit codes: 0 done, 1 failed, 2 wrong use.  The commands are in `v2v_pose_ros.commands`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from v2v_pose_ros import __version__
from v2v_pose_ros.commands import (
    bench,
    Command,
    CommandError,
    evaluate,
    export,
    import_weights,
    models,
    predict,
    record,
    synth,
    train,
)

PROGRAM = 'v2v-pose'
COMMANDS: dict[str, Command] = {
    'models': models,
    'predict': predict,
    'record': record,
    'bench': bench,
    'synth': synth,
    'evaluate': evaluate,
    'train': train,
    'import-weights': import_weights,
    'export': export,
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description='3D joint poses from depth images.')
    parser.add_argument('--version', action='version', version=f'{PROGRAM} {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.HELP))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = make_parser().parse_args(arguments)
    try:
        COMMANDS[options.command].run(options)
    except (CommandError, ValueError, OSError) as error:
        # Every error of this package that a user can cause is a ValueError with a full sentence.
        print(f'{PROGRAM} {options.command}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'\n{PROGRAM} {options.command}: interrupted', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
