"""How far recordings are, in a terminal and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from v2v_pose_ros.recordings.jobs import Progress

_LINE = 5.0  # seconds between lines where there is no terminal


class Display:
    """A bar for every recording under way; a line now and then where there is no terminal."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        """Prepare to show recordings of these names."""
        self._console, self._names = console, names
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._bars = Bars(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._tasks = {
            number: self._bars.add_task(name, visible=False, total=None)
            for number, name in enumerate(names)
        }
        self._due = 0.0

    def __enter__(self) -> Display:
        """Show the bars."""
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove them."""
        if self._live:
            self._bars.stop()

    def update(self, number: int, progress: Progress) -> None:
        """Show how far a recording is."""
        text = f'{self._names[number]}: {progress.stage}'
        if self._live:
            finished = progress.stage == 'writing' and progress.done == progress.total
            self._bars.update(
                self._tasks[number],
                description=text,
                completed=progress.done,
                total=progress.total,
                visible=not finished,
            )
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE
            self._console.print(f'{text} {progress.done} of {progress.total}', soft_wrap=True)
