"""A person's joint angles from 15 positions.

The trunk has x out of the chest, y to the person's left and z up. A limb that hangs straight down
has all its angles at zero. Its swing is one turn from hanging to where it points, about a
horizontal axis, given as its parts: flexion (forward) and abduction (away from the trunk's
middle). Forward and sideways arms are both regular; only an arm that points straight up has no
single answer. Rotation is about the upper arm or thigh itself, and positive inwards; it is read
from where elbow or knee bends to, and fades to zero where the limb is straight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.skeletons import BODY

Floats = NDArray[np.float64]

_LIMBS = {
    'shoulder': ('shoulder', 'elbow', 'hand', 'elbow'),
    'hip': ('hip', 'knee', 'foot', 'knee'),
}
BODY_ANGLES: tuple[str, ...] = tuple(
    f'{side}_{name}'
    for limb, (*_, hinge) in _LIMBS.items()
    for side in ('right', 'left')
    for name in (f'{limb}_flexion', f'{limb}_abduction', f'{limb}_rotation', f'{hinge}_flexion')
)
"""The 16 angles: shoulders with elbows, then hips with knees, right before left."""

_SIDES = ('right', 'left')
_DOWN = np.array([0.0, 0.0, -1.0])
# Sines of the hinge's angle: from 20 degrees on it shows the rotation, below 7 hardly any more.
_CLEAR, _FADE = 0.34, 0.12
_MIN_LENGTH = 1e-6  # metres; a shorter bone has no direction
_SMALLEST = 1e-9


def trunk_frame(positions: NDArray[np.floating]) -> Floats:
    """Return the rotation [..., 3, 3] of the trunk, whose columns are its axes.

    z points from the hips' middle to the shoulders'; y is the mean of the lines through both, as
    far as it is perpendicular to z.
    """
    places: Floats = np.asarray(positions, np.float64)
    right, left, above, below = (
        places[..., BODY.indices(names), :].mean(-2)
        for names in (
            ('right_shoulder', 'right_hip'),
            ('left_shoulder', 'left_hip'),
            ('right_shoulder', 'left_shoulder'),
            ('right_hip', 'left_hip'),
        )
    )
    z = _unit(above - below, np.array([0.0, 0.0, 1.0]))
    across = left - right
    y = _unit(across - (across * z).sum(-1, keepdims=True) * z, np.array([0.0, 1.0, 0.0]))
    return np.stack([np.cross(y, z), y, z], axis=-1)


def body_angles(positions: NDArray[np.floating]) -> Floats:
    """Return the angles [..., 16] of BODY_ANGLES in radians.

    Args:
        positions: [..., 15, 3] metres in any frame, in the order of ``skeletons.BODY``.

    Raises ValueError for another shape and for positions that are not finite.
    """
    places: Floats = np.asarray(positions, np.float64)
    if places.shape[-2:] != (len(BODY), 3) or not np.isfinite(places).all():
        raise ValueError(
            f'positions have the shape {places.shape} or are not finite; finite [..., '
            f'{len(BODY)}, 3] is meant, the joints of a person in the order of skeletons.BODY'
        )
    trunk = trunk_frame(places)
    angles = []
    for limb, (*parts, _) in _LIMBS.items():
        for side in _SIDES:
            joints = places[..., BODY.indices([f'{side}_{part}' for part in parts]), :]
            bones = np.diff(joints, axis=-2) @ trunk
            angles.append(_limb_angles(bones, 1.0 if side == 'left' else -1.0, limb))
    return np.concatenate(angles, axis=-1)


def _limb_angles(bones: Floats, outwards: float, limb: str) -> Floats:
    """Return flexion, abduction and rotation of the upper joint and the hinge's flexion.

    Args:
        bones: [..., 2, 3] the limb's two bones in the trunk's frame.
        outwards: the sign of y on the limb's side.
        limb: which one; an elbow bends forwards, a knee backwards.
    """
    upper = _unit(bones[..., 0, :], _DOWN)
    lower = _unit(bones[..., 1, :], upper)
    forward, aside, up = np.moveaxis(upper, -1, 0)
    horizontal = np.hypot(forward, aside)
    # Angle over sine: 1 where the limb hangs.
    ratio = np.arctan2(horizontal, -up) / np.maximum(horizontal, _SMALLEST)
    ratio = np.where(horizontal > _SMALLEST, ratio, 1.0)
    hanging = _swung_back(upper, lower)
    front = 1.0 if limb == 'shoulder' else -1.0
    ahead, inwards = front * hanging[..., 0], -front * outwards * hanging[..., 1]
    bend = np.hypot(ahead, inwards)
    calm = _FADE**2 * np.clip(1.0 - (bend / _CLEAR) ** 2, 0.0, None) ** 2
    rotation = np.arctan2(inwards * bend, ahead * bend + calm)
    hinge = np.arctan2(bend, -hanging[..., 2])
    return np.stack([ratio * forward, outwards * ratio * aside, rotation, hinge], axis=-1)


def _swung_back(upper: Floats, lower: Floats) -> Floats:
    """Turn the lower bone by the smallest rotation that brings the upper one to hang down."""
    axis = np.cross(upper, _DOWN)
    turned = np.cross(axis, lower)
    return lower + turned + np.cross(axis, turned) / np.maximum(1.0 - upper[..., 2:], _SMALLEST)


def _unit(vectors: Floats, fallback: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    usable = lengths > _MIN_LENGTH
    return np.where(usable, vectors / np.where(usable, lengths, 1.0), fallback)
