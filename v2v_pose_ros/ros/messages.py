"""Builders of messages: a header and what was estimated in, a message out.

The functions are pure, and the header passes through untouched: every result carries the stamp
of the depth image it was made from, and its optical frame unless another one was asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseArray, Quaternion, TransformStamped, Vector3
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.msg import Skeleton, SkeletonArray
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
        return f'{self.identity}/{self.estimate.skeleton.names[joint]}'

    def moved(self, transform: RigidTransform) -> Subject:
        """Return the subject in another frame; its cube stays parallel to the camera's axes."""
        estimate, turn = self.estimate, transform.rotation
        return Subject(
            self.identity,
            replace(
                estimate,
                positions=transform.apply(estimate.positions).astype(np.float32),
                covariances=turn @ estimate.covariances @ turn.T,
                reference_point=transform.apply(estimate.reference_point),
                points=transform.apply(estimate.points).astype(np.float32),
            ),
            (Rotation.from_matrix(turn) * Rotation.from_quat(self.orientations)).as_quat(),
        )


def name_subjects(
    estimates: Sequence[SkeletonEstimate], name: str, handedness: str = 'right'
) -> list[Subject]:
    """Give estimates their names: the subject's own for the first, name_2, name_3 for others."""
    return [
        Subject(
            name if number == 1 else f'{name}_{number}',
            estimate,
            bone_orientations(estimate.skeleton, estimate.positions, handedness=handedness),
        )
        for number, estimate in enumerate(estimates, start=1)
    ]


def skeleton_array_message(
    header: Header, subjects: Sequence[Subject], latency: float
) -> SkeletonArray:
    """Return all subjects of a frame; ``latency`` is seconds from its arrival to now."""
    return SkeletonArray(
        header=header, skeletons=[_skeleton_message(subject, latency) for subject in subjects]
    )


def _skeleton_message(subject: Subject, latency: float) -> Skeleton:
    estimate = subject.estimate
    return Skeleton(
        subject_id=subject.identity,
        skeleton_name=estimate.skeleton.name,
        joint_names=list(estimate.skeleton.names),
        poses=_poses(subject),
        confidences=np.asarray(estimate.confidences, np.float32).tolist(),
        position_covariances=np.asarray(estimate.covariances, np.float64).ravel().tolist(),
        cube_center=_points([estimate.reference_point])[0],
        cube_size=float(estimate.cube_size),
        latency=duration(latency),
    )


def pose_array_message(header: Header, subjects: Sequence[Subject]) -> PoseArray:
    """Return the joints of all subjects, one subject after the other."""
    return PoseArray(header=header, poses=[pose for each in subjects for pose in _poses(each)])


def marker_array_message(
    header: Header, subjects: Sequence[Subject], lifetime: float
) -> MarkerArray:
    """Return bones and joints for RViz, coloured by finger or limb.

    A subject is a namespace with two markers. The less certain a joint, the more transparent it
    and its bones are. Markers that are not renewed vanish after ``lifetime`` seconds (0: never).
    """
    return MarkerArray(
        markers=[marker for subject in subjects for marker in _markers(header, subject, lifetime)]
    )


def _markers(header: Header, subject: Subject, lifetime: float) -> list[Marker]:
    estimate, skeleton = subject.estimate, subject.estimate.skeleton
    positions = _points(estimate.positions)
    opacities = _FAINTEST + (1 - _FAINTEST) * np.clip(estimate.confidences, 0.0, 1.0)
    colors = [
        _color(joint.color, float(opacity))
        for joint, opacity in zip(skeleton.joints, opacities, strict=True)
    ]
    bone_colors = [
        _color(skeleton.joints[child].color, float(min(opacities[parent], opacities[child])))
        for parent, child in skeleton.bones
    ]
    bones = _marker(header, subject.identity, BONES, Marker.LINE_LIST, lifetime)
    bones.scale.x = _BONE_WIDTH * estimate.cube_size
    bones.points = [positions[end] for bone in skeleton.bones for end in bone]
    bones.colors = [color for color in bone_colors for _ in range(2)]
    joints = _marker(header, subject.identity, JOINTS, Marker.SPHERE_LIST, lifetime)
    diameter = _JOINT_DIAMETER * estimate.cube_size
    joints.scale = Vector3(x=diameter, y=diameter, z=diameter)
    joints.points = positions
    joints.colors = colors
    return [bones, joints]


def marker_deletion_message(header: Header, identities: Iterable[str]) -> MarkerArray:
    """Return the message that removes the markers of subjects that were lost."""
    markers = []
    for identity in identities:
        for number, kind in ((BONES, Marker.LINE_LIST), (JOINTS, Marker.SPHERE_LIST)):
            marker = _marker(header, identity, number, kind, 0.0)
            marker.action = Marker.DELETE
            markers.append(marker)
    return MarkerArray(markers=markers)


def _marker(header: Header, identity: str, number: int, kind: int, lifetime: float) -> Marker:
    marker = Marker(header=header, ns=identity, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.lifetime = duration(lifetime)
    return marker


def transform_messages(header: Header, subjects: Sequence[Subject]) -> list[TransformStamped]:
    """Return one transform per joint, ``<subject>/<joint>`` in the optical frame.

    All are children of the camera and none of another joint, so that a joint's frame does not
    depend on when its neighbours' arrived.
    """
    transforms = []
    for subject in subjects:
        for joint, pose in enumerate(_poses(subject)):
            transform = TransformStamped(header=header, child_frame_id=subject.frame(joint))
            position = pose.position
            transform.transform.translation = Vector3(x=position.x, y=position.y, z=position.z)
            transform.transform.rotation = pose.orientation
            transforms.append(transform)
    return transforms


def point_cloud_message(header: Header, points: NDArray[np.float32]) -> PointCloud2:
    """Return points [N, 3] in metres as an unordered cloud of x, y, z."""
    data = np.ascontiguousarray(points, dtype='<f4')
    cloud = PointCloud2(header=header, height=1, width=len(data), is_bigendian=False)
    cloud.fields = [
        PointField(name=name, offset=4 * axis, datatype=PointField.FLOAT32, count=1)
        for axis, name in enumerate('xyz')
    ]
    cloud.point_step = 12
    cloud.row_step = 12 * len(data)
    cloud.is_dense = True
    # An array of bytes is copied as a block; anything else byte by byte, with a check of each.
    cloud.data = array('B', data.tobytes())
    return cloud


def duration(seconds: float) -> Duration:
    """Return a time span, rounded to nanoseconds."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=whole, nanosec=nanoseconds)


def _poses(subject: Subject) -> list[Pose]:
    return [
        Pose(position=position, orientation=Quaternion(x=x, y=y, z=z, w=w))
        for position, (x, y, z, w) in zip(
            _points(subject.estimate.positions), subject.orientations.tolist(), strict=True
        )
    ]


def _points(positions: Sequence[NDArray] | NDArray) -> list[Point]:
    # tolist() gives Python floats, the only ones that every distribution's messages accept.
    return [Point(x=x, y=y, z=z) for x, y, z in np.asarray(positions, np.float64).tolist()]


def _color(rgb: tuple[float, float, float], opacity: float) -> ColorRGBA:
    red, green, blue = rgb
    return ColorRGBA(r=red, g=green, b=blue, a=opacity)
