"""Where something moves before a camera that stands still."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.localization.options import LocalizerOptions
from v2v_pose_ros.localization.thinned import thin, ThinnedImage

_SPAN = 0.3  # seconds between the two images that are compared, at least
_GAP = 2.0  # seconds: after a longer one, all may be otherwise
_NOISE = 0.02  # metres at 1 m that are no motion; noise of depth grows with the square
_RETREAT = 0.5  # metres: what is farther away than before by more was hidden before
_LEAST = 0.0075  # of a side of the cube, facing the camera: a person's arm that waves
_MOST = 0.4  # of all that is measured: where more moves, it is the camera


class MotionDetector:
    """Compares depth images with those of a moment ago.

    Smaller things than a part of the cube's side are passed over.

    Moving things are nearer than what was there before, or a little farther as they retreat; what
    they uncover is much farther, and stands still.
    """

    def __init__(self, cube_size: float) -> None:
        """Know nothing yet."""
        self._least = _LEAST * cube_size**2
        self._past: deque[tuple[float, ThinnedImage]] = deque()

    def reset(self) -> None:
        """Forget all images."""
        self._past.clear()

    def places(
        self, depth: FloatArray, camera: Camera, stamp: float, options: LocalizerOptions
    ) -> list[FloatArray] | None:
        """Return the middles [3] (m) of what moves, the largest first.

        Args:
            depth: [H, W] metres, 0 = no measurement.
            camera: the camera of this image.
            stamp: when it was taken, in seconds.
            options: where to look.

        Returns:
            None while there is no image of a moment ago to compare with.
        """
        image = thin(depth, camera, options)
        if self._past and not self._follows(stamp, image):
            self.reset()
        self._past.append((stamp, image))
        while len(self._past) > 1 and stamp - self._past[1][0] >= _SPAN:
            self._past.popleft()
        before, past = self._past[0]
        return _moving(past, image, self._least) if stamp - before >= _SPAN else None

    def _follows(self, stamp: float, image: ThinnedImage) -> bool:
        """Tell whether an image goes on where the last one was."""
        before, past = self._past[-1]
        return 0 < stamp - before < _GAP and past.z.shape == image.z.shape


def _moving(past: ThinnedImage, image: ThinnedImage, least: float) -> list[FloatArray]:
    """Return the middles of what moves, if it faces the camera with that many square metres."""
    nearer = np.where(past.valid, past.z - image.z, np.inf)
    noise = _NOISE * np.maximum(1.0, image.z**2)
    moved = image.valid & ((nearer > noise) | ((nearer < -noise) & (nearer > -_RETREAT)))
    # The edges of things flicker, a pixel wide.
    cleaned = cv2.morphologyEx(moved.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if cleaned.sum() > _MOST * image.valid.sum():
        return []
    joined = cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    labels[cleaned == 0] = 0
    areas = np.bincount(labels.ravel(), image.area.ravel(), count)
    areas[0] = 0.0
    order = [label for label in np.argsort(-areas) if areas[label] >= least]
    return [_middle(image, labels == label) for label in order]


def _middle(image: ThinnedImage, mask: NDArray[np.bool_]) -> FloatArray:
    return np.asarray(np.median(image.points[mask], axis=0), np.float32)
