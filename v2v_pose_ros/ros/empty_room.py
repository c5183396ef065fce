"""The service that lets a node learn the empty room before its camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from std_srvs.srv import SetBool

from v2v_pose_ros.background import Background
from v2v_pose_ros.ros.images import InputProblem

IMAGES = 30
"""So many images of the empty room are learned: a second of most cameras."""


class EmptyRoom:
    """Learns the room when it is asked to, and takes it out of depth images from then on.

    Requests come in the executor's thread, images in the inference thread: what they share is
    replaced as a whole.
    """

    def __init__(self, node: Node) -> None:
        """Offer the service on a node."""
        self._background: Background | None = None
        self._learns = False
        node.create_service(SetBool, '~/learn_background', self._on_request)

    def _on_request(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._learns = bool(request.data)
        self._background = Background() if request.data else None
        response.success = True
        response.message = (
            f'the next {IMAGES} images are taken for the empty room: leave it meanwhile'
            if request.data
            else 'the room is forgotten'
        )
        return response

    def taken_from(
        self, depth: NDArray[np.float32], visible: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what is visible [H, W] without the room that was learned, if it was.

        Args:
            depth: the whole image, metres, 0 = no measurement; learned while that is wanted.
            visible: the same without what is to be left out for other reasons.

        Raises InputProblem while the room is learned, and for images of another size.
        """
        background = self._background
        if background is None:
            return visible
        learns = self._learns
        try:
            if learns:
                background.learn(depth)
            else:
                visible = background.remove_from(visible)
        except ValueError as error:
            raise InputProblem('background', f'{error} (call ~/learn_background)') from None
        if learns:
            self._learns = background.images < IMAGES
            raise InputProblem(
                'background',
                f'learning the empty room, image {background.images} of {IMAGES}; nobody is '
                'looked for meanwhile',
            )
        return visible
