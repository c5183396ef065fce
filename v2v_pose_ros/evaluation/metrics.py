"""The field's metrics of 3D joint positions; everything in metres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from v2v_pose_ros.skeletons import Skeleton

Array = NDArray[np.float64]
Rate = Literal['max_frame', 'mean_frame', 'joint']

YAW = np.arange(-40, 41, 2)
"""Centres of the bins of yaw in degrees, as the field plots them."""

PITCH = np.arange(-10, 91, 2)
"""Centres of the bins of pitch in degrees."""


def joint_errors(predictions: ArrayLike, truth: ArrayLike) -> Array:
    """Return the distances [N, J] of two sets of joints [N, J, 3]."""
    difference = np.asarray(predictions, np.float64) - np.asarray(truth, np.float64)
    return np.sqrt(np.einsum('njk,njk->nj', difference, difference))


@dataclass(frozen=True)
class Scores:
    """Errors [N, J] and what the field reads from them."""

    errors: Array

    @property
    def per_joint(self) -> Array:
        """The mean error of each joint [J]."""
        return self.errors.mean(axis=0)

    @property
    def mean(self) -> float:
        """The mean 3D error: the mean over joints of their mean errors."""
        return float(self.per_joint.mean())

    @property
    def median(self) -> float:
        """The median of all joint errors."""
        return float(np.median(self.errors))

    @property
    def maximum(self) -> float:
        """The largest joint error."""
        return float(self.errors.max())

    def values(self, rate: Rate) -> Array:
        """Return what a success rate counts: a number for each frame, or for each joint of each.

        'max_frame' has a frame's worst joint, 'mean_frame' the mean of its joints, 'joint' every
        joint.
        """
        match rate:
            case 'max_frame':
                return self.errors.max(axis=1)
            case 'mean_frame':
                return self.errors.mean(axis=1)
            case 'joint':
                return self.errors.ravel()
        raise ValueError(f"{rate!r} is no success rate; 'max_frame', 'mean_frame' or 'joint' is")

    def success(self, rate: Rate, thresholds: ArrayLike) -> Array:
        """Return the share in 0..1 of values that are at most each threshold [T] (metres)."""
        values = np.sort(self.values(rate))
        below = np.searchsorted(values, np.asarray(thresholds, np.float64), side='right')
        return below / len(values)

    def auc(self, rate: Rate, limit: float) -> float:
        """Return the area under the success curve from 0 to a limit (metres), over the limit.

        The curve is a staircase, so that its area is exact: the mean of 1 - e / limit, at least 0.
        """
        return float(np.clip(1 - self.values(rate) / limit, 0, 1).mean())

    def precision(self, threshold: float = 0.1) -> Array:
        """Return each joint's average precision [J]: its share of frames within a threshold."""
        return (self.errors <= threshold).mean(axis=0)

    def mean_average_precision(self, threshold: float = 0.1) -> float:
        """Return the mAP: the mean over joints, so that paired parts weigh 2 (paper, Table 6)."""
        return float(self.precision(threshold).mean())

    def frames(self, chosen: slice) -> Scores:
        """Return the scores of some of the frames."""
        return Scores(self.errors[chosen])


_PART_NAMES = {
    'shoulder': 'shoulders',
    'elbow': 'elbows',
    'hand': 'hands',
    'knee': 'knees',
    'foot': 'feet',
}


def body_parts(skeleton: Skeleton) -> dict[str, list[int]]:
    """Return the joints of every row of the paper's table: both sides of a limb are one part.

    Joints that are neither right nor left are parts of their own.
    """
    parts: dict[str, list[int]] = {}
    for index, name in enumerate(skeleton.names):
        base = name.removeprefix('right_').removeprefix('left_')
        parts.setdefault(_PART_NAMES.get(base, base), []).append(index)
    return parts


def viewpoint(joints: ArrayLike, skeleton: Skeleton) -> tuple[Array, Array]:
    """Return yaw and pitch of hands in degrees [N] each, from their true joints [N, J, 3].

    The palm's y axis points from the wrist to the root of the middle finger (Sun et al., CVPR
    2015).  With its unit vector in the optical frame, pitch = -asin(y_z), positive towards the
    camera, and yaw = asin(y_x / cos(pitch)), as awesome-hand-pose-estimation has it.
    """
    positions = np.asarray(joints, np.float64)
    palm = positions[:, skeleton.index('middle_mcp')] - positions[:, skeleton.index('wrist')]
    axis = palm / np.maximum(np.linalg.norm(palm, axis=1, keepdims=True), 1e-12)
    pitch = -np.arcsin(axis[:, 2].clip(-1, 1))
    level = np.maximum(np.cos(pitch), 1e-12)
    yaw = np.arcsin((axis[:, 0] / level).clip(-1, 1))
    return np.degrees(yaw), np.degrees(pitch)


def error_by_angle(errors: Array, angles: ArrayLike, centres: ArrayLike) -> Array:
    """Return the mean error of the frames about each angle, NaN where there is no frame.

    Args:
        errors: [N, J].
        angles: [N] degrees.
        centres: [B] centres of bins of equal width; a frame belongs to the nearest.
    """
    bins = np.asarray(centres, np.float64)
    width = bins[1] - bins[0]
    # Rounding half to even on absolute multiples of the width, as the field's script does.
    index = (np.round(np.asarray(angles, np.float64) / width) - np.round(bins[0] / width)).astype(
        np.int64
    )
    inside = (index >= 0) & (index < len(bins))
    frame_errors = errors.mean(axis=1)[inside]
    count = np.bincount(index[inside], minlength=len(bins))
    total = np.bincount(index[inside], frame_errors, minlength=len(bins))
    return np.divide(total, count, out=np.full(len(bins), np.nan), where=count > 0)
