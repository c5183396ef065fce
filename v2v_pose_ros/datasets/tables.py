"""Text files with one frame a line: numbers, after a name where the format has one."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

Names = Literal['none', 'required', 'optional']


class DatasetError(ValueError):
    """A file of a dataset or of results cannot be used."""


@dataclass(frozen=True)
class Table:
    """The numbers [N, columns] of a file and, where its lines begin with names, those."""

    values: NDArray[np.float64]
    names: tuple[str, ...] | None


def read_lines(path: Path, what: str) -> list[str]:
    """Return a text file's lines without the empty ones at its end.

    Raises:
        DatasetError: there is no such file, it cannot be read, or it is empty.
    """
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except FileNotFoundError:
        raise DatasetError(f'there is no file {path}; {what} is expected there') from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f'{path} cannot be read as text: {error}; {what} is expected'
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DatasetError(f'{path} is empty; {what} is expected')
    return lines


def read_table(
    path: Path, columns: int, what: str, *, names: Names = 'none', skip: int = 0
) -> Table:
    """Read numbers separated by blanks, tabs or commas.

    Args:
        path: the file.
        columns: how many numbers a line has.
        what: what the file holds, for messages.
        names: whether lines begin with a name; 'optional' looks at the first line.
        skip: leading lines that are something else.

    Raises:
        DatasetError: the file, the line and the reason: not enough or too many numbers, no
            number, NaN or an infinity, an empty line, a missing name, no file, no lines.
    """
    lines = read_lines(path, what)
    return parse_table(path, lines[skip:], columns, what, names=names, first=skip + 1)


def parse_table(
    path: Path,
    lines: list[str],
    columns: int,
    what: str,
    *,
    names: Names = 'none',
    first: int = 1,
) -> Table:
    """Read the lines of a file, the first of which has the number `first`; see read_table."""
    tokens = _split(lines[0]) if lines else []
    named = names == 'required' or (
        names == 'optional' and bool(tokens) and not is_number(tokens[0])
    )
    numbers, found = array('d'), []
    for number, line in enumerate(lines, start=first):
        tokens = _split(line)
        if named and tokens:
            found.append(tokens.pop(0))
        if len(tokens) != columns:
            raise DatasetError(f'{path}:{number}: {_count(tokens, columns, named)}; {what}')
        try:
            numbers.extend(map(float, tokens))
        except ValueError:
            _refuse(path, number, tokens)
    values = np.frombuffer(numbers, np.float64).reshape(-1, columns)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        tokens = _split(lines[row])
        _refuse(path, first + row, tokens[1:] if named else tokens)
    return Table(values, tuple(found) if named else None)


def _split(line: str) -> list[str]:
    return line.replace(',', ' ').split()


def is_number(token: str) -> bool:
    """Tell whether a word is a number, NaN and infinities included."""
    try:
        float(token)
    except ValueError:
        return False
    return True


def _count(tokens: list[str], columns: int, named: bool) -> str:
    if not tokens and not named:
        return f'the line is empty where {columns} numbers are expected'
    after = ' after the name' if named else ''
    return f'the line has {len(tokens)} numbers{after} where {columns} are expected'


def _refuse(path: Path, line: int, tokens: list[str]) -> NoReturn:
    for place, token in enumerate(tokens, start=1):
        if not is_number(token):
            raise DatasetError(f'{path}:{line}: {token!r}, value {place}, is not a number')
        if not math.isfinite(float(token)):
            raise DatasetError(
                f'{path}:{line}: number {place} is {token}; every coordinate must be finite'
            )
    raise DatasetError(f'{path}:{line}: the line cannot be read')
