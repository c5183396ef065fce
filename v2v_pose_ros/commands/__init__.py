"""The commands of `v2v-pose`, one module each.

A command module has the constant `HELP`, one line; `add_arguments`, which describes its arguments
to a parser; and `run`, which does the work and raises ValueError, OSError or CommandError, with a
full sentence, where it cannot.  What takes long to import is imported in `run`, so that
`v2v-pose --help` answers at once.
"""

from __future__ import annotations

import argparse
from typing import Protocol


class CommandError(Exception):
    """A command failed for a reason that its user can understand."""


class Command(Protocol):
    """What a command module has."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe the command's arguments."""

    def run(self, options: argparse.Namespace) -> None:
        """Do the work."""
