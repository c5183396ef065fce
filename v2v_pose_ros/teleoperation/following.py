"""How far commands are off the hands that they follow, frame by frame."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.teleoperation.anatomy import PALM_LENGTH
from v2v_pose_ros.teleoperation.hand import finger_angles, palm_length, wrist_frame
from v2v_pose_ros.teleoperation.robot_hand import fingertips

Floats = NDArray[np.float64]

_TIPS = HAND.indices([f'{finger}_tip' for finger in FINGERS])

KEPT = 300
"""Hands that wait for their commands: ten seconds at 30 Hz."""


class Following:
    """Remembers hands by the stamps of their frames, and compares commands with theirs.

    Held commands have stamps of their own and belong to no hand.
    """

    def __init__(self) -> None:
        """Start without any hand."""
        self._hands: OrderedDict[int, Floats] = OrderedDict()
        self._sides: dict[int, str] = {}

    def see(self, stamp: int, positions: Floats, handedness: str = 'right') -> None:
        """Take in a hand's joints [21, 3] of a frame in metres; stamps are nanoseconds."""
        self._hands[stamp], self._sides[stamp] = positions, handedness
        while len(self._hands) > KEPT:
            self._sides.pop(self._hands.popitem(last=False)[0])

    def hand(self, stamp: int) -> Floats | None:
        """Return the joints [21, 3] of a frame, None where nobody saw them."""
        return self._hands.get(stamp)

    def finger_errors(self, stamp: int, angles: Floats) -> Floats | None:
        """Return how far commanded finger angles [20], in rad, are off, in degrees."""
        hand = self.hand(stamp)
        if hand is None:
            return None
        return np.rad2deg(np.abs(angles - finger_angles(hand, self._sides[stamp])))

    def fingertip_errors(self, stamp: int, angles: Floats) -> Floats | None:
        """Return how far the fingertips [5] of ``robot_hand`` are off, in millimetres.

        Both hands are right ones and laid on each other, wrist on wrist and palm on palm; the
        operator's is scaled to the robot's size.

        Args:
            stamp: of the frame.
            angles: [20] commanded joints, those of ``anatomy.FINGER_ANGLES``, rad.
        """
        hand = self.hand(stamp)
        if hand is None:
            return None
        tips = (hand[_TIPS] - hand[0]) @ wrist_frame(hand) * (PALM_LENGTH / palm_length(hand))
        return np.asarray(1e3 * np.linalg.norm(fingertips(angles) - tips, axis=1))

    def wrist_error(self, stamp: int, position: Floats) -> float | None:
        """Return how far a commanded wrist [3], in metres, is off, in millimetres."""
        hand = self.hand(stamp)
        return None if hand is None else 1e3 * float(np.linalg.norm(position - hand[0]))
