"""Batches of a dataset's frames, augmented as the authors do (paper section 6.1).

Points and joints are turned about the optical axis, scaled and shifted together, about the cube's
centre.  Frame i of the endless stream belongs to epoch i // N, and every epoch has an order of its
own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor
from torch.utils.data import Dataset

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.datasets.base import DepthDataset, DepthFrame
from v2v_pose_ros.datasets.catalogue import open_dataset
from v2v_pose_ros.datasets.tables import DatasetError
from v2v_pose_ros.training.config import RecordedConfig, TrainConfig
from v2v_pose_ros.training.crops import depth_crops
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
        self.depth_input = config.make_network().dimensions == 2
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
        """Read and augment a batch, as occupancy grids or depth images."""
        random = np.random.default_rng((self.data.seed, index))
        samples = [
            self._sample(self.frames[self._frame(place)], random)
            for place in range(index * self.batch, (index + 1) * self.batch)
        ]
        grids, joints = zip(*samples, strict=True)
        return Batch(torch.cat(grids), torch.stack(joints), torch.zeros(self.batch, 3))

    def _frame(self, place: int) -> int:
        """Return the frame at a place of the endless stream."""
        epoch, rest = divmod(place, len(self.indices))
        if self.validation:
            return int(self.indices[rest])
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.data.seed, epoch, 1)).permutation(self.indices)
            self._order = (epoch, order)
        return int(self._order[1][rest])

    def _sample(self, frame: DepthFrame, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return a grid [1, 1, ...] and joints [J, 3] in metres about the cube's centre."""
        assert frame.joints is not None
        reference = frame.reference
        if reference is None:
            reference = 0.5 * (frame.joints.min(axis=0) + frame.joints.max(axis=0))
        matrix, shift = self._movement(random)
        make_grid = self._depth_crop if self.depth_input else self._occupancy
        joints = (frame.joints - reference) @ matrix.T + shift
        return make_grid(frame, reference, matrix, shift), torch.from_numpy(
            joints.astype(np.float32)
        )

    def _movement(
        self, random: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw scale times rotation [3, 3] and shift [3] in metres; none for validation."""
        if self.validation:
            return np.eye(3), np.zeros(3)
        angle = np.deg2rad(random.uniform(-self.data.rotation, self.data.rotation))
        turn: NDArray[np.float64] = np.array(
            [
                [np.cos(angle), -np.sin(angle), 0.0],
                [np.sin(angle), np.cos(angle), 0.0],
                [0.0, 0.0, 1.0],
            ]
        )
        turn *= random.uniform(*self.data.scale)
        shift = self.data.translation
        voxel = self.codec.cube_size / self.codec.input_size
        return turn, np.asarray(random.integers(-shift, shift + 1, 3) * voxel, np.float64)

    def _occupancy(
        self,
        frame: DepthFrame,
        reference: FloatArray,
        matrix: NDArray[np.float64],
        shift: NDArray[np.float64],
    ) -> Tensor:
        points = frame.camera.points(frame.depth) - reference
        points = points[(np.abs(points) < 1.5 * self.codec.cube_size).all(axis=1)]
        moved = (points @ matrix.T + shift).astype(np.float32)
        return torch.from_numpy(self.codec.occupancy_numpy(moved, np.zeros(3, 'f4'))).byte()

    def _depth_crop(
        self,
        frame: DepthFrame,
        reference: FloatArray,
        matrix: NDArray[np.float64],
        shift: NDArray[np.float64],
    ) -> Tensor:
        camera = frame.camera
        centre = reference - np.linalg.solve(matrix, shift)  # it comes to lie in the middle
        return depth_crops(
            torch.from_numpy(frame.depth)[None],
            torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]]),
            torch.from_numpy(centre)[None].float(),
            self.codec.cube_size,
            self.codec.input_size,
            torch.from_numpy(matrix)[None].float(),
        )
