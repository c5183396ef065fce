"""HANDS 2017: 21 joints, 640 x 480, labels in world millimetres, none public for the test.

training/Training_Annotation.txt  training/images/*.png
frame/BoundingBox.txt             frame/images/*.png
"""

from __future__ import annotations

from pathlib import Path

from v2v_pose_ros.datasets.base import check_count, check_split, FileDataset, Form, Labels, Split
from v2v_pose_ros.datasets.conventions import CONVENTIONS
from v2v_pose_ros.datasets.tables import DatasetError, read_lines, read_table

_COUNTS = {'train': 957_032, 'test': 295_510}
_LINE = "a line of the annotation is 'image_name x y z ...' with 21 joints"


class Hands2017(FileDataset):
    """The frame-based task of the HANDS 2017 challenge (Yuan et al., CVPR 2018)."""

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
            root: the folder with training/ and frame/.
            split: 'train', or 'test', whose frames have no joints.
            centres: a centre file.
            form: see FileDataset.
            check_counts: refuse label files with another number of frames than published.
        """
        check_split(split)
        path, labels = _read_train(root) if split == 'train' else _read_test(root)
        if check_counts:
            check_count(str(path), len(labels.names), _COUNTS[split])
        super().__init__('hands2017', root, split, labels, centres, form)


def _read_train(root: Path) -> tuple[Path, Labels]:
    path = root / 'training' / 'Training_Annotation.txt'
    convention = CONVENTIONS['hands2017']
    count = len(convention.skeleton)
    table = read_table(path, 3 * count, _LINE, names='required')
    names = [f'training/images/{name}' for name in table.names or ()]
    return path, Labels(names, convention.from_world(table.values.reshape(-1, count, 3)))


def _read_test(root: Path) -> tuple[Path, Labels]:
    path = root / 'frame' / 'BoundingBox.txt'
    lines = read_lines(path, 'a list of test images with their bounding boxes')
    names = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise DatasetError(f'{path}:{number}: the line is empty; an image name is expected')
        names.append(f'frame/images/{line.split()[0]}')
    return path, Labels(names, None)
