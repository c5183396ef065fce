"""Everything that the node publishes about an image, and what it takes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import time

from geometry_msgs.msg import PoseArray
import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from tf2_ros import TransformBroadcaster
from visualization_msgs.msg import MarkerArray

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros import hri, messages
from v2v_pose_ros.ros.overlays import overlay_message, OverlayUnavailable
from v2v_pose_ros.ros.parameters import NodeParameters
from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.subjects import Subject
from v2v_pose_ros.workspace import RigidTransform


@dataclass(frozen=True)
class Picture:
    """What an overlay is drawn on: depth [H, W] in metres and its camera."""

    depth: NDArray[np.float32]
    camera: Camera


@dataclass(frozen=True)
class View:
    """Subjects in the frame that a header names."""

    header: Header
    subjects: Sequence[Subject]

    def moved(self, frame: str, transform: RigidTransform) -> View:
        """Return the subjects in another frame, for what takes coordinates there."""
        header = Header(stamp=self.header.stamp, frame_id=frame)
        return View(header, [subject.moved(transform) for subject in self.subjects])


class Outputs:
    """The publications of a node.

    Args:
        node: Whose they are.
        warn: Called with a kind and a text when something cannot be published.

    All messages of one image are published from one thread; nobody else may publish meanwhile.
    """

    def __init__(self, node: Node, warn: Callable[[str, str], None]) -> None:
        self._skeletons = node.create_publisher(SkeletonArray, '~/skeletons', 1)
        self._poses = node.create_publisher(PoseArray, '~/poses', 1)
        self._markers = node.create_publisher(MarkerArray, '~/markers', 1)
        self._points = node.create_publisher(PointCloud2, '~/points', 1)
        self._overlay = node.create_publisher(Image, '~/overlay', 1)
        self._overlays_work = True
        self._transforms = TransformBroadcaster(node)
        self._bodies = hri.Bodies(node)
        self._warn = warn
        self._logger = node.get_logger()
        self._shown: set[str] = set()
        self._header = Header()

    def publish_skeletons(self, arrival: float, view: View) -> None:
        """Publish the skeletons of an image that arrived then, which may be none."""
        if _wanted(self._skeletons):
            latency = time.monotonic() - arrival
            self._skeletons.publish(
                messages.skeleton_array_message(view.header, view.subjects, latency)
            )

    def publish_others(
        self,
        camera: View,
        view: View,
        parameters: NodeParameters,
        picture: Picture | None = None,
    ) -> None:
        """Publish the same for tools that know no skeletons.

        Args:
            camera: the subjects in the camera's optical frame.
            view: the same in the frame that was asked for.
            parameters: as they were for this image.
            picture: what an overlay is drawn on, if anything.
        """
        people = self._people(camera.subjects, parameters)
        if parameters.publish_tf and camera.subjects:
            self._publish_transforms(camera.header, camera.subjects, people)
        if parameters.publish_hri:
            seen_by = None if picture is None else picture.camera
            self._bodies.publish(camera.header, people, seen_by, parameters.lose_time)
        else:
            self._bodies.clear()
        if parameters.publish_poses and _wanted(self._poses):
            self._poses.publish(messages.pose_array_message(view.header, view.subjects))
        shown = view.subjects if parameters.publish_markers else []
        self._publish_markers(view.header, shown, parameters.marker_lifetime)
        if view.subjects and parameters.publish_points and _wanted(self._points):
            points = np.concatenate([subject.estimate.points for subject in view.subjects])
            self._points.publish(messages.point_cloud_message(view.header, points))
        if picture is not None and parameters.publish_overlay:
            self._publish_overlay(camera.header, camera.subjects, picture)

    def clear(self) -> None:
        """Remove the markers that are shown, and whoever is listed as tracked."""
        self._bodies.clear()
        if self._shown:
            gone = sorted(self._shown)
            self._markers.publish(messages.marker_deletion_message(self._header, gone))
        self._shown = set()

    def _people(
        self, subjects: Sequence[Subject], parameters: NodeParameters
    ) -> dict[str, Subject]:
        """Return those whom REP 155 speaks of, by identifier; nobody unless that is published."""
        if not (parameters.publish_hri and self._bodies.work):
            return {}
        return {
            hri.body_id(subject, parameters.subject): subject
            for subject in subjects
            if subject.estimate.skeleton.name == BODY.name
        }

    def _publish_transforms(
        self, header: Header, subjects: Sequence[Subject], people: Mapping[str, Subject]
    ) -> None:
        if header.frame_id:
            transforms = messages.transform_messages(header, subjects)
            for identity, subject in people.items():
                transforms += hri.transform_messages(header, subject, identity)
            self._transforms.sendTransform(transforms)
        else:
            self._warn(
                'frame_id',
                'depth images have no frame_id, so there is no TF: let the camera driver '
                'name its optical frame',
            )

    def _publish_markers(
        self, header: Header, subjects: Sequence[Subject], lifetime: float
    ) -> None:
        """Publish markers of those in view and, once, the removal of those who left it."""
        present = {subject.identity for subject in subjects}
        gone, self._shown, self._header = self._shown - present, present, header
        if not _wanted(self._markers):
            return
        if gone:
            self._markers.publish(messages.marker_deletion_message(header, sorted(gone)))
        if subjects:
            self._markers.publish(messages.marker_array_message(header, subjects, lifetime))

    def _publish_overlay(
        self, header: Header, subjects: Sequence[Subject], picture: Picture
    ) -> None:
        if not self._overlays_work or not _wanted(self._overlay):
            return
        estimates = [subject.estimate for subject in subjects]
        names = ', '.join(
            f'{subject.identity} {np.mean(subject.estimate.confidences):.2f}'
            for subject in subjects
        )
        try:
            message = overlay_message(
                header, picture.depth, picture.camera, estimates, names or 'not found'
            )
        except OverlayUnavailable as error:
            self._overlays_work = False
            self._logger.warning(str(error))
            return
        self._overlay.publish(message)


def _wanted(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0
