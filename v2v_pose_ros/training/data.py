"""Batches for training: batch k of a seed is a function of (seed, k) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from v2v_pose_ros.synthesis.scenes import HandScenes, reference_points, Scene
from v2v_pose_ros.training.augmentation import Movements, movements
from v2v_pose_ros.training.config import RecordedConfig, SyntheticConfig, TrainConfig
from v2v_pose_ros.training.crops import depth_crops

_VALIDATION_SEED = 1_000_003  # added to the experiment's seed; no training step reaches it


@dataclass(frozen=True)
class Batch:
    """What goes into the network, and what should come out.

    Attributes:
        grids: [B, 1, G, G, G] occupancy, or [B, 1, G, G] depth about the cubes' centres.
        joints: [B, J, 3] metres.
        references: [B, 3] the cubes' centres in metres.
    """

    grids: Tensor
    joints: Tensor
    references: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device, grids as float."""
        return Batch(
            self.grids.to(device, non_blocking=True).float(),
            self.joints.to(device, non_blocking=True),
            self.references.to(device, non_blocking=True),
        )


def make_source(
    config: TrainConfig, device: torch.device | str = 'cpu', validation: bool = False
) -> Dataset[Batch]:
    """Return the source of an experiment's batches, those of the validation on request."""
    if isinstance(config.data, RecordedConfig):
        from v2v_pose_ros.training.recorded import RecordedFrames

        return RecordedFrames(config, config.data, validation)
    return SyntheticHands(config, config.data.seed + validation * _VALIDATION_SEED, device)


class SyntheticHands(Dataset[Batch]):
    """Batches of synthetic hands; item k is batch k."""

    def __init__(self, config: TrainConfig, seed: int, device: torch.device | str = 'cpu') -> None:
        """Create the source; the mesh is loaded where it is first used."""
        self.config, self.seed, self.device = config, seed, device
        self.codec = config.make_codec()
        self.depth_input = config.make_network().dimensions == 2
        self.middle_alone = config.network.architecture == 'refinement'
        self._scenes: HandScenes | None = None

    def __getitem__(self, index: int) -> Batch:
        """Draw a batch."""
        if self._scenes is None:
            data = self.config.data
            assert isinstance(data, SyntheticConfig)
            self._scenes = HandScenes(self.device, 0, data.scene, data.window)
        data = self.config.data
        assert isinstance(data, SyntheticConfig)
        generator = self._scenes.generator
        generator.manual_seed(self.seed * 1_000_000_007 + index)
        scene = self._scenes.sample(self.config.batch)
        references = reference_points(scene, self.codec.cube_size, generator, data.tracked)
        move = movements(data, self.codec, self._scenes.draws, self.config.batch)
        joints = scene.joints
        if self.middle_alone:
            joints = 0.5 * (joints.amin(1, keepdim=True) + joints.amax(1, keepdim=True))
        grids = (self._crops if self.depth_input else self._occupancy)(scene, references, move)
        if move is not None:
            joints = move(joints - references[:, None]) + references[:, None]
        return Batch(grids, joints, references)

    def _occupancy(self, scene: Scene, references: Tensor, move: Movements | None) -> Tensor:
        points, valid = scene.points()
        if move is not None:
            points = move(points - references[:, None]) + references[:, None]
        return self.codec.occupancy(points, references, valid).to(torch.uint8)

    def _crops(self, scene: Scene, references: Tensor, move: Movements | None) -> Tensor:
        turn = None
        if move is not None:  # what comes to lie in the middle of the cube
            centre = torch.linalg.solve(move.matrix, move.shift[..., None])[..., 0]
            references, turn = references - centre, move.matrix
        codec = self.codec
        return depth_crops(
            scene.depth, scene.intrinsics, references, codec.cube_size, codec.input_size, turn
        )


class _Steps:
    """The steps that are still to be done, as a sampler."""

    def __init__(self, first: int, last: int, stride: int) -> None:
        self.steps = range(first, last, stride)

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def training_batches(
    config: TrainConfig, device: torch.device, first: int, rank: int = 0, world: int = 1
) -> Iterator[Batch]:
    """Yield batches from a step on: made by workers, but for scenes rendered on a GPU."""
    data = config.data
    first, last = first * world + rank, config.steps * world
    recorded = isinstance(data, RecordedConfig)
    if data.workers == 0 or (device.type != 'cpu' and not recorded):
        source = make_source(config, device)
        for step in range(first, last, world):
            yield source[step].to(device)
        return
    loader = DataLoader(
        make_source(config),
        batch_size=None,
        sampler=_Steps(first, last, world),
        num_workers=data.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4,
    )
    for batch in loader:
        yield batch.to(device)


def validation_batches(config: TrainConfig, device: torch.device) -> list[Batch]:
    """Return the fixed validation batches."""
    source = make_source(config, validation=True)
    count = -(-config.validation_samples // config.batch)
    return [source[index].to(device) for index in range(count)]
