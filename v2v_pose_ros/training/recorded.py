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

from v2v_pose_ros.datasets.base import DepthDataset, DepthFrame
from v2v_pose_ros.datasets.catalogue import open_dataset
from v2v_pose_ros.datasets.tables import DatasetError
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.training.augmentation import movements, no_movements
from v2v_pose_ros.training.batch import Batch
from v2v_pose_ros.training.config import RecordedConfig, TrainConfig

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
        generator = torch.Generator().manual_seed(self.data.seed * 1_000_000_007 + index)
        samples = [
            self._sample(self.frames[self._frame(place)], Draws(generator))
            for place in range(index * self.batch, (index + 1) * self.batch)
        ]
        grids, joints = zip(*samples, strict=True)
        return Batch(torch.cat(grids), torch.cat(joints), torch.zeros(self.batch, 3))

    def _frame(self, place: int) -> int:
        """Return the frame at a place of the endless stream."""
        epoch, rest = divmod(place, len(self.indices))
        if self.validation:
            return int(self.indices[rest])
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng((self.data.seed, epoch, 1)).permutation(self.indices)
            self._order = (epoch, order)
        return int(self._order[1][rest])

    def _sample(self, frame: DepthFrame, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return a grid [1, 1, ...] and joints [1, J, 3] in metres about the cube's centre."""
        assert frame.joints is not None
        reference = frame.reference
        if reference is None:
            reference = bounding_box_middle(frame.joints)
        move = no_movements(1) if self.validation else movements(self.data, self.codec, draws, 1)
        joints = torch.from_numpy((frame.joints - reference).astype(np.float32))[None]
        origin = torch.zeros(1, 3)
        if self.depth_input:
            camera = frame.camera
            intrinsics = torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]])
            middle = torch.from_numpy(reference)[None].float()
            depth = torch.from_numpy(frame.depth)[None]
            grid = move.crops(depth, intrinsics, middle, self.codec)
        else:
            points = frame.camera.points(frame.depth) - reference
            points = points[(np.abs(points) < 1.5 * self.codec.cube_size).all(axis=1)]
            moved = move(torch.from_numpy(points.astype(np.float32))[None], origin)[0].numpy()
            occupancy = self.codec.occupancy_numpy(moved, np.zeros(3, np.float32))
            grid = torch.from_numpy(occupancy).byte()
        return grid, move(joints, origin)
