"""Batches of rendered hands or people: batch k of a seed is a function of (seed, k) alone."""

from __future__ import annotations

from functools import cached_property

import torch
from torch.utils.data import Dataset

from v2v_pose_ros.synthesis.hands.scenes import HandScenes
from v2v_pose_ros.synthesis.people.scenes import PeopleScenes
from v2v_pose_ros.synthesis.windows import middle_of, reference_points
from v2v_pose_ros.training.augmentation import movements
from v2v_pose_ros.training.batch import Batch
from v2v_pose_ros.training.config import HandsConfig, SyntheticConfig, TrainConfig

_PERSON = 0.3  # metres from a person's joints to where detection has cut their surroundings off


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
