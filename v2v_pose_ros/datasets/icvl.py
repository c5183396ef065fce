"""ICVL: 16 joints, 320 x 240, labels in pixels and millimetres.

Training/labels.txt  Training/Depth/.../*.png
Testing/test_seq_1.txt  Testing/test_seq_2.txt  Testing/Depth/test_seq_{1,2}/*.png
"""

from __future__ import annotations

import numpy as np

from v2v_pose_ros.datasets.base import FileDataset, Labels
from v2v_pose_ros.datasets.tables import read_table

_LABELS = {
    'train': ('Training', (('labels.txt', 331_006),)),
    'test': ('Testing', (('test_seq_1.txt', 702), ('test_seq_2.txt', 894))),
}
_LINE = "a line of ICVL is 'relative/path.png u v d ...' with 16 joints"


class Icvl(FileDataset):
    """The ICVL hand posture dataset (Tang et al., CVPR 2014)."""

    name = 'icvl'

    def read_labels(self) -> Labels:
        """Read one label file of the training, or sequence 1 and then 2 of the test."""
        joints = len(self.convention.skeleton)
        folder, files = _LABELS[self.split]
        names: list[str] = []
        blocks = []
        for file, count in files:
            path = self.root / folder / file
            table = read_table(path, 3 * joints, _LINE, names='required')
            self.check_count(path, len(table.values), count)
            names += [f'{folder}/Depth/{name}' for name in table.names or ()]
            blocks.append(table.values.reshape(-1, joints, 3))
        return Labels(names, self.convention.from_pixels(np.concatenate(blocks)))
