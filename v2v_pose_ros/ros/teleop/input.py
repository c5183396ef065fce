"""What the teleoperation node takes in: skeletons and the joints of a robot, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from v2v_pose_ros.msg import Skeleton as SkeletonMessage
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.teleop.parameters import TeleopParameters
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.teleoperation.teleoperator import Skeleton

Floats = NDArray[np.float64]


class SkeletonReader:
    """Finds the operator's hand in what the pose node publishes.

    While a hand is followed, it must stay who it is and in the frame it was in: another subject is
    not taken for it, and a pose node that lost its transform falls back to the camera's frame.

    Attributes:
        subject: the id of the hand in view last.
        frame: the frame that it was in.

    Args:
        settings: Which hand is looked at.
    """

    def __init__(self, settings: TeleopParameters) -> None:
        self._settings = settings
        self.subject = ''
        self.frame = settings.frame

    def read(self, array: SkeletonArray, clock: float, *, follows: bool) -> Skeleton:
        """Return what an array says of the hand.

        Args:
            array: everybody in view.
            clock: the time now, by the clock that stamps are from, in seconds.
            follows: whether a robot follows the hand now.
        """
        settings = self._settings
        stamp = array.header.stamp.sec + 1e-9 * array.header.stamp.nanosec
        # No stamp at all is 0; it tells no age.
        when = {} if stamp == 0 else {'stamp': stamp, 'age': clock - stamp}
        followed = self.subject if follows else settings.subject
        hand = find_hand(array, settings.handedness, followed)
        if hand is None:
            return Skeleton(None, **when)
        positions = positions_of(hand)
        expected = self.frame if follows else settings.frame
        frame, flaw = array.header.frame_id, None
        if positions is None:
            positions, flaw = np.full((len(HAND), 3), np.nan), 'joints are missing'
        elif expected and frame != expected:
            flaw = f'the skeleton is in the frame {frame!r}, not in {expected!r}'
        else:
            self.subject, self.frame = hand.subject_id, frame
        confidence = confidence_of(hand)
        return Skeleton(positions, confidence, subject=hand.subject_id, flaw=flaw, **when)


def find_hand(array: SkeletonArray, handedness: str, subject: str = '') -> SkeletonMessage | None:
    """Return the hand to look at, None where it is not in view.

    Args:
        array: everybody in view.
        handedness: 'right' or 'left'; a skeleton that does not say is taken for it.
        subject: the id that it must have; empty for any.
    """
    for skeleton in array.skeletons:
        if skeleton.skeleton_name != HAND.name or subject not in ('', skeleton.subject_id):
            continue
        if skeleton.handedness in ('', handedness):
            return skeleton
    return None


def positions_of(hand: SkeletonMessage) -> Floats | None:
    """Return a hand's joints [21, 3] in the package's order, None where one is missing."""
    places = dict(zip(hand.joint_names, hand.poses, strict=False))
    if not set(HAND.names) <= set(places):
        return None
    positions = (places[name].position for name in HAND.names)
    return np.array([(place.x, place.y, place.z) for place in positions])


def confidence_of(skeleton: SkeletonMessage) -> float:
    """Return the mean confidence of the joints, 0 where there is none."""
    return float(np.mean(skeleton.confidences)) if len(skeleton.confidences) else 0.0


def joints_of(message: JointState, names: Sequence[str]) -> Floats | None:
    """Return the positions [J] of some joints, None where one is missing or not finite."""
    known = dict(zip(message.name, message.position, strict=False))
    if not set(names) <= set(known):
        return None
    positions = np.array([known[name] for name in names], np.float64)
    return positions if np.isfinite(positions).all() else None
