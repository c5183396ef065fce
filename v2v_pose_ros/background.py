"""What an empty room looks like to a camera that does not move, and what stands before it.

With it, a person is found whatever they lean on: all that is nearer than the room is a subject.
"""

from __future__ import annotations

import numpy as np

from v2v_pose_ros.camera import FloatArray

_NEARER = 0.04  # metres before the room at 1 m distance; noise of depth grows with its square


class Background:
    """The farthest depth that each pixel has measured while nobody was there.

    Pixels that measured nothing then, as beyond the camera's range, hide nothing: whatever they
    measure later stands before them.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.images = 0
        self._farthest: FloatArray | None = None

    def learn(self, depth: FloatArray) -> None:
        """Take in an image [H, W] of the empty room in metres, 0 = no measurement.

        Raises:
            ValueError: the image is of another size than those before it.
        """
        if self._farthest is None:
            self._farthest = np.array(depth, np.float32)
        else:
            self._check(depth)
            np.maximum(self._farthest, depth, out=self._farthest)
        self.images += 1

    def remove_from(self, depth: FloatArray) -> FloatArray:
        """Return a depth image [H, W] without the room; where it was is 0.

        Raises:
            ValueError: nothing was learned, or images of another size.
        """
        if self._farthest is None:
            raise ValueError('no image of the empty room was learned')
        self._check(depth)
        nearer = self._farthest - _NEARER * np.maximum(1.0, depth * depth)
        stands = (self._farthest == 0) | (depth < nearer)
        return np.where(stands, depth, np.float32(0))

    def _check(self, depth: FloatArray) -> None:
        assert self._farthest is not None
        if depth.shape != self._farthest.shape:
            rows, columns = self._farthest.shape
            raise ValueError(
                f'the image has {depth.shape[1]} x {depth.shape[0]} pixels; the empty room was '
                f'learned with {columns} x {rows}: learn it again'
            )
