"""Every dataset by the name that the command line and configurations use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from v2v_pose_ros.datasets.base import DepthDataset, Split
from v2v_pose_ros.datasets.hands2017 import Hands2017
from v2v_pose_ros.datasets.icvl import Icvl
from v2v_pose_ros.datasets.itop import Itop
from v2v_pose_ros.datasets.msra import Msra
from v2v_pose_ros.datasets.nyu import Nyu
from v2v_pose_ros.datasets.tables import DatasetError

_READERS: dict[str, Callable[..., DepthDataset]] = {
    'icvl': Icvl,
    'nyu': Nyu,
    'msra': Msra,
    'hands2017': Hands2017,
    'itop_front': partial(Itop, view='front'),
    'itop_top': partial(Itop, view='top'),
}


def open_dataset(name: str, root: Path, split: Split, **options: Any) -> DepthDataset:
    """Open a split of a dataset.

    Args:
        name: icvl, nyu, msra, hands2017, itop_front or itop_top.
        root: its folder; see docs/how-to/datasets.md for what is in it.
        split: 'train' or 'test'.
        options: those of the reader: centres, form, check_counts; MSRA also test_subject.

    Raises:
        DatasetError: the dataset is unknown, or its files are not as expected.
    """
    if not root.is_dir():
        raise DatasetError(f'there is no folder {root}; the dataset {name} is expected there')
    if name not in _READERS:
        raise DatasetError(f'there is no dataset {name!r}; known are {", ".join(_READERS)}')
    return _READERS[name](root, split, **options)
