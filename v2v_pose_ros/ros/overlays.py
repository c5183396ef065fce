"""The depth image in colour with the skeletons drawn on it, as a message.

The message is made by cv_bridge, whose compiled part does not go together with every NumPy: where
importing it fails, there is no overlay, and everything else works.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from v2v_pose_ros.camera import Camera

if TYPE_CHECKING:  # it would import PyTorch
    from v2v_pose_ros.estimator import SkeletonEstimate


class OverlayUnavailable(RuntimeError):
    """cv_bridge cannot be used here; the text says why and what to do."""


@cache
def _bridge() -> Any:
    try:
        from cv_bridge import CvBridge
    except Exception as error:  # ImportError, and what a module built for another NumPy raises
        raise OverlayUnavailable(
            f'cv_bridge cannot be imported ({error}), so there is no overlay image: install '
            'ros-$ROS_DISTRO-cv-bridge, or a NumPy of the version it was built for'
        ) from error
    return CvBridge()


def overlay_message(
    header: Header,
    depth: NDArray[np.float32],
    camera: Camera,
    estimates: Sequence[SkeletonEstimate],
    status: str,
) -> Image:
    """Return a bgr8 image of the depth image's size and header.

    Args:
        header: of the depth image.
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera of the image.
        estimates: the skeletons to draw.
        status: a line of text.

    Raises OverlayUnavailable.
    """
    bridge = _bridge()  # first, since the other import takes seconds
    from v2v_pose_ros.overlay import add_status, color_depth, draw_skeletons

    picture = add_status(draw_skeletons(color_depth(depth), camera, estimates), status)
    return bridge.cv2_to_imgmsg(picture, encoding='bgr8', header=header)
