"""HANDS 2017: 21 joints, 640 x 480, labels in world millimetres, none public for the test.

training/Training_Annotation.txt  training/images/*.png
frame/BoundingBox.txt             frame/images/*.png
"""

from __future__ import annotations

from pathlib import Path

from v2v_pose_ros.datasets.base import FileDataset, Labels
from v2v_pose_ros.datasets.tables import DatasetError, read_lines, read_table

_COUNTS = {'train': 957_032, 'test': 295_510}
_LINE = "a line of the annotation is 'image_name x y z ...' with 21 joints"


class Hands2017(FileDataset):
    """The frame-based task of the HANDS 2017 challenge (Yuan et al., CVPR 2018)."""

    name = 'hands2017'

    def read_labels(self) -> Labels:
        """Read the annotation of the training, or the names of the test, which has no joints."""
        path, labels = self._read_train() if self.split == 'train' else self._read_test()
        self.check_count(path, len(labels.names), _COUNTS[self.split])
        return labels

    def _read_train(self) -> tuple[Path, Labels]:
        path = self.root / 'training' / 'Training_Annotation.txt'
        count = len(self.convention.skeleton)
        table = read_table(path, 3 * count, _LINE, names='required')
        names = [f'training/images/{name}' for name in table.names or ()]
        joints = self.convention.from_world(table.values.reshape(-1, count, 3))
        return path, Labels(names, joints)

    def _read_test(self) -> tuple[Path, Labels]:
        path = self.root / 'frame' / 'BoundingBox.txt'
        lines = read_lines(path, 'a list of test images with their bounding boxes')
        names = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                raise DatasetError(
                    f'{path}:{number}: the line is empty; an image name is expected'
                )
            names.append(f'frame/images/{line.split()[0]}')
        return path, Labels(names, None)
