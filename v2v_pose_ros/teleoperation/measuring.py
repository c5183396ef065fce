"""What is measured of the hand in view: one hand at a time, and another one starts anew."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.teleoperation.hand import finger_angles, HandSize, palm_length, wrist_frame
from v2v_pose_ros.teleoperation.limits import WristCommand, WristFollower, WristLimits
from v2v_pose_ros.teleoperation.openings import keypoints, openings

Floats = NDArray[np.float64]

_LONGEST_GAP = 0.5  # s between two frames that a speed is measured over
_FORGOTTEN = 1.0  # s without a hand after which another one may come


@dataclass(frozen=True)
class Hand:
    """What is measured of a hand in one frame.

    Attributes:
        wrist: where it is and how it moves, in the frame of the skeleton.
        finger_angles: [20] of ``anatomy.FINGER_ANGLES``, rad.
        openings: [5] of ``openings.OPENINGS``, 0 to 1.
        keypoints: [21, 3] of ``openings.keypoints``, metres.
        palm_length: metres, held.
    """

    wrist: WristCommand
    finger_angles: Floats
    openings: Floats
    keypoints: Floats
    palm_length: float


class HandMeter:
    """Measures one hand frame by frame: its size is held, its speed is that between frames."""

    def __init__(self, handedness: str) -> None:
        """Start without a hand; handedness is 'right' or 'left'."""
        self._handedness, self._size = handedness, HandSize()
        # What is measured has no limits; an impossible speed shows as it is.
        self._wrist = WristFollower(WristLimits(math.inf, math.inf))
        self._subject, self._seen = '', -math.inf
        self._stamp: float | None = None

    def forget(self) -> None:
        """Know nothing of the hand any longer, because another one may come."""
        self._size.reset()
        self._wrist.reset()

    def is_another(self, subject: str, now: float) -> bool:
        """Tell whether a hand that is seen now may be another than the one before.

        Args:
            subject: whose it is, by the id; empty where nobody says.
            now: seconds.
        """
        return subject != self._subject or now - self._seen > _FORGOTTEN

    def __call__(self, positions: Floats, subject: str, stamp: float | None, now: float) -> Hand:
        """Return what joints [21, 3] in metres say, of a frame that arrived now.

        Args:
            positions: finite, of a hand that is not forgotten.
            subject: whose they are.
            stamp: of the frame, seconds; None where the camera gives none.
            now: seconds.
        """
        # The camera's clock is steadier than arrivals are.
        period = now - self._seen
        if stamp is not None and self._stamp is not None:
            period = stamp - self._stamp
        if not 0 < period <= _LONGEST_GAP:
            self._wrist.reset()
        self._subject, self._seen, self._stamp = subject, now, stamp
        size = self._size(float(palm_length(positions)))
        frame = wrist_frame(positions, self._handedness)
        return Hand(
            self._wrist(positions[0], frame, period),
            finger_angles(positions, self._handedness),
            openings(positions, size),
            keypoints(positions, self._handedness),
            size,
        )
