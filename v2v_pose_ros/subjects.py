"""Subjects of a frame: who they are, how their bones are turned, and how they are drawn in 3D.

What messages of a running node and those of a written recording have in common is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.workspace import RigidTransform

if TYPE_CHECKING:  # it would import PyTorch, and nothing here computes
    from v2v_pose_ros.estimator import SkeletonEstimate

BONES, JOINTS = 0, 1
"""Marker ids within the namespace of a subject."""

# Sizes relative to the cube, so that hands and people look alike: 5 mm and 10 mm for a hand.
_BONE_WIDTH = 0.02
_JOINT_DIAMETER = 0.04
_FAINTEST = 0.2  # opacity of a joint with confidence 0, still visible


@dataclass(frozen=True)
class Subject:
    """One subject of a frame: who it is, what was estimated, and how its bones are turned."""

    identity: str
    estimate: SkeletonEstimate
    orientations: NDArray[np.float64]  # [J, 4], x, y, z, w

    def frame(self, joint: int) -> str:
        """Return the name of a joint's TF frame."""
        return f'{self.identity}/{self.estimate.skeleton.links[joint]}'

    def moved(self, transform: RigidTransform) -> Subject:
        """Return the subject in another frame; its cube stays parallel to the camera's axes."""
        estimate, turn = self.estimate, transform.rotation
        return Subject(
            self.identity,
            replace(
                estimate,
                positions=transform.apply(estimate.positions).astype(np.float32),
                covariances=(turn @ estimate.covariances @ turn.T).astype(np.float32),
                reference_point=transform.apply(estimate.reference_point).astype(np.float32),
                points=transform.apply(estimate.points).astype(np.float32),
            ),
            (Rotation.from_matrix(turn) * Rotation.from_quat(self.orientations)).as_quat(),
        )


def name_subjects(
    estimates: Sequence[SkeletonEstimate],
    name: str,
    *,
    several: bool = False,
) -> list[Subject]:
    """Give estimates their names.

    Args:
        estimates: skeletons of one frame.
        name: the subject's, where there is but one; so it keeps its name when it is acquired anew.
        several: whether there may be more; then they are told apart by their numbers: the name
            alone is number 1, name_2 is number 2, and so on.
    """
    return [
        Subject(
            f'{name}_{estimate.number}' if several and estimate.number > 1 else name,
            estimate,
            bone_orientations(
                estimate.skeleton,
                estimate.positions,
                handedness=estimate.handedness or 'right',
            ),
        )
        for estimate in estimates
    ]


def occluded_list(estimate: SkeletonEstimate) -> list[bool]:
    """Return for every joint whether it is known that the camera does not see it."""
    hidden = estimate.occluded
    return [False] * len(estimate.skeleton) if hidden is None else hidden.tolist()


@dataclass(frozen=True)
class Drawing:
    """Points of one look: pairs of them are lines, or each is a sphere.

    Attributes:
        points: [N, 3] metres.
        colors: [N, 4] red, green, blue, opacity in 0..1.
        size: width of the lines or diameter of the spheres in metres.
    """

    points: NDArray[np.float64]
    colors: NDArray[np.float64]
    size: float


def draw_subject(estimate: SkeletonEstimate) -> tuple[Drawing, Drawing]:
    """Return bones, as pairs of points, and joints, coloured by finger or limb.

    The less certain a joint, the more transparent it and its bones are.
    """
    skeleton, positions = estimate.skeleton, np.asarray(estimate.positions, np.float64)
    opacities = _FAINTEST + (1 - _FAINTEST) * np.clip(estimate.confidences, 0.0, 1.0)
    colors = np.array([(*joint.color, 1.0) for joint in skeleton.joints])
    colors[:, 3] = opacities
    ends = np.array(skeleton.bones, int).reshape(-1, 2)
    bone_colors = colors[ends[:, 1]]
    bone_colors[:, 3] = opacities[ends].min(axis=1)
    return (
        Drawing(
            positions[ends.ravel()],
            np.repeat(bone_colors, 2, axis=0),
            _BONE_WIDTH * estimate.cube_size,
        ),
        Drawing(positions, colors, _JOINT_DIAMETER * estimate.cube_size),
    )
