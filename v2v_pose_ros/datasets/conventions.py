"""What each dataset calls a coordinate: camera, units, which way is up, joints and cube.

Pixels are 0-based and pixel centres have integer coordinates.  The datasets' world coordinates
have x to the right and z forward; y points up in NYU, MSRA and ITOP and down in ICVL and HANDS
2017.  The numbers are those of the authors' readers (V2V-PoseNet_RELEASE, src/data/*/data.lua).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.skeletons import BODY, HAND, ICVL, MSRA, NYU, Skeleton


@dataclass(frozen=True)
class Convention:
    """The convention of one dataset.

    Attributes:
        name: what the command line calls it.
        title: what people call it.
        skeleton: its joints in its order.
        camera: the rectified camera of every frame.
        unit: metres per unit of its world coordinates and depths.
        y_up: whether its world's y axis points up.
        cube_size: the paper's cube in metres.
    """

    name: str
    title: str
    skeleton: Skeleton
    camera: Camera
    unit: float
    y_up: bool
    cube_size: float

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.array([1.0, -1.0 if self.y_up else 1.0, 1.0]) * self.unit

    def from_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """Turn the dataset's world coordinates [..., 3] into metres in the optical frame."""
        return np.asarray(points, np.float64) * self._scale

    def to_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """Turn metres in the optical frame [..., 3] into the dataset's world coordinates."""
        return np.asarray(points, np.float64) / self._scale

    def from_pixels(self, points: ArrayLike, camera: Camera | None = None) -> NDArray[np.float64]:
        """Turn u, v (pixels), d (the dataset's unit) [..., 3] into metres in the optical frame.

        Args:
            points: u, v, d.
            camera: the intrinsics to use; those of the dataset by default.
        """
        camera = camera or self.camera
        u, v, d = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        z = d * self.unit
        return np.stack(
            [(u - camera.cx) * z / camera.fx, (v - camera.cy) * z / camera.fy, z], axis=-1
        )

    def to_pixels(self, points: ArrayLike, camera: Camera | None = None) -> NDArray[np.float64]:
        """Turn metres in the optical frame [..., 3] into u, v (pixels), d (the dataset's unit)."""
        camera = camera or self.camera
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        return np.stack(
            [camera.cx + x / z * camera.fx, camera.cy + y / z * camera.fy, z / self.unit], axis=-1
        )


_SMALL = Camera(320, 240, 241.42, 241.42, 160.0, 120.0)
_NYU = Camera(640, 480, 588.036865, 587.075073, 320.0, 240.0)
_HANDS2017 = Camera(640, 480, 475.065948, 475.065857, 315.944855, 245.287079)
_ITOP = Camera(320, 240, 1 / 0.0035, 1 / 0.0035, 160.0, 120.0)

CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention('icvl', 'ICVL', ICVL, _SMALL, 0.001, False, 0.2),
        Convention('nyu', 'NYU', NYU, _NYU, 0.001, True, 0.25),
        Convention('msra', 'MSRA', MSRA, _SMALL, 0.001, True, 0.2),
        Convention('hands2017', 'HANDS 2017', HAND, _HANDS2017, 0.001, False, 0.25),
        Convention('itop_front', 'ITOP front', BODY, _ITOP, 1.0, True, 2.0),
        Convention('itop_top', 'ITOP top', BODY, _ITOP, 1.0, True, 2.0),
    )
}
"""The conventions by the names that the command line uses."""
