"""Smooth, endless motion through drawn poses, for synthetic cameras."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Sampler(Protocol):
    """What draws poses."""

    def sample(self, batch: int) -> Tensor:
        """Return angles [B, A] in radians."""


class Motion:
    """A motion that reaches a new pose every given number of seconds."""

    def __init__(self, sampler: Sampler, seconds: float = 1.6) -> None:
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
