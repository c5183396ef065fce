"""MSRA: 21 joints, 320 x 240, nine subjects with 17 gestures each, one subject left out.

P{0..8}/{1..9,I,IP,L,MP,RP,T,TIP,Y}/joint.txt  000000_depth.bin  000001_depth.bin ...
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.datasets.base import FileDataset, Form, Labels, Split
from v2v_pose_ros.datasets.depth_files import read_msra_bin
from v2v_pose_ros.datasets.tables import DatasetError, parse_table, read_lines

GESTURES = (*'123456789', 'I', 'IP', 'L', 'MP', 'RP', 'T', 'TIP', 'Y')
"""The folders of a subject in the authors' order."""

SUBJECT_COUNTS = (
    (8499,),
    (8499, 8492),
    (8406, 8412),
    (8498, 8488),
    (8500,),
    (8497,),
    (8498, 8497),
    (8498,),
    (8496, 8492),
)
"""Frames of each subject in the version of the paper (76,391) and in the older one (76,375)."""

_LINE = "a line of joint.txt is 'x y z ...' with 21 joints in millimetres"


class Msra(FileDataset):
    """The MSRA hand gesture dataset (Sun et al., CVPR 2015)."""

    name = 'msra'

    def __init__(
        self,
        root: Path,
        split: Split,
        test_subject: int = 3,
        centres: Path | None = None,
        form: Form = 'auto',
        check_counts: bool = True,
    ) -> None:
        """Read the labels of a split; see FileDataset.

        Args:
            root: the folder with P0/ ... P8/.
            split: 'test' is the one subject that is left out, 'train' the eight others.
            test_subject: the subject that is left out, 0 to 8.
            centres: a centre file of the same left-out subject.
            form: ignored; the original files are .bin files.
            check_counts: refuse subjects with another number of frames than published.
        """
        subjects = range(len(SUBJECT_COUNTS))
        if test_subject not in subjects:
            raise DatasetError(f'test_subject is {test_subject}; 0 to {subjects[-1]} is meant')
        self.test_subject = test_subject
        super().__init__(root, split, centres, form, check_counts)

    def read_labels(self) -> Labels:
        """Read the joints of every gesture of the split's subjects."""
        names: list[str] = []
        blocks = []
        for subject, counts in enumerate(SUBJECT_COUNTS):
            if (subject == self.test_subject) != (self.split == 'test'):
                continue
            before = len(names)
            for gesture in GESTURES:
                joints = self._read_joints(self.root / f'P{subject}' / gesture / 'joint.txt')
                blocks.append(joints)
                names += [f'P{subject}/{gesture}/{k:06d}_depth.bin' for k in range(len(joints))]
            self.check_count(self.root / f'P{subject}', len(names) - before, *counts)
        return Labels(names, np.concatenate(blocks))

    def _read_joints(self, path: Path) -> NDArray[np.float64]:
        """Return the joints [N, 21, 3] of a gesture, metres in the optical frame.

        The file's x and y are the world's (y up), its z points at the camera.
        """
        lines = read_lines(path, 'the joints of a gesture')
        first = lines[0].strip()
        if not first.isdecimal():
            raise DatasetError(f'{path}:1: {first!r} is not the number of frames of the gesture')
        if int(first) != len(lines) - 1:
            raise DatasetError(
                f'{path}: the first line promises {int(first):,} frames; {len(lines) - 1:,} follow'
            )
        joints = len(self.convention.skeleton)
        values = parse_table(path, lines[1:], 3 * joints, _LINE, first=2).values
        return self.convention.from_world(values.reshape(-1, joints, 3) * (1, 1, -1))

    def read_original(self, path: Path) -> FloatArray:
        """Read a crop and put it where its header says."""
        return read_msra_bin(path, self.camera.width, self.camera.height)

    read_bin = read_original
