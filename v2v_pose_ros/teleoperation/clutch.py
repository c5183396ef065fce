"""A clutch between hand and arm: an arm moves as the hand does from where both were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.workspace import RigidTransform

Floats = NDArray[np.float64]


class ToolUnknown(ValueError):
    """Nobody knows where the arm's tool is; the text says why."""


class Clutch:
    """Gives an arm's tool the motion of a hand: its way, scaled, and its turn.

    Both are about the axes of the frame that hand and tool are given in, so that the hand's
    direction is the tool's, however the tool is mounted.
    """

    def __init__(self, scale: float = 1.0) -> None:
        """Take how many metres the tool goes for a metre of the hand."""
        self._scale = scale
        self._tool, self._hand = RigidTransform.identity(), RigidTransform.identity()
        self._engaged = False

    def release(self, tool: RigidTransform) -> None:
        """Start anew with the tool there, from where the hand is next."""
        self._tool, self._engaged = tool, False

    def __call__(self, position: Floats, rotation: Floats) -> tuple[Floats, Floats]:
        """Return where the tool is to be, position [3] and rotation [3, 3], for the hand's."""
        if not self._engaged:
            self._hand, self._engaged = RigidTransform(rotation, position), True
        way = self._scale * (position - self._hand.translation)
        turn = rotation @ self._hand.rotation.T
        return self._tool.translation + way, turn @ self._tool.rotation
