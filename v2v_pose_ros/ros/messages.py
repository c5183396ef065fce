"""Builders of messages: a header and what was estimated in, a message out.

The functions are pure, and the header passes through untouched: every result carries the stamp
of the depth image it was made from, and its optical frame unless another one was asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseArray, Quaternion, TransformStamped, Vector3
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from v2v_pose_ros.msg import Skeleton, SkeletonArray
from v2v_pose_ros.subjects import (
    BONES,
    draw_subject,
    Drawing,
    JOINTS,
    occluded_list,
    Subject,
)


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
        handedness=estimate.handedness,
        joint_names=list(estimate.skeleton.names),
        poses=_poses(subject),
        confidences=np.asarray(estimate.confidences, np.float32).tolist(),
        occluded=occluded_list(estimate),
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
    drawn_bones, drawn_joints = draw_subject(subject.estimate)
    bones = _marker(header, subject.identity, BONES, Marker.LINE_LIST, lifetime)
    bones.scale.x = drawn_bones.size
    _fill(bones, drawn_bones)
    joints = _marker(header, subject.identity, JOINTS, Marker.SPHERE_LIST, lifetime)
    diameter = drawn_joints.size
    joints.scale = Vector3(x=diameter, y=diameter, z=diameter)
    _fill(joints, drawn_joints)
    return [bones, joints]


def _fill(marker: Marker, drawing: Drawing) -> None:
    marker.points = _points(drawing.points)
    marker.colors = [ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in drawing.colors.tolist()]


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


def nanoseconds(message: Any) -> int:
    """Return the stamp of a message with a header."""
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec


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
