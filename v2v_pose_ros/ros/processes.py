"""Child processes that end with their parent, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
import ctypes
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


class ChildDied(RuntimeError):
    """A child ended although it should run; the text holds its last lines."""


class Children:
    """Processes in sessions of their own, so that Ctrl-C reaches them through `stop` alone."""

    def __init__(self, logs: Path, patience: float = 4.0) -> None:
        """Remember where to write the output of the children, one file each.

        Args:
            logs: the directory.
            patience: seconds that a child has to end before it is asked less kindly.
        """
        self._logs, self._patience = logs, patience
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process whose output goes to `name`.log."""
        with open(self._log(name), 'wb') as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )

    def check(self) -> None:
        """Raise ChildDied if one has ended."""
        for name, process in self._running.items():
            status = process.poll()
            if status is not None:
                how = f'status {status}' if status >= 0 else signal.Signals(-status).name
                raise ChildDied(f'{name} ended with {how}:\n{self.last_lines(name)}')

    def alive(self, name: str) -> bool:
        """Tell whether a child still runs."""
        return self._running[name].poll() is None

    def pid(self, name: str) -> int:
        """Return the id of a child's process."""
        return self._running[name].pid

    def last_lines(self, name: str, count: int = 12) -> str:
        """Return the end of a child's output, indented."""
        lines = self._log(name).read_text(errors='replace').splitlines()[-count:]
        return '\n'.join(f'  {line}' for line in lines) or '  (no output)'

    def stop(self) -> None:
        """End all children and what they started: asked first, then forced."""
        for number in _REQUESTS:
            for process in self._running.values():
                # The leader may have ended and left others behind in its group.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, number)
            deadline = time.monotonic() + self._patience
            while time.monotonic() < deadline and any(map(_group_lives, self._running.values())):
                time.sleep(0.02)

    def _log(self, name: str) -> Path:
        return self._logs / f'{name}.log'


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # a leader that ended stays in its group until it is waited for
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a child calls so that it ends when its parent is killed; Linux alone can."""
    if not sys.platform.startswith('linux'):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def call() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return call
