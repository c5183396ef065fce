"""ICVL: 16 joints, 320 x 240, labels in pixels and millimetres.

Training/labels.txt  Training/Depth/.../*.png
Testing/test_seq_1.txt  Testing/test_seq_2.txt  Testing/Depth/test_seq_{1,2}/*.png
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from v2v_pose_ros.datasets.base import check_count, check_split, FileDataset, Form, Labels, Split
from v2v_pose_ros.datasets.conventions import CONVENTIONS
from v2v_pose_ros.datasets.tables import read_table

_LABELS = {
    'train': ('Training', (('labels.txt', 331_006),)),
    'test': ('Testing', (('test_seq_1.txt', 702), ('test_seq_2.txt', 894))),
}
_LINE = "a line of ICVL is 'relative/path.png u v d ...' with 16 joints"


class Icvl(FileDataset):
    """The ICVL hand posture dataset (Tang et al., CVPR 2014)."""

    def __init__(
        self,
        root: Path,
        split: Split,
        centres: Path | None = None,
        form: Form = 'auto',
        check_counts: bool = True,
    ) -> None:
        """Read the labels of a split; raise DatasetError where they are not as expected.

        Args:
            root: the folder with Training/ and Testing/.
            split: 'train' or 'test' (sequence 1, then sequence 2).
            centres: a centre file.
            form: see FileDataset.
            check_counts: refuse label files with another number of frames than published.
        """
        check_split(split)
        convention = CONVENTIONS['icvl']
        folder, files = _LABELS[split]
        names: list[str] = []
        blocks = []
        for file, count in files:
            path = root / folder / file
            table = read_table(path, 3 * len(convention.skeleton), _LINE, names='required')
            if check_counts:
                check_count(str(path), len(table.values), count)
            names += [f'{folder}/Depth/{name}' for name in table.names or ()]
            blocks.append(table.values.reshape(-1, len(convention.skeleton), 3))
        joints = convention.from_pixels(np.concatenate(blocks))
        super().__init__('icvl', root, split, Labels(names, joints), centres, form)
