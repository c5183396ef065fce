"""Batches for training: batch k of a seed is a function of (seed, k) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from v2v_pose_ros.synthesis.hands.scenes import HandScenes
from v2v_pose_ros.synthesis.people.scenes import PeopleScenes
from v2v_pose_ros.synthesis.windows import middle_of, reference_points
from v2v_pose_ros.training.augmentation import movements
from v2v_pose_ros.training.config import HandsConfig, RecordedConfig, SyntheticConfig, TrainConfig

_PERSON = 0.3  # metres from a person's joints to where detection has cut their surroundings off
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
    seed = config.data.seed + validation * _VALIDATION_SEED
    return SyntheticScenes(config, config.data, seed, device)


class SyntheticScenes(Dataset[Batch]):
    """Batches of synthetic hands or people; item k is batch k."""

    def __init__(
        self,
        config: TrainConfig,
        data: SyntheticConfig,
        seed: int,
        device: torch.device | str = 'cpu',
    ) -> None:
        """Create the source; the mesh is loaded where it is first used."""
        self.data, self.batch, self.seed, self.device = data, config.batch, seed, device
        self.codec = config.make_codec()
        self.depth_input = config.make_network().dimensions == 2
        self._reach = None if isinstance(data, HandsConfig) else _PERSON
        self.middle_alone = config.network.architecture == 'refinement'

    @cached_property
    def _scenes(self) -> HandScenes | PeopleScenes:
        if isinstance(self.data, HandsConfig):
            return HandScenes(self.device, 0, self.data.scene, self.data.window)
        return PeopleScenes(self.device, 0, self.data.scene, self.data.window)

    def __getitem__(self, index: int) -> Batch:
        """Draw a batch."""
        scenes, codec = self._scenes, self.codec
        scenes.generator.manual_seed(self.seed * 1_000_000_007 + index)
        scene = scenes.sample(self.batch)
        references = reference_points(
            scene, codec.cube_size, scenes.generator, self.data.tracked, self._reach
        )
        move = movements(self.data, codec, scenes.draws, self.batch)
        joints = middle_of(scene.joints)[:, None] if self.middle_alone else scene.joints
        if self.depth_input:
            grids = move.crops(scene.depth, scene.intrinsics, references, codec)
        else:
            points, valid = scene.points()
            grids = codec.occupancy(move(points, references), references, valid).byte()
        return Batch(grids, move(joints, references), references)


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
