"""Orientations of bones from joint positions.

A position says where a joint is, not how it is turned. Two directions settle that:

* x points along the bone: from the joint to its child, for a joint with several children to the
  one that continues the chain (wrist to middle_mcp, torso to neck, neck to head); a joint without
  children continues the bone it ends;
* z of the root is the normal of the palm or trunk: out of the back of the hand, or out of the
  chest. A hand lying palm down on a table, fingers forward, thus has x forward, y left and z up
  (REP 103).

Every other joint takes over the frame of its parent, turned by the smallest rotation that brings
the parent's x axis onto its own. Projecting the palm's normal on every bone would be simpler, but
the normal is parallel to a finger bent by 90 degrees, and the frame would flip there. The smallest
rotation is undefined only where a bone folds back by 180 degrees, which no finger does.

Arms and legs hang down from a trunk whose x axis points up, which would be just that. They begin
with the trunk's frame turned about its z axis instead: so that x points sideways out of a
shoulder, and down from a hip. No arm can point inwards through the trunk, no thigh up along it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.skeletons import Skeleton

_MIN_LENGTH = 1e-6  # metres; a shorter bone has no direction
_MIN_COSINE = 1e-9  # of 1 + cos(angle); below it a bone folds straight back

_CHAIN = {'hand': {'wrist': 'middle_mcp'}}
"""The child that a joint points to where it is not the first one in the skeleton's order."""

_NORMAL_POLYGON = {
    'hand': ('wrist', 'pinky_mcp', 'ring_mcp', 'middle_mcp', 'index_mcp'),
    'body': ('right_shoulder', 'right_hip', 'left_hip', 'left_shoulder'),
}
"""Polygons counter-clockwise as seen from where the normal points to (for a right hand)."""

_BEGINNINGS = {
    'body': {
        'right_shoulder': (0.0, 1.0),
        'left_shoulder': (0.0, -1.0),
        'right_hip': (-1.0, 0.0),
        'left_hip': (-1.0, 0.0),
    }
}
"""Joints that do not continue their parent, and where x would point at rest: x and y of the root.

Seen from the front of the trunk, x of the root is up and y is to the person's right.
"""


def bone_orientations(
    skeleton: Skeleton, positions: NDArray[np.floating], *, handedness: str = 'right'
) -> NDArray[np.float64]:
    """Return the orientation of every joint as quaternions x, y, z, w of shape [..., J, 4].

    Args:
        skeleton: The joints and their parents.
        positions: Joint positions [..., J, 3] in metres, in any frame; the orientations are in
            the same one.
        handedness: 'left' turns the palm's normal round, so that z leaves the back of a left
            hand, too. It does nothing to a body.

    The result is always finite and of unit length, with w >= 0. A joint that coincides with the
    one it points to, or that is not finite, keeps the orientation of its parent.
    """
    places: NDArray[np.float64] = np.asarray(positions, np.float64)
    x_axes, z_axes = np.empty_like(places), np.empty_like(places)
    polygon = _NORMAL_POLYGON.get(skeleton.name)
    normal = _area_vector(places, skeleton.indices(polygon)) if polygon else None
    if normal is not None and skeleton.name == 'hand' and handedness == 'left':
        normal = -normal

    root = skeleton.parents.index(-1)
    beginnings = {
        skeleton.index(name): rest for name, rest in _BEGINNINGS.get(skeleton.name, {}).items()
    }
    for joint, parent, start, end in _plan(skeleton):
        bone = places[..., end, :] - places[..., start, :]
        if parent < 0:
            x_axes[..., joint, :] = _unit(bone, np.array([1.0, 0.0, 0.0]))
            z_axes[..., joint, :] = _perpendicular(normal, x_axes[..., joint, :])
            continue
        before, axis = x_axes[..., parent, :], z_axes[..., parent, :]
        if joint in beginnings:
            along, across = beginnings[joint]
            axis = z_axes[..., root, :]
            x_root = x_axes[..., root, :]
            before = along * x_root + across * np.cross(axis, x_root)
        x_axes[..., joint, :] = x = _unit(bone, before)
        z_axes[..., joint, :] = _carry(axis, before, x)

    matrices = np.stack([x_axes, np.cross(z_axes, x_axes), z_axes], axis=-1)
    quaternions = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_quat()
    quaternions *= np.where(quaternions[:, 3:] < 0, -1.0, 1.0)
    return quaternions.reshape(*positions.shape[:-1], 4)


@cache
def _plan(skeleton: Skeleton) -> tuple[tuple[int, int, int, int], ...]:
    """Return (joint, its parent, where its bone starts, where it ends), parents first."""
    chain = _CHAIN.get(skeleton.name, {})
    rows, ready = [], [index for index, parent in enumerate(skeleton.parents) if parent < 0]
    while ready:
        joint = ready.pop(0)
        parent = skeleton.parents[joint]
        children = [child for child, of in enumerate(skeleton.parents) if of == joint]
        ready += children
        if children:
            name = chain.get(skeleton.names[joint])
            start, end = joint, children[0] if name is None else skeleton.index(name)
        else:
            start, end = max(parent, 0), joint
        rows.append((joint, parent, start, end))
    return tuple(rows)


def _area_vector(positions: NDArray[np.float64], polygon: list[int]) -> NDArray[np.float64]:
    """Return the normal [..., 3] of a polygon, as long as its area; it need not be flat.

    Unlike a fitted plane's, its sign is never ambiguous, and unlike a cross product of two edges,
    it does not hang on a single joint.
    """
    corners = positions[..., polygon, :]
    corners = corners - corners.mean(axis=-2, keepdims=True)
    return np.cross(corners, np.roll(corners, -1, axis=-2)).sum(axis=-2) / 2


def _unit(vectors: NDArray[np.float64], fallback: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors of length 1, the fallback where they have no direction."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    usable = np.isfinite(lengths) & (lengths > _MIN_LENGTH)
    return np.where(usable, vectors / np.where(usable, lengths, 1.0), fallback)


def _perpendicular(
    normal: NDArray[np.float64] | None, x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the unit vector perpendicular to x that is nearest to the normal."""
    # Whatever there is no normal for still needs a frame: the coordinate axis farthest from x.
    farthest = np.eye(3)[np.abs(x).argmin(axis=-1)]
    fallback = _unit(farthest - (farthest * x).sum(-1, keepdims=True) * x, farthest)
    if normal is None:
        return fallback
    # An area is in square metres, where the threshold for lengths would be far too high.
    normal = _unit(normal * 1e4, fallback)
    return _unit(normal - (normal * x).sum(-1, keepdims=True) * x, fallback)


def _carry(
    axis: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn an axis, perpendicular to ``before``, by the smallest rotation from it to ``after``.

    For unit vectors a, b and z with z.a = 0, Rodrigues' formula shrinks to
    z - (z.b) / (1 + a.b) * (a + b). Where b = -a, the rotation is about y, as of a hinge.
    """
    denominator = 1.0 + (before * after).sum(-1, keepdims=True)
    regular = denominator > _MIN_COSINE
    along = (axis * after).sum(-1, keepdims=True) / np.where(regular, denominator, 1.0)
    turned = np.where(regular, axis - along * (before + after), -axis)
    # Rounding errors must not add up along the chain.
    turned = turned - (turned * after).sum(-1, keepdims=True) * after
    return _unit(turned, axis)
