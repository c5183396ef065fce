"""A structured-light sensor's errors in a few milliseconds a frame, for cameras that run live.

`sensors` has the full models, family by family.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera

Array = NDArray[np.float32]

SHADOW = 40  # pixels: the widest shadow beside the hand
EDGE = 0.012  # metres: on a hand, a larger step between neighbours is the edge of an object
_ROOM = 61  # pixels by which the noise tiles can be shifted
_VIEWS = 6


class SensorNoise:
    """A structured-light sensor's errors, cheap: drawn once, laid over frames with random offsets.

    Range noise grows with the square of the distance; edges are ragged; single pixels are missing;
    and what the projector, beside the camera, cannot light behind the hand is not measured.
    """

    def __init__(
        self,
        camera: Camera,
        seed: int,
        *,
        fine: float = 0.0018,
        slow: float = 0.0022,
        edge_loss: float = 0.35,
        holes: float = 0.003,
        baseline: float = 0.035,
        edge_step: float = EDGE,
    ) -> None:
        """Draw the tiles.

        Args:
            camera: size and focal length.
            seed: of the noise.
            fine: range noise from pixel to pixel at 1 m, standard deviation in metres.
            slow: the same over patches of eight pixels.
            edge_loss: share of the pixels at depth edges that are lost.
            holes: share of all pixels that are lost.
            baseline: from camera to projector in metres; decides the width of the shadow.
            edge_step: metres; a larger step between neighbouring pixels is the edge of an object.
        """
        rng = np.random.default_rng([seed, 1])
        shape = camera.height + _ROOM, camera.width + _ROOM
        coarse = rng.standard_normal((shape[0] // 8 + 1, shape[1] // 8 + 1), np.float32)
        patches = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
        self._range = fine * rng.standard_normal(shape, np.float32) + slow * patches
        self._lost_at_edge = rng.random(shape, np.float32) < edge_loss
        self._holes = rng.random(shape, np.float32) < holes
        self._push, self._edge_step = camera.fx * baseline, edge_step

    def views(self, still: Array) -> list[Array]:
        """Return several noisy versions of depth [rows, columns] that does not move."""
        rng = np.random.default_rng(0)
        return [self._measure(still, rng) for _ in range(_VIEWS)]

    def blend(self, window: Array, hand: Array, rng: np.random.Generator) -> None:
        """Lay the measured hand and its shadow over a window of the background, in place."""
        covered = hand > 0
        if not covered.any():
            return
        near = float(hand[covered].min())
        width = min(int(self._push * (1 / near - 1 / (near + 0.5))), SHADOW - 1)
        if width > 0:
            # A box to the left of the anchor: every pixel with the hand up to `width` to its left.
            kernel = np.ones((1, width + 1), np.uint8)
            shadow = cv2.dilate(covered.view(np.uint8), kernel, anchor=(width, 0))
            window[shadow.view(bool)] = 0
        np.copyto(window, self._measure(hand, rng), where=covered)

    def _measure(self, depth: Array, rng: np.random.Generator) -> Array:
        """Return what the sensor sees of depth [rows, columns]; lost pixels are 0."""
        down, right = rng.integers(_ROOM, size=2)
        place = slice(down, down + depth.shape[0]), slice(right, right + depth.shape[1])
        kernel = np.ones((3, 3), np.uint8)
        edge = cv2.dilate(depth, kernel) - cv2.erode(depth, kernel) > self._edge_step
        lost = (edge & self._lost_at_edge[place]) | self._holes[place]
        measured = depth + self._range[place] * depth * depth
        measured[lost] = 0
        return np.asarray(measured, np.float32)
