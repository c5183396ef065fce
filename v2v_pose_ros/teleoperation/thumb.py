"""The thumb's four angles: a saddle joint and two hinges, by least squares over three bones.

The direction of the metacarpal alone would settle the saddle joint, but badly where flexion is
near its limit: there a degree in the direction becomes ten in the angle. The hinges' axis turns
with the saddle, so that the two bones after it tell the rest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.teleoperation import anatomy

Floats = NDArray[np.float64]

_STEPS = 3
_DAMPING = 0.01  # keeps a step small along what the bones do not show
_DIFFERENCE = 1e-4  # rad
_ACROSS, _LIFT = np.eye(3)[0], np.eye(3)[1]
_LIMITS = anatomy.LIMITS[:4]


def thumb_angles(bones: Floats) -> Floats:
    """Return flexion and abduction of the first joint and flexion of the next two, [B, 4].

    Args:
        bones: [B, 3, 3] directions in the hand frame, from the wrist on.

    Returns:
        Radians, within the limits.
    """
    angles = _first_guess(bones)
    for _ in range(_STEPS):
        residual = (thumb_bones(angles) - bones).reshape(len(bones), 9)
        columns = [
            (thumb_bones(angles + _DIFFERENCE * nudge) - bones).reshape(len(bones), 9) - residual
            for nudge in np.eye(4)
        ]
        slope = np.stack(columns, -1) / _DIFFERENCE
        normal = np.swapaxes(slope, 1, 2) @ slope + _DAMPING * np.eye(4)
        step = np.linalg.solve(normal, np.swapaxes(slope, 1, 2) @ residual[..., None])
        angles = np.clip(angles - step[..., 0], *_LIMITS.T)
    return angles


def thumb_bones(angles: Floats) -> Floats:
    """Return the directions [B, 3, 3] of the bones of a thumb with these angles [B, 4]."""
    rest, hinge = anatomy.BONES[0], anatomy.HINGES[0]
    rotation = _saddle(angles[:, 0], angles[:, 1])
    bones = [rotation @ rest[0]]
    for joint in (1, 2):
        rotation = rotation @ _turn(hinge, angles[:, 1 + joint] - anatomy.REST[0, joint])
        bones.append(rotation @ rest[joint])
    return np.stack(bones, 1)


def _first_guess(bones: Floats) -> Floats:
    """Solve for the saddle by the metacarpal alone, then for each hinge by its bone."""
    metacarpal, hinge = anatomy.BONES[0, 0], anatomy.HINGES[0]
    # Abduction turns about y, so that flexion alone decides how far the bone points along y.
    reach, phase = math.hypot(*metacarpal[1:]), math.atan2(metacarpal[2], metacarpal[1])
    flexion = phase - np.arccos(np.clip(bones[:, 0, 1] / reach, -1.0, 1.0))
    flexion = np.clip(flexion, *_LIMITS[0])
    swept = np.arctan2(metacarpal[0], reach * np.sin(phase - flexion))
    abduction = swept - np.arctan2(bones[:, 0, 0], bones[:, 0, 2])
    abduction = np.clip(_wrapped(abduction), *_LIMITS[1])
    angles = [flexion, abduction]
    back = np.swapaxes(_saddle(flexion, abduction), 1, 2)
    side = metacarpal - (metacarpal @ hinge) * hinge
    above, bent = np.cross(hinge, side), np.zeros(len(bones))
    for joint in (1, 2):
        bone, rest = (back @ bones[:, joint, :, None])[..., 0], anatomy.BONES[0, joint]
        angle = np.arctan2(bone @ above, bone @ side) - math.atan2(rest @ above, rest @ side)
        flexed = _wrapped(angle - bent + anatomy.REST[0, joint])
        angles.append(np.clip(flexed, *_LIMITS[1 + joint]))
        bent = angle
    return np.stack(angles, 1)


def _saddle(flexion: Floats, abduction: Floats) -> Floats:
    """Return the rotations [B, 3, 3] of the first joint."""
    by_flexion, by_abduction = anatomy.THUMB_TURN
    inwards = by_flexion * flexion + by_abduction * abduction
    sweep, lift = _turn(_ACROSS, -flexion), _turn(_LIFT, -abduction)
    return lift @ sweep @ _turn(anatomy.BONES[0, 0], inwards)


def _turn(axis: Floats, angles: Floats) -> Floats:
    return np.asarray(Rotation.from_rotvec(angles[:, None] * axis).as_matrix())


def _wrapped(angles: Floats) -> Floats:
    return (angles + math.pi) % (2 * math.pi) - math.pi
