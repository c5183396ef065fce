"""People in the way of REP 155, for the tools of ROS4HRI: who is tracked, skeletons, TF frames.

The messages are those of hri_msgs, which is no dependency of this package: where it is not
installed, nothing of this is published, and everything else works.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
import time
from typing import Any

from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
import numpy as np
from numpy.typing import NDArray
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.subjects import Subject
from v2v_pose_ros.workspace import RigidTransform

NAMESPACE = '/humans/bodies'

_KEYPOINTS = {
    'NECK': 'neck',
    'RIGHT_SHOULDER': 'right_shoulder',
    'RIGHT_ELBOW': 'right_elbow',
    'RIGHT_WRIST': 'right_hand',
    'LEFT_SHOULDER': 'left_shoulder',
    'LEFT_ELBOW': 'left_elbow',
    'LEFT_WRIST': 'left_hand',
    'RIGHT_HIP': 'right_hip',
    'RIGHT_KNEE': 'right_knee',
    'RIGHT_ANKLE': 'right_foot',
    'LEFT_HIP': 'left_hip',
    'LEFT_KNEE': 'left_knee',
    'LEFT_ANKLE': 'left_foot',
}
"""Our joints by the names of Skeleton2D's key points; nose, eyes and ears are not estimated."""

_POINTS = 18
_TORSO = BODY.index('torso')
_HIPS = BODY.indices(['right_hip', 'left_hip'])


class HriUnavailable(RuntimeError):
    """hri_msgs cannot be used here; the text says why and what to do."""


@cache
def _hri_msgs() -> Any:
    try:
        from hri_msgs import msg
    except ImportError as error:
        raise HriUnavailable(
            f'hri_msgs is not installed ({error}), so {NAMESPACE} is not published: install '
            'ros-$ROS_DISTRO-hri-msgs, or set publish_hri to false'
        ) from error
    return msg


def body_id(subject: Subject, name: str) -> str:
    """Return the identifier of a person: the parameter `subject` and who it is of them all.

    It comes not again as long as the node runs, and begins with a letter, as topics' names must.
    """
    return f'{name}{subject.estimate.number}'


def ids_message(header: Header, ids: Sequence[str]) -> Any:
    """Return the hri_msgs/IdsList of those who are tracked.  Raises HriUnavailable."""
    return _hri_msgs().IdsList(header=header, ids=list(ids))


def skeleton_message(header: Header, subject: Subject, camera: Camera) -> Any:
    """Return a person's joints in the image as hri_msgs/Skeleton2D.

    Coordinates are shares of the image's width and height.  What is not estimated, and what lies
    outside of the image, is (0, 0) with confidence 0, as OpenPose has it.  Raises HriUnavailable.
    """
    kinds = _hri_msgs()
    estimate = subject.estimate
    points = [kinds.NormalizedPointOfInterest2D(x=0.0, y=0.0, c=0.0) for _ in range(_POINTS)]
    before = estimate.positions[:, 2] > 0
    pixels = camera.project(np.where(before[:, None], estimate.positions, [0, 0, 1]))
    # The middle of the first pixel is half a pixel from the image's corner.
    shares = (pixels + 0.5) / [camera.width, camera.height]
    inside = before & (shares >= 0).all(axis=1) & (shares <= 1).all(axis=1)
    for keypoint, name in _KEYPOINTS.items():
        joint = estimate.skeleton.index(name)
        if inside[joint]:
            point = points[getattr(kinds.Skeleton2D, keypoint)]
            point.x, point.y = (float(share) for share in shares[joint])
            point.c = float(estimate.confidences[joint])
    return kinds.Skeleton2D(header=header, skeleton=points)


def transform_messages(header: Header, subject: Subject, identity: str) -> list[TransformStamped]:
    """Return ``body_<id>`` in the optical frame and ``<link>_<id>`` of every joint in that.

    The body's origin lies between the hips, its x points out of the chest and its z to the neck.
    """
    estimate = subject.estimate
    positions = np.asarray(estimate.positions, np.float64)
    turns = Rotation.from_quat(subject.orientations)
    up, _, front = turns[_TORSO].as_matrix().T
    root = RigidTransform(
        np.stack([front, np.cross(up, front), up], axis=1), positions[_HIPS].mean(axis=0)
    )
    frame = f'body_{identity}'
    back = Rotation.from_matrix(root.rotation.T)
    places = (positions - root.translation) @ root.rotation
    inner = Header(stamp=header.stamp, frame_id=frame)
    return [
        _transform(header, frame, root.translation, back.inv()),
        *(
            _transform(inner, f'{link}_{identity}', place, back * turn)
            for link, place, turn in zip(estimate.skeleton.links, places, turns, strict=True)
        ),
    ]


def _transform(
    header: Header, frame: str, place: NDArray[np.float64], turn: Rotation
) -> TransformStamped:
    transform = TransformStamped(header=header, child_frame_id=frame)
    (x, y, z), (qx, qy, qz, qw) = place.tolist(), turn.as_quat().tolist()
    transform.transform.translation = Vector3(x=x, y=y, z=z)
    transform.transform.rotation = Quaternion(x=qx, y=qy, z=qz, w=qw)
    return transform


class Bodies:
    """What a node publishes in /humans/bodies; the namespace is absolute, as REP 155 has it.

    Those who were seen a moment ago stay in the list, so that nobody who listens lets go of them
    for a single image.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._tracked: Publisher | None = None
        self._skeletons: dict[str, Publisher] = {}
        self._seen: dict[str, float] = {}
        self._header = Header()
        self._missing = False

    @property
    def work(self) -> bool:
        """Whether hri_msgs is there; that it is not is said once."""
        if self._tracked is None and not self._missing:
            try:
                kind = _hri_msgs().IdsList
            except HriUnavailable as error:
                self._missing = True
                self._node.get_logger().info(str(error))
            else:
                self._tracked = self._publisher(kind, 'tracked')
        return not self._missing

    def publish(
        self,
        header: Header,
        people: dict[str, Subject],
        camera: Camera | None,
        lose_time: float,
    ) -> None:
        """Publish who is tracked, and the skeletons of those in view.

        Args:
            header: of the image.
            people: those in view, by identifier.
            camera: of the image; nobody is in view where there is none.
            lose_time: seconds for which one who is not in view is tracked.
        """
        if not self.work:
            return
        now = time.monotonic()
        self._seen.update(dict.fromkeys(people, now))
        for identity in [each for each, seen in self._seen.items() if now - seen > lose_time]:
            self._forget(identity)
        self._list(header)
        for identity, subject in people.items():
            if identity not in self._skeletons:
                kind = _hri_msgs().Skeleton2D
                self._skeletons[identity] = self._publisher(kind, f'{identity}/skeleton2d')
            if camera is not None and self._skeletons[identity].get_subscription_count():
                self._skeletons[identity].publish(skeleton_message(header, subject, camera))

    def clear(self) -> None:
        """Tell that nobody is tracked any more, if anybody was."""
        if self._seen:
            for identity in list(self._seen):
                self._forget(identity)
            self._list(self._header)

    def _list(self, header: Header) -> None:
        self._header = header
        self._tracked.publish(ids_message(header, list(self._seen)))

    def _forget(self, identity: str) -> None:
        del self._seen[identity]
        if publisher := self._skeletons.pop(identity, None):
            self._node.destroy_publisher(publisher)

    def _publisher(self, kind: type, topic: str) -> Publisher:
        # Without events, nothing of it belongs to the executor, which runs in another thread.
        silent = PublisherEventCallbacks(use_default_callbacks=False)
        return self._node.create_publisher(kind, f'{NAMESPACE}/{topic}', 1, event_callbacks=silent)
