"""Batches of a dataset's frames, augmented as the authors do (paper section 6.1).

Points and joints are turned about the optical axis, scaled and shifted together, about the cube's
centre.  Frame i of the endless stream belongs to epoch i // N, and every epoch has an order of its
own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
import torch
from torch.utils.data import Dataset

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.datasets.base import DepthDataset, DepthFrame
from v2v_pose_ros.datasets.catalogue import open_dataset
from v2v_pose_ros.datasets.tables import DatasetError
from v2v_pose_ros.training.config import RecordedConfig, TrainConfig
from v2v_pose_ros.training.data import Batch

_WITHOUT_TEST_LABELS = ('hands2017',)  # the last training frames serve as validation


class RecordedFrames(Dataset[Batch]):
    """Batches of one dataset; item k is batch k of a seed, whoever asks for it.

    Coordinates are relative to the cube's centre, so references are zero.  Frames without a
    centre file are centred on the middle of their joints' bounding box.

    Raises:
        DatasetError: the dataset is not there, not as expected, or has no frame with labels.
    """

    def __init__(self, config: TrainConfig, data: RecordedConfig, validation: bool) -> None:
        """Open the split and choose its frames."""
        self.data, self.batch, self.validation = data, config.batch, validation
        self.codec = config.make_codec()
        self.frames = self._open(validation and data.dataset not in _WITHOUT_TEST_LABELS)
        indices = self.frames.valid_indices
        if data.dataset in _WITHOUT_TEST_LABELS:
            held = config.validation_samples
            indices = indices[-held:] if validation else indices[:-held]
        if not len(indices) or self.frames.joints is None:
            raise DatasetError(f'{data.dataset} in {data.root} has no frame to train on')
        self.indices = indices
        self._order: tuple[int, NDArray[np.intp]] | None = None

    def _open(self, test: bool) -> DepthDataset:
        data = self.data
        options: dict[str, object] = {'check_counts': data.check_counts}
        centres = data.test_centres if test else data.centres
        if centres is not None:
            options['centres'] = centres
        if data.test_subject is not None:
            options['test_subject'] = data.test_subject
        return open_dataset(data.dataset, data.root, 'test' if test else 'train', **options)

    def __getitem__(self, index: int) -> Batch:
        """Read, augment and voxelise a batch."""
        random = np.random.default_rng((self.data.seed, index))
        grids, joints = [], []
        for place in range(index * self.batch, (index + 1) * self.batch):
            points, labels = self._sample(self.frames[self._frame(place)], random)
            grids.append(torch.from_numpy(self.codec.occupancy_numpy(points, np.zeros(3, 'f4'))))
            joints.append(torch.from_numpy(labels))
        return Batch(
            torch.cat(grids).to(torch.uint8), torch.stack(joints), torch.zeros(self.batch, 3)
        )

    def _frame(self, place: int) -> int:
        """Return the frame at a place of the endless stream."""
        epoch, rest = divmod(place, len(self.indices))
        if self.validation:
            return int(self.indices[rest])
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.data.seed, epoch, 1)).permutation(self.indices)
            self._order = (epoch, order)
        return int(self._order[1][rest])

    def _sample(
        self, frame: DepthFrame, random: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Return points [N, 3] and joints [J, 3] in metres about the cube's centre."""
        assert frame.joints is not None
        reference = frame.reference
        if reference is None:
            reference = 0.5 * (frame.joints.min(axis=0) + frame.joints.max(axis=0))
        points = frame.camera.points(frame.depth) - reference
        joints = frame.joints - reference
        cube = self.codec.cube_size
        points = points[(np.abs(points) < 1.5 * cube).all(axis=1)]
        if self.validation:
            return points.astype(np.float32), joints.astype(np.float32)
        angle = np.deg2rad(random.uniform(-self.data.rotation, self.data.rotation))
        turn = np.array(
            [
                [np.cos(angle), -np.sin(angle), 0.0],
                [np.sin(angle), np.cos(angle), 0.0],
                [0.0, 0.0, 1.0],
            ]
        )
        turn *= random.uniform(*self.data.scale)
        shift = self.data.translation
        voxel = cube / self.codec.input_size
        moved = random.integers(-shift, shift + 1, 3) * voxel
        return (
            (points @ turn.T + moved).astype(np.float32),
            (joints @ turn.T + moved).astype(np.float32),
        )
