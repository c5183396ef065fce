"""What goes into a recording about a frame: the same messages as the node publishes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.recordings.types import MARKERS, SKELETONS, TRANSFORMS, TYPES
from v2v_pose_ros.subjects import (
    BONES,
    draw_subject,
    Drawing,
    JOINTS,
    occluded_list,
    Subject,
)

_LINE_LIST, _SPHERE_LIST = 5, 7  # types of visualization_msgs/Marker
_ADD, _DELETE = 0, 2  # its actions


def _make(name: str, *fields: Any, **named: Any) -> Any:
    package, _, kind = name.partition('/')
    return TYPES.types[f'{package}/msg/{kind}'](*fields, **named)


def header(stamp: int, frame_id: str) -> Any:
    """Return a std_msgs/Header; the stamp is nanoseconds."""
    return _make('std_msgs/Header', _time(stamp), frame_id)


def skeletons_message(head: Any, subjects: Sequence[Subject]) -> memoryview:
    """Return a SkeletonArray of the subjects of a frame; their latency is 0, nobody waited."""
    message = _make('v2v_pose_ros/SkeletonArray', head, [_skeleton(each) for each in subjects])
    return _bytes(message, SKELETONS)


def transforms_message(head: Any, subjects: Iterable[Subject]) -> memoryview:
    """Return a TFMessage with a transform for every joint, children of the optical frame."""
    transforms = [
        _make(
            'geometry_msgs/TransformStamped',
            head,
            subject.frame(joint),
            _make(
                'geometry_msgs/Transform',
                _make('geometry_msgs/Vector3', *position),
                _make('geometry_msgs/Quaternion', *orientation),
            ),
        )
        for subject in subjects
        for joint, (position, orientation) in enumerate(_poses(subject))
    ]
    return _bytes(_make('tf2_msgs/TFMessage', transforms), TRANSFORMS)


def markers_message(
    head: Any, subjects: Iterable[Subject], gone: Iterable[str] = ()
) -> memoryview:
    """Return a MarkerArray: bones and joints of subjects, and the removal of those that left."""
    markers = []
    for identity in gone:
        markers.append(_marker(head, identity, BONES, _LINE_LIST, None))
        markers.append(_marker(head, identity, JOINTS, _SPHERE_LIST, None))
    for subject in subjects:
        bones, joints = draw_subject(subject.estimate)
        markers.append(_marker(head, subject.identity, BONES, _LINE_LIST, bones))
        markers.append(_marker(head, subject.identity, JOINTS, _SPHERE_LIST, joints))
    return _bytes(_make('visualization_msgs/MarkerArray', markers), MARKERS)


def _skeleton(subject: Subject) -> Any:
    estimate = subject.estimate
    return _make(
        'v2v_pose_ros/Skeleton',
        subject_id=subject.identity,
        skeleton_name=estimate.skeleton.name,
        handedness=estimate.handedness,
        joint_names=list(estimate.skeleton.names),
        poses=[
            _make(
                'geometry_msgs/Pose',
                _make('geometry_msgs/Point', *position),
                _make('geometry_msgs/Quaternion', *orientation),
            )
            for position, orientation in _poses(subject)
        ],
        confidences=np.asarray(estimate.confidences, np.float32),
        occluded=np.array(occluded_list(estimate)),
        position_covariances=np.asarray(estimate.covariances, np.float64).ravel(),
        cube_center=_make('geometry_msgs/Point', *_floats(estimate.reference_point)),
        cube_size=float(estimate.cube_size),
        latency=_make('builtin_interfaces/Duration', 0, 0),
    )


def _marker(head: Any, identity: str, number: int, kind: int, drawing: Drawing | None) -> Any:
    """Return a marker; without a drawing, what removes it."""
    size = 0.0 if drawing is None else drawing.size
    scale = (size, 0.0, 0.0) if kind == _LINE_LIST else (size, size, size)
    points = [] if drawing is None else list(drawing.points)
    colors = [] if drawing is None else list(drawing.colors)
    return _make(
        'visualization_msgs/Marker',
        header=head,
        ns=identity,
        id=number,
        type=kind,
        action=_DELETE if drawing is None else _ADD,
        pose=_make(
            'geometry_msgs/Pose',
            _make('geometry_msgs/Point', 0.0, 0.0, 0.0),
            _make('geometry_msgs/Quaternion', 0.0, 0.0, 0.0, 1.0),
        ),
        scale=_make('geometry_msgs/Vector3', *scale),
        color=_make('std_msgs/ColorRGBA', 0.0, 0.0, 0.0, 0.0),
        # Without a lifetime: a recording may be played slowly or paused, and says who leaves.
        lifetime=_make('builtin_interfaces/Duration', 0, 0),
        frame_locked=False,
        points=[_make('geometry_msgs/Point', *point) for point in points],
        colors=[_make('std_msgs/ColorRGBA', *color) for color in colors],
        texture_resource='',
        texture=_make('sensor_msgs/CompressedImage', header(0, ''), '', np.zeros(0, np.uint8)),
        uv_coordinates=[],
        text='',
        mesh_resource='',
        mesh_file=_make('visualization_msgs/MeshFile', '', np.zeros(0, np.uint8)),
        mesh_use_embedded_materials=False,
    )


def _poses(subject: Subject) -> Iterable[tuple[list[float], list[float]]]:
    """Yield position and orientation of every joint."""
    return zip(
        np.asarray(subject.estimate.positions, np.float64).tolist(),
        subject.orientations.tolist(),
        strict=True,
    )


def _floats(values: NDArray[Any]) -> list[float]:
    return [float(value) for value in values]


def _time(nanoseconds: int) -> Any:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return _make('builtin_interfaces/Time', seconds, rest)


def _bytes(message: Any, kind: str) -> memoryview:
    data: memoryview = TYPES.serialize_cdr(message, kind)
    return data
