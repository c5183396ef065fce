"""NYU: 14 of 36 joints, 640 x 480, the frontal Kinect's frames.

train/joint_data.mat  train/depth_1_0000001.png ...  train/parsed/depth_1_0000001.bin ...
test/joint_data.mat   the same
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.datasets.base import FileDataset, Labels
from v2v_pose_ros.datasets.depth_files import read_nyu_png
from v2v_pose_ros.datasets.tables import DatasetError

_COUNTS = {'train': 72_757, 'test': 8_252}
EVALUATED = (0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32)
"""The 14 of the 36 joints that are evaluated."""


class Nyu(FileDataset):
    """The NYU hand pose dataset (Tompson et al., TOG 2014)."""

    name = 'nyu'

    def read_labels(self) -> Labels:
        """Read the joints that are evaluated from joint_data.mat."""
        path = self.root / self.split / 'joint_data.mat'
        positions = _read_positions(path)
        count = len(positions)
        self.check_count(path, count, _COUNTS[self.split])
        names = [f'{self.split}/depth_1_{number:07d}.png' for number in range(1, count + 1)]
        return Labels(names, self.convention.from_world(positions[:, EVALUATED]))

    def read_original(self, path: Path) -> FloatArray:
        """Read a PNG with the depth in two of its channels."""
        return read_nyu_png(path, self.camera.width, self.camera.height)

    def bin_file(self, index: int) -> Path:
        """Return where the authors' tool puts a .bin file: in a folder of its own."""
        original = self.original_file(index)
        return original.parent / 'parsed' / original.with_suffix('.bin').name


def _read_positions(path: Path) -> NDArray[np.float64]:
    """Return joint_xyz of the first Kinect [N, 36, 3], world millimetres."""
    what = 'joint_xyz [kinect, frame, 36, 3] in millimetres'
    if not path.is_file():
        raise DatasetError(f'there is no file {path}; {what} is expected there')
    try:
        values = loadmat(path, variable_names=['joint_xyz']).get('joint_xyz')
    except Exception as error:  # scipy raises what its parser runs into
        raise DatasetError(f'{path} cannot be read as a MATLAB file: {error!r}') from error
    if values is None:
        raise DatasetError(f'{path} has no variable joint_xyz; {what} is expected')
    if values.ndim != 4 or values.shape[0] < 1 or values.shape[2:] != (36, 3):
        raise DatasetError(f'{path}: joint_xyz has the shape {values.shape}; {what} is expected')
    positions = np.asarray(values[0], np.float64)
    finite = np.isfinite(positions[:, EVALUATED]).all(axis=(1, 2))
    if not finite.all():
        raise DatasetError(
            f'{path}: frame {int(np.argmin(finite)) + 1} has joints that are not finite'
        )
    return positions
