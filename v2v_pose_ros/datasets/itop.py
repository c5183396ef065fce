"""ITOP: 15 joints of a person, 320 x 240, metres, from the front ("side") or from the top.

ITOP_{side,top}_{train,test}_depth_map.h5  ITOP_{side,top}_{train,test}_labels.h5
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.datasets.base import DepthDataset, Labels, Split
from v2v_pose_ros.datasets.tables import DatasetError

View = Literal['front', 'top']

_FILE_VIEW = {'front': 'side', 'top': 'top'}
_COUNTS = {'train': (39_795, 17_991), 'test': (10_501, 4_863)}  # all, valid


class Itop(DepthDataset):
    """The ITOP dataset (Haque et al., ECCV 2016); only frames called valid take part."""

    def __init__(
        self,
        root: Path,
        split: Split,
        view: View = 'front',
        centres: Path | None = None,
        check_counts: bool = True,
    ) -> None:
        """Read the labels of a split; raise DatasetError where they are not as expected.

        Args:
            root: the folder with the unpacked .h5 files.
            split: 'train' or 'test'.
            view: 'front', which the files call side, or 'top'.
            centres: a centre file.
            check_counts: refuse files with another number of (valid) frames than published.
        """
        if view not in _FILE_VIEW:
            raise DatasetError(f"view is {view!r}; 'front' or 'top' is meant")
        self.view = view
        super().__init__(f'itop_{view}', root, split, centres, check_counts)
        self.file = self._path('depth_map')
        self._opened: tuple[int, Any] | None = None  # of a process: HDF5 handles do not survive
        count = len(self._data())
        if count != len(self):
            raise DatasetError(
                f'{self.file} has {count:,} frames; {self._path("labels")} has {len(self):,}'
            )
        self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_opened': None}

    def _path(self, content: str) -> Path:
        return self.root / f'ITOP_{_FILE_VIEW[self.view]}_{self.split}_{content}.h5'

    def read_labels(self) -> Labels:
        """Read the joints and which frames are valid."""
        path, joints = self._path('labels'), len(self.convention.skeleton)
        with _open(path, 'labels') as file:
            for key in ('real_world_coordinates', 'is_valid'):
                if key not in file:
                    raise DatasetError(f'{path} has no {key}; it has {", ".join(file)}')
            world = np.asarray(file['real_world_coordinates'])
            valid = np.asarray(file['is_valid']) == 1
        if world.shape != (len(valid), joints, 3):
            raise DatasetError(
                f'{path}: real_world_coordinates has the shape {world.shape}; '
                f'[{len(valid)}, {joints}, 3] is expected'
            )
        positions = self.convention.from_world(world)
        finite: NDArray[np.bool_] = np.asarray(np.isfinite(positions).all(axis=(1, 2)))
        if not finite[valid].all():
            frame = int(np.flatnonzero(valid & ~finite)[0])
            raise DatasetError(
                f'{path}: frame {frame} is valid and has joints that are not finite'
            )
        total, good = _COUNTS[self.split]
        self.check_count(path, len(valid), total)
        self.check_count(f'the valid part of {path}', int(np.count_nonzero(valid)), good)
        return Labels([str(number) for number in range(len(valid))], positions, valid)

    def read_depth(self, index: int) -> FloatArray:
        """Read the depth image of a frame; zeros are missing measurements."""
        try:
            depth = np.asarray(self._data()[index], np.float32)
        except OSError as error:
            raise DatasetError(f'{self.file}: frame {index} cannot be read: {error}') from error
        depth[~((depth > 0) & (depth < np.inf))] = 0
        return depth

    def _data(self) -> Any:
        """Return the depth images, from a file that this process has opened itself."""
        if self._opened is None or self._opened[0] != os.getpid():
            file = _open(self.file, 'depth images')
            size = (self.camera.height, self.camera.width)
            if 'data' not in file or file['data'].shape[1:] != size:
                raise DatasetError(
                    f'{self.file} has no depth images data [N, {size[0]}, {size[1]}] in metres'
                )
            self._opened = os.getpid(), file['data']
        return self._opened[1]


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(
            "ITOP comes as HDF5 files and h5py is not installed: pip install 'v2v_pose_ros"
            "[datasets]' or pip install h5py"
        ) from error
    return h5py


def _open(path: Path, what: str) -> Any:
    h5py = _h5py()
    if not path.is_file():
        packed = path.with_name(path.name + '.gz')
        hint = f': unpack {packed.name} with gunzip' if packed.is_file() else ''
        raise DatasetError(f'there is no file {path}; {what} of ITOP are expected there{hint}')
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise DatasetError(f'{path} cannot be read as HDF5: {error}') from error
