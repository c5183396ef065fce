"""Result files: joints of every frame in the formats of the field.

* pixel: one frame a line, u v d of every joint; pixels, and the dataset's unit for d.
* world: one frame a line, x y z of every joint in the dataset's world coordinates.
* A line of either may begin with the frame's name, as the HANDS 2017 challenge wants it.
* JSON as `v2v-pose predict --out` writes it: names of joints, metres in the optical frame.

Which of them a file is, its content says, but for pixel and world, which look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from v2v_pose_ros.datasets.tables import DatasetError, is_number, parse_table, read_lines
from v2v_pose_ros.evaluation.conventions import Format, Protocol
from v2v_pose_ros.skeletons import DATASET_SKELETONS, Skeleton


class ResultError(DatasetError):
    """A result file cannot be used."""


@dataclass(frozen=True)
class Results:
    """Joints [N, J, 3] in metres in the optical frame, and the frames' names where they have."""

    path: Path
    joints: NDArray[np.float64]
    names: tuple[str, ...] | None


def read_results(path: Path, protocol: Protocol, form: Format | None = None) -> Results:
    """Read a result file or a ground truth.

    Args:
        path: the file.
        protocol: of the dataset.
        form: 'pixel' or 'world'; the dataset's usual one by default.

    Raises:
        DatasetError: the file, the line and the reason.
    """
    lines = read_lines(path, 'a result file')
    if lines[0].lstrip()[:1] in ('{', '['):
        return _read_json(path, '\n'.join(lines), protocol.skeleton)
    _check_joint_set(path, lines[0], protocol)
    count, title = len(protocol.skeleton), protocol.convention.title
    what = f'{title} has {count} joints, three numbers each'
    table = parse_table(path, lines, 3 * count, what, names='optional')
    values = table.values.reshape(-1, count, 3)
    if (form or protocol.format) == 'pixel':
        joints = protocol.convention.from_pixels(values, protocol.camera)
    else:
        joints = protocol.convention.from_world(values)
    return Results(path, joints, table.names)


def _check_joint_set(path: Path, line: str, protocol: Protocol) -> None:
    """Refuse a file whose first line has the joints of another dataset."""
    tokens = line.replace(',', ' ').split()
    numbers = len(tokens) - (not is_number(tokens[0]))  # a name may come first
    count = len(protocol.skeleton)
    if numbers == 3 * count or numbers == 0 or numbers % 3:
        return
    title = protocol.convention.title
    known = [name for name, other in DATASET_SKELETONS.items() if 3 * len(other) == numbers]
    hint = f' (as {", ".join(known)} has)' if known else ''
    raise ResultError(
        f'{path}:1: the line has {numbers} numbers, {numbers // 3} joints{hint}; the joint set of '
        f'{title} has {count} joints, {3 * count} numbers'
    )


def align(results: Results, truth: Results) -> NDArray[np.float64]:
    """Return the joints of results in the frame order of the ground truth.

    Files that both name their frames are matched by name, all others line by line.

    Raises:
        ResultError: the files have different numbers of frames, or their names differ.
    """
    found, wanted = len(results.joints), len(truth.joints)
    if found != wanted:
        raise ResultError(
            f'{results.path} has {found:,} frames; the ground truth {truth.path} has {wanted:,}: '
            'there must be a line for every frame'
        )
    if results.names is None or truth.names is None:
        return results.joints
    names = [_base(name) for name in results.names]
    wanted_names = [_base(name) for name in truth.names]
    if names == wanted_names:
        return results.joints
    places = {name: index for index, name in enumerate(names)}
    if len(places) != len(names):
        twice = next(name for index, name in enumerate(names) if places[name] != index)
        raise ResultError(f'{results.path}: the frame {twice} is there more than once')
    for line, name in enumerate(wanted_names, start=1):
        if name not in places:
            raise ResultError(
                f'{results.path} has no frame {name}, which is line {line} of {truth.path}'
            )
    return results.joints[[places[name] for name in wanted_names]]


def _base(name: str) -> str:
    return name.replace('\\', '/').rsplit('/', 1)[-1]


def write_results(
    path: Path,
    joints: ArrayLike,
    protocol: Protocol,
    form: Format | None = None,
    names: tuple[str, ...] | None = None,
) -> None:
    """Write joints [N, J, 3] (metres, optical frame) in the pixel or world format.

    With names, each line begins with one and is separated by tabs: the submission format of the
    HANDS 2017 challenge.
    """
    if (form or protocol.format) == 'pixel':
        values = protocol.convention.to_pixels(joints, protocol.camera)
    else:
        values = protocol.convention.to_world(joints)
    digits = 3 if protocol.convention.unit < 1 else 6
    separator = ' ' if names is None else '\t'
    lines = [
        separator.join(f'{value:.{digits}f}' for value in frame)
        for frame in values.reshape(len(values), -1)
    ]
    if names is not None:
        lines = [f'{name}\t{line}' for name, line in zip(names, lines, strict=True)]
    path.write_text('\n'.join(lines) + '\n')


def write_json(
    path: Path, joints: ArrayLike, skeleton: Skeleton, names: tuple[str, ...] | None = None
) -> None:
    """Write joints [N, J, 3] (metres, optical frame) as `v2v-pose predict --out` does."""
    positions = np.asarray(joints, np.float64)
    frames = [
        {
            'file': names[index] if names else str(index),
            'found': True,
            'joints': [
                {'name': name, 'position_m': [round(float(v), 6) for v in position]}
                for name, position in zip(skeleton.names, frame, strict=True)
            ],
        }
        for index, frame in enumerate(positions)
    ]
    path.write_text(json.dumps({'frames': frames}, indent=1) + '\n')


def _read_json(path: Path, text: str, skeleton: Skeleton) -> Results:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(f'{path}:{error.lineno}: this is no JSON: {error.msg}') from error
    frames = document.get('frames') if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise ResultError(
            f"{path} has no frames; {{'frames': [{{'file', 'joints': [{{'name', 'position_m'}}]}}"
            ']} is expected, as v2v-pose predict --out writes it'
        )
    joints = np.stack(
        [_json_frame(path, number, frame, skeleton) for number, frame in enumerate(frames)]
    )
    files = [frame.get('file') for frame in frames]
    named = all(isinstance(file, str) for file in files)
    return Results(path, joints, tuple(map(str, files)) if named else None)


def _json_frame(path: Path, number: int, frame: Any, skeleton: Skeleton) -> NDArray[np.float64]:
    where = f'{path}: frame {number}'
    if not isinstance(frame, dict) or not isinstance(frame.get('joints'), list):
        raise ResultError(f'{where} has no list of joints')
    if not frame['joints']:
        raise ResultError(f'{where} has no joints; every frame needs a pose to be evaluated')
    try:
        positions = {joint['name']: joint['position_m'] for joint in frame['joints']}
    except (KeyError, TypeError) as error:
        raise ResultError(f"{where} has joints without 'name' and 'position_m'") from error
    if set(positions) != set(skeleton.names) or len(frame['joints']) != len(skeleton):
        unknown = sorted(set(map(str, positions)) - set(skeleton.names))
        missing = [name for name in skeleton.names if name not in positions]
        raise ResultError(
            f'{where} has another joint set than {skeleton.name}: '
            f'unknown are {", ".join(unknown) or "none"}, missing {", ".join(missing) or "none"}, '
            f'{len(frame["joints"])} joints where {len(skeleton)} are expected'
        )
    try:
        values = np.array([positions[name] for name in skeleton.names], np.float64)
    except (TypeError, ValueError) as error:
        raise ResultError(f'{where} has positions that are not three numbers') from error
    if values.shape != (len(skeleton), 3):
        raise ResultError(f'{where} has positions that are not three numbers')
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        name = skeleton.names[int(np.argmin(finite))]
        raise ResultError(f'{where}: the position of {name} is not finite')
    return values
