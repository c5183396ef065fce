"""Where to look for subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2v_pose_ros.defaults import DEPTH_RANGE, DEPTH_RANGES


@dataclass(frozen=True)
class LocalizerOptions:
    """Where to look.

    Attributes:
        depth_range: nearest and farthest depth in metres.
    """

    depth_range: tuple[float, float] = DEPTH_RANGE

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        near, far = self.depth_range
        if not 0 <= near < far < np.inf:
            raise ValueError(
                f'depth_range is {near} to {far} m; finite numbers are meant, the first smaller'
            )

    @classmethod
    def of(cls, subject: str) -> LocalizerOptions:
        """Return where a subject is usually looked for, 'hand' or 'body'."""
        return cls(DEPTH_RANGES[subject])
