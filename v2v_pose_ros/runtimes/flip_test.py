"""The flip test: a symmetric subject is looked at in the mirror, too, and the two are averaged.

A person in the mirror is a person whose left and right have changed places.  A network that was
trained without regard to that answers a little differently, and errs a little differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from v2v_pose_ros.runtimes import Runtime


def with_flip_test(
    network: Callable[[Tensor], Tensor], mirrored: Sequence[int], device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return a network that averages what it sees with what it sees in the mirror.

    Args:
        network: maps grids [B, 1, G, G, G] to heatmaps [B, J, H, H, H]; x is the last axis.
        mirrored: [J] what each joint becomes in the mirror; see `Skeleton.mirrored`.
        device: of grids and heatmaps.
    """
    order = torch.tensor(mirrored, device=device)

    def both(grids: Tensor) -> Tensor:
        direct, reflected = network(torch.cat([grids, grids.flip(-1)])).chunk(2)
        return (direct + reflected.index_select(1, order).flip(-1)) / 2

    return both


class FlipTestRuntime:
    """A runtime whose networks see every grid in the mirror, too."""

    def __init__(self, runtime: Runtime, mirrored: Sequence[int]) -> None:
        """Let a runtime work on pairs of grids."""
        self.name, self.device = runtime.name, runtime.device
        self._network = with_flip_test(runtime, mirrored, runtime.device)

    def __call__(self, grids: Tensor) -> Tensor:
        """See `Runtime`."""
        return self._network(grids)
