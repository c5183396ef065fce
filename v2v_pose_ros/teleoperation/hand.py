"""A hand's frame, size and joint angles from its 21 positions.

Positions are metres in any frame, [..., 21, 3] in the order of ``skeletons.HAND``. A left hand is
mirrored first, so that its angles mean the same as a right one's.
"""

from __future__ import annotations

from collections import deque
import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.skeletons import HAND, reorder
from v2v_pose_ros.teleoperation import anatomy
from v2v_pose_ros.teleoperation.thumb import thumb_angles

Floats = NDArray[np.float64]

_CHAINS = np.array(reorder('mediapipe')[1:]).reshape(5, 4)
_MIRROR = np.array([-1.0, 1.0, 1.0])
_STEPS = 3  # of Gauss and Newton, to float precision within the limits
_CALM = 0.01  # squared bones; how much a finger must lie in the palm's plane to show abduction
_SHORTEST_PALM, _LONGEST_PALM = 0.03, 0.15  # metres; half of a child's, twice an adult's
_MIN_LENGTH = 1e-6  # metres; a shorter bone has no direction


def wrist_frame(positions: NDArray[np.floating], handedness: str = 'right') -> Floats:
    """Return the rotation [..., 3, 3] of the wrist, whose columns are its axes.

    x points to middle_mcp, z out of the back of the hand, y is z × x: a hand lying palm down,
    fingers forward, has x forward, y left, z up (REP 103). It is the orientation that the pose
    node gives to the joint ``wrist``.
    """
    places = _checked(positions)
    quaternions = bone_orientations(HAND, places, handedness=handedness)[..., 0, :]
    matrices = Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix()
    return matrices.reshape(*quaternions.shape[:-1], 3, 3)


def finger_angles(positions: NDArray[np.floating], handedness: str = 'right') -> Floats:
    """Return the angles [..., 20] of ``anatomy.FINGER_ANGLES`` in radians, within their limits.

    The palm is laid on that of the mean hand; each finger's angles are then those that turn its
    bones from where the mean hand has them at rest to where they are, by least squares over the
    bones. What positions do not show, the abduction of a straight finger that stands upright on
    the palm, fades to zero instead of jumping.

    Raises ValueError for another shape and for positions that are not finite.
    """
    places = _checked(positions)
    if handedness == 'left':
        places = places * _MIRROR
    flat = places.reshape(-1, len(HAND), 3)
    to_hand = _palm_rotation(flat[:, anatomy.PALM_JOINTS])
    bones = np.diff(flat[:, _CHAINS], axis=2)
    lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
    # Bones without a length keep the direction that they have at rest.
    unit = np.where(lengths > _MIN_LENGTH, bones / np.maximum(lengths, _MIN_LENGTH), 0.0)
    directions = np.einsum('bij,bfkj->bfki', to_hand, unit)
    directions = np.where(lengths > _MIN_LENGTH, directions, anatomy.BONES)
    fingers = [_finger_angles(directions[:, finger], finger) for finger in range(1, 5)]
    angles = np.concatenate([thumb_angles(directions[:, 0]), *fingers], axis=1)
    return np.clip(angles, *anatomy.LIMITS.T).reshape(*places.shape[:-2], -1)


def palm_length(positions: NDArray[np.floating]) -> Floats:
    """Return the mean distance [...] of the four knuckles from the wrist, metres."""
    places = _checked(positions)
    palm = places[..., anatomy.PALM_JOINTS[2:], :] - places[..., :1, :]
    return np.linalg.norm(palm, axis=-1).mean(axis=-1)


def flaw(positions: NDArray[np.floating]) -> str | None:
    """Return why joints [21, 3] cannot be those of a hand, in words; None if they can."""
    if not np.isfinite(positions).all():
        return 'the skeleton is not finite'
    length = float(palm_length(positions))
    if not _SHORTEST_PALM <= length <= _LONGEST_PALM:
        return f'the palm is {length * 1e3:.0f} mm long, as no hand is'
    return None


class HandSize:
    """The size of the hand that is followed: estimated from its first frames, then held.

    A hand does not grow: what a robot is given must not change because the network sees a palm a
    little longer in one pose than in another.
    """

    def __init__(self, frames: int = 30) -> None:
        """Start without a hand.

        Args:
            frames: how many of its first frames decide about the size.
        """
        self._lengths: deque[float] = deque(maxlen=frames)
        self._frames = frames

    def reset(self) -> None:
        """Forget the hand, because another one may come."""
        self._lengths.clear()

    def __call__(self, length: float) -> float:
        """Return the palm's length in metres, given that in the newest frame."""
        if len(self._lengths) < self._frames:
            self._lengths.append(length)
        return float(np.median(self._lengths))


def _checked(positions: NDArray[np.floating]) -> Floats:
    places: Floats = np.asarray(positions, np.float64)
    if places.shape[-2:] != (len(HAND), 3):
        raise ValueError(
            f'positions have the shape {places.shape}; [..., {len(HAND)}, 3] is meant, the joints '
            'of a hand in the order of skeletons.HAND'
        )
    if not np.isfinite(places).all():
        raise ValueError('positions are not finite; give only hands whose joints were all found')
    return places


def _palm_rotation(palm: Floats) -> Floats:
    """Return the rotations [B, 3, 3] that lay palms [B, 6, 3] on the mean one.

    Kabsch's algorithm (Acta Crystallographica A32, 1976): the rotation of least squares.
    """
    mean = anatomy.PALM - anatomy.PALM.mean(0)
    moved = palm - palm.mean(1, keepdims=True)
    left, _, right = np.linalg.svd(np.einsum('ki,bkj->bij', mean, moved))
    sign = np.ones((len(palm), 3))
    sign[:, 2] = np.linalg.det(left @ right)
    return np.asarray(left @ (sign[:, :, None] * right))


def _finger_angles(bones: Floats, finger: int) -> Floats:
    """Return flexion and abduction of the knuckle and flexion of the joints after it, [B, 4].

    Args:
        bones: [B, 3, 3] their directions in the hand frame.
        finger: 1 for the index finger to 4 for the little one.
    """
    hinge, rest = anatomy.HINGES[finger], anatomy.BONES[finger]
    along = rest[0] / np.linalg.norm(rest[0])
    palmar = np.cross(hinge, along)
    forward, aside, down = (bones @ axis for axis in (along, hinge, palmar))
    abduction = _abduction(forward, aside, rest @ hinge)
    turned = np.cos(abduction)[:, None] * forward + np.sin(abduction)[:, None] * aside
    # How far each bone is turned about the hinge against where it is at rest.
    bent = np.arctan2(down, turned) - np.arctan2(rest @ palmar, rest @ along)
    flexion = np.diff(bent, axis=1, prepend=0.0) + anatomy.REST[finger]
    flexion = _around(flexion, anatomy.LIMITS[4 * finger + np.array([0, 2, 3])].mean(1))
    return np.column_stack([flexion[:, 0], abduction, flexion[:, 1:]])


def _abduction(forward: Floats, aside: Floats, offset: Floats) -> Floats:
    """Return the turn [B] about the palm's normal that leaves each bone its offset to the side.

    Args:
        forward: [B, 3] how far the bones point along the finger at rest.
        aside: [B, 3] how far they point to its side.
        offset: [3] how far they do at rest.
    """
    spread = ((forward - aside) * (forward + aside)).sum(1) + _CALM
    angle = np.asarray(np.arctan2(2 * (forward * aside).sum(1), spread) / 2)
    for _ in range(_STEPS):
        cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
        lever = cosine * forward + sine * aside
        residual = cosine * aside - sine * forward - offset
        step = (lever * residual).sum(1) - _CALM * angle
        angle = angle + step / ((lever * lever).sum(1) + _CALM)
    return angle


def _around(angles: Floats, middle: Floats) -> Floats:
    """Return the same angles within half a turn of the middle of their range."""
    return middle + (angles - middle + math.pi) % (2 * math.pi) - math.pi
