"""Centre files: the reference point of every frame of a split, as the authors publish them.

One line a frame, in the order of the original split: x y z in the dataset's world coordinates
(millimetres; ITOP metres), or `invalid invalid invalid` for a frame that is left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from v2v_pose_ros.datasets.conventions import Convention
from v2v_pose_ros.datasets.tables import parse_table, read_lines

_WHAT = "a line of a centre file is 'x y z' or 'invalid invalid invalid'"


def read_centres(
    path: Path, convention: Convention
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a centre file.

    Returns:
        Reference points [N, 3] in metres in the optical frame, NaN where the frame is invalid,
        and which frames are valid [N].

    Raises:
        DatasetError: the file, the line and the reason.
    """
    lines = read_lines(path, 'a centre file')
    valid = np.array([line.split() != ['invalid'] * 3 for line in lines])
    filled = [line if good else '0 0 0' for line, good in zip(lines, valid, strict=True)]
    points = convention.from_world(parse_table(path, filled, 3, _WHAT).values)
    points[~valid] = np.nan
    return points.astype(np.float32), valid


def write_centres(
    path: Path, references: ArrayLike, valid: ArrayLike, convention: Convention
) -> None:
    """Write reference points [N, 3] (metres, optical frame) and which frames are valid [N]."""
    world = convention.to_world(references)
    digits = 3 if convention.unit < 1 else 6  # micrometres either way
    lines = [
        ' '.join(f'{value:.{digits}f}' for value in point) if good else 'invalid invalid invalid'
        for point, good in zip(world, np.asarray(valid, bool), strict=True)
    ]
    path.write_text('\n'.join(lines) + '\n')
