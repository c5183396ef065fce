"""Where others say that the subject is: a point, a region, a TF frame, a workspace."""

from __future__ import annotations

import time

from geometry_msgs.msg import PointStamped
import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.ros.images import InputProblem
from v2v_pose_ros.ros.parameters import NodeParameters
from v2v_pose_ros.ros.transforms import Transforms, TransformUnavailable
from v2v_pose_ros.workspace import keep_box, keep_region, RigidTransform


class Whereabouts:
    """Listens to what others say, as the parameters have it; used from the inference thread."""

    def __init__(
        self, node: Node, parameters: NodeParameters, transforms: Transforms | None
    ) -> None:
        """Subscribe on a node; transforms are needed if the parameters name another frame."""
        self._node, self._transforms = node, transforms
        self._point: tuple[float, PointStamped] | None = None
        self._region: tuple[float, RegionOfInterest] | None = None
        self._subscription = None
        if parameters.reference == 'point':
            self._subscription = node.create_subscription(
                PointStamped, '~/reference_point', self._on_point, 1
            )
        elif parameters.reference == 'region':
            self._subscription = node.create_subscription(
                RegionOfInterest, '~/region_of_interest', self._on_region, 1
            )

    def destroy(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def _on_point(self, point: PointStamped) -> None:
        self._point = (time.monotonic(), point)

    def _on_region(self, region: RegionOfInterest) -> None:
        self._region = (time.monotonic(), region)

    def point(self, header: Header, parameters: NodeParameters) -> NDArray[np.float32] | None:
        """Return the point [3] of the optical frame where the subject is said to be, if any.

        Args:
            header: of the image.
            parameters: as they are now.

        Raises InputProblem when nobody says so although somebody should.
        """
        if parameters.reference == 'frame':
            return self._to_camera(parameters.reference_frame, np.zeros(3), header)
        if parameters.reference != 'point':
            return None
        said = self._point
        if said is None or time.monotonic() - said[0] > parameters.reference_timeout:
            raise _silence('~/reference_point', 'point', parameters)
        message = said[1]
        place = np.array([message.point.x, message.point.y, message.point.z])
        if not np.isfinite(place).all():
            raise InputProblem('point', 'the point on ~/reference_point is not finite')
        return self._to_camera(message.header.frame_id or header.frame_id, place, header)

    def restrict(
        self,
        depth: NDArray[np.float32],
        camera: Camera,
        header: Header,
        parameters: NodeParameters,
    ) -> NDArray[np.float32]:
        """Return the depth image [H, W] without what lies outside of region and workspace.

        Raises InputProblem when the region or the frame of the workspace is not known.
        """
        if parameters.reference == 'region':
            said = self._region
            if said is None or time.monotonic() - said[0] > parameters.reference_timeout:
                raise _silence('~/region_of_interest', 'region', parameters)
            region = said[1]
            depth = keep_region(
                depth, region.x_offset, region.y_offset, region.width, region.height
            )
        low, high = parameters.workspace
        if np.isinf([low, high]).all():
            return depth
        frame = parameters.workspace_frame or header.frame_id
        transform = lookup(self._transforms, frame, header.frame_id, header)
        return keep_box(depth, camera, transform, low, high)

    def _to_camera(
        self, frame: str, point: NDArray[np.float64], header: Header
    ) -> NDArray[np.float32]:
        transform = lookup(self._transforms, header.frame_id, frame, header)
        return transform.apply(point).astype(np.float32)


def lookup(
    transforms: Transforms | None, target: str, source: str, header: Header
) -> RigidTransform:
    """Return a transform at the time of an image.

    Without transforms there is but one frame, the camera's. Raises InputProblem.
    """
    if transforms is None:
        return RigidTransform.identity()
    try:
        return transforms.lookup(target, source, header.stamp)
    except TransformUnavailable as error:
        raise InputProblem(f'transform {target} {source}', str(error)) from None


def _silence(topic: str, what: str, parameters: NodeParameters) -> InputProblem:
    return InputProblem(
        'reference',
        f'no {what} on {topic} for {parameters.reference_timeout:g} s, so the subject is looked '
        'for nowhere: publish it for every image, or set reference to search',
    )
