"""What pose samplers have in common: limits, poses without self-penetration, smooth motion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from v2v_pose_ros.synthesis.draws import Draws

_CANDIDATES = 3  # poses drawn for each that is returned


class PoseSampler(ABC):
    """Draws joint angles [B, A] in radians that a body can take, from a generator."""

    tolerance: ClassVar[float]
    """Metres that parts may lie inside each other: skin gives way."""

    def __init__(self, generator: torch.Generator, limits: Tensor) -> None:
        """Draw from a generator, on its device, within limits [A, 2]."""
        self.draws, self.device = Draws(generator), generator.device
        self.limits = limits.to(self.device)

    def sample(self, batch: int) -> Tensor:
        """Return angles [B, A] of poses whose parts do not go through each other."""
        candidates = self.draw(_CANDIDATES * batch)
        depth = self.penetration(candidates)
        # Several candidates for each place: the first that is free, else the least entangled.
        cost = torch.where(depth < self.tolerance, torch.zeros_like(depth), depth)
        choice = cost.unflatten(0, (_CANDIDATES, batch)).argmin(0)
        index = torch.arange(batch, device=self.device)
        return candidates.unflatten(0, (_CANDIDATES, batch))[choice, index]

    def clamp(self, angles: Tensor) -> Tensor:
        """Bring angles [B, A] inside the joint limits."""
        return angles.clamp(self.limits[:, 0], self.limits[:, 1])

    @abstractmethod
    def draw(self, count: int) -> Tensor:
        """Return angles [B, A] of poses whose parts may lie inside each other."""

    @abstractmethod
    def penetration(self, angles: Tensor) -> Tensor:
        """Return [B] how deep (m) parts lie inside each other."""


class Motion:
    """A smooth, endless motion that reaches a new pose every given number of seconds."""

    def __init__(self, sampler: PoseSampler, seconds: float = 1.6) -> None:
        """Poses are drawn when they are first needed, in order."""
        self.sampler, self.seconds = sampler, seconds
        self._poses: list[Tensor] = []

    def __call__(self, time: float) -> Tensor:
        """Return the angles [1, A] at a time in seconds from the start."""
        place = time / self.seconds
        index = int(place)
        while len(self._poses) < index + 2:
            self._poses.append(self.sampler.sample(1))
        t = place - index
        blend = t * t * t * (t * (6 * t - 15) + 10)  # minimum jerk
        return self._poses[index] * (1 - blend) + self._poses[index + 1] * blend
