"""Joints per frame in files: CSV and Parquet for statistics, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import csv
import json
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from v2v_pose_ros.recordings.sequence import GapReport
from v2v_pose_ros.subjects import Subject

COLUMNS = (
    'frame',
    'file',
    'stamp',
    'subject',
    'joint',
    'x',
    'y',
    'z',
    'confidence',
    'sd_x',
    'sd_y',
    'sd_z',
)
"""One row for each frame, subject and joint; metres in the optical frame, seconds."""

GAP_COLUMNS = ('file', 'first', 'frames', 'seconds')
"""One row for each gap: its first frame, its frames, and the seconds from before to after it."""

_GROUP = 50_000  # rows that Parquet keeps together


class TableError(ValueError):
    """A table cannot be written; the text says why and what to do."""


class Table(Protocol):
    """Takes frames one after another."""

    def add(
        self, number: int, file: str, stamp: float | None, subjects: Sequence[Subject]
    ) -> None:
        """Add a frame, which may show nobody."""

    def close(self, reports: Mapping[str, GapReport]) -> None:
        """Write what is left, and how completely the subject was seen, for each sequence."""


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a table by its suffix: .csv, .json or .parquet; it appears when it is complete.

    Raises:
        TableError: another suffix, or pyarrow is missing for Parquet.
    """
    make = _MAKERS.get(path.suffix)
    if make is None:
        raise TableError(
            f'{path} ends in {path.suffix!r}; joints are written as {", ".join(_MAKERS)}'
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path, gaps_file(path)] if path.suffix == '.csv' else [path]
    parts = [each.with_name(each.name + '.part') for each in files]
    try:
        with contextlib.ExitStack() as stack:
            yield make(parts, stack)
        for part, file in zip(parts, files, strict=True):
            part.replace(file)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def gaps_file(path: Path) -> Path:
    """Return where the gaps of a CSV table are: joints.gaps.csv beside joints.csv."""
    return path.with_name(f'{path.stem}.gaps{path.suffix}')


def rows(
    number: int, file: str, stamp: float | None, subjects: Sequence[Subject]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a frame; see `COLUMNS`."""
    for subject in subjects:
        estimate = subject.estimate
        deviations = np.sqrt(np.diagonal(estimate.covariances, axis1=1, axis2=2).clip(0))
        for joint, place, confidence, deviation in zip(
            estimate.skeleton.names,
            estimate.positions,
            estimate.confidences,
            deviations,
            strict=True,
        ):
            yield (
                number,
                file,
                stamp,
                subject.identity,
                joint,
                *(round(float(value), 6) for value in place),
                round(float(confidence), 4),
                *(round(float(value), 6) for value in deviation),
            )


class JsonTable:
    """A document {"frames": [...], "reports": [...]}, written frame by frame."""

    def __init__(self, file: TextIO) -> None:
        """Begin the document."""
        self._file, self._first = file, True
        file.write('{"frames": [')

    def add(
        self, number: int, file: str, stamp: float | None, subjects: Sequence[Subject]
    ) -> None:
        """Add a frame."""
        document: dict[str, Any] = {
            'file': file,
            'found': bool(subjects),
            'joints': _joints(subjects[0]) if subjects else [],
        }
        if stamp is not None:
            document['stamp'] = stamp
        if len(subjects) > 1:
            document['subjects'] = [
                {'subject': subject.identity, 'joints': _joints(subject)} for subject in subjects
            ]
        self._file.write(('' if self._first else ',') + '\n ' + json.dumps(document))
        self._first = False

    def close(self, reports: Mapping[str, GapReport]) -> None:
        """End the document."""
        self._file.write(f'\n], "reports": {_reports(reports)}}}\n')


class CsvTable:
    """Comma-separated values, as RFC 4180 and every statistics program have them.

    The gaps have a file of their own beside it, `gaps_file`.
    """

    def __init__(self, file: TextIO, gaps: TextIO) -> None:
        """Write the names of the columns."""
        self._writer, self._gaps = csv.writer(file), csv.writer(gaps)
        self._writer.writerow(COLUMNS)
        self._gaps.writerow(GAP_COLUMNS)

    def add(
        self, number: int, file: str, stamp: float | None, subjects: Sequence[Subject]
    ) -> None:
        """Add a frame."""
        self._writer.writerows(rows(number, file, stamp, subjects))

    def close(self, reports: Mapping[str, GapReport]) -> None:
        """Write the gaps."""
        for source, report in reports.items():
            for gap in report.gaps:
                self._gaps.writerow((source, gap.first, gap.frames, round(gap.seconds, 6)))


class ParquetTable:
    """Parquet, with the reports as JSON under the key v2v_pose_reports of the file's metadata."""

    def __init__(self, path: Path) -> None:
        """Open the file."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise TableError(
                f'Parquet needs pyarrow, which cannot be imported ({error}): '
                "pip install 'v2v_pose_ros[tables]', or write .csv"
            ) from error
        self._arrow = pyarrow
        kinds = {'frame': pyarrow.int64(), **dict.fromkeys(COLUMNS[5:], pyarrow.float32())}
        kinds |= {name: pyarrow.string() for name in ('file', 'subject', 'joint')}
        kinds['stamp'] = pyarrow.float64()
        self._schema = pyarrow.schema([(name, kinds[name]) for name in COLUMNS])
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema)
        self._rows: list[tuple[Any, ...]] = []

    def add(
        self, number: int, file: str, stamp: float | None, subjects: Sequence[Subject]
    ) -> None:
        """Add a frame."""
        self._rows += rows(number, file, stamp, subjects)
        if len(self._rows) >= _GROUP:
            self._write()

    def close(self, reports: Mapping[str, GapReport]) -> None:
        """Write the rows that are left and the reports."""
        self._write()
        self._writer.add_key_value_metadata({'v2v_pose_reports': _reports(reports)})

    def end(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [()] * len(COLUMNS)
        arrays = [
            self._arrow.array(column, field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []


def _reports(reports: Mapping[str, GapReport]) -> str:
    return json.dumps([{'source': name, **each.document()} for name, each in reports.items()])


def _joints(subject: Subject) -> list[dict[str, Any]]:
    estimate = subject.estimate
    return [
        {
            'name': name,
            'position_m': [round(float(value), 5) for value in position],
            'confidence': round(float(confidence), 4),
        }
        for name, position, confidence in zip(
            estimate.skeleton.names, estimate.positions, estimate.confidences, strict=True
        )
    ]


def _make_json(parts: Sequence[Path], stack: contextlib.ExitStack) -> Table:
    return JsonTable(stack.enter_context(parts[0].open('w')))


def _make_csv(parts: Sequence[Path], stack: contextlib.ExitStack) -> Table:
    file, gaps = (stack.enter_context(part.open('w', newline='')) for part in parts)
    return CsvTable(file, gaps)


def _make_parquet(parts: Sequence[Path], stack: contextlib.ExitStack) -> Table:
    table = ParquetTable(parts[0])
    stack.callback(table.end)
    return table


_MAKERS: dict[str, Callable[[Sequence[Path], contextlib.ExitStack], Table]] = {
    '.csv': _make_csv,
    '.json': _make_json,
    '.parquet': _make_parquet,
}
