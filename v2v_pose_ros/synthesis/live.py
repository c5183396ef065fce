"""A scene that moves before a camera: only the subject is rendered for every frame.

What stands still behind it is rendered once.  Sensor noise comes from tiles drawn beforehand, so
that a frame costs a few milliseconds of one core.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.synthesis.quick_sensor import Array, EDGE, SensorNoise, SHADOW
from v2v_pose_ros.synthesis.scanlines import scan


class LiveScene(ABC):
    """Depth and true joints at any time; the same seed gives the same frames in any order.

    Everything is metres in the optical frame (x right, y down, z forward); 0 is no measurement.
    """

    edge_step: ClassVar[float] = EDGE
    """Metres: a larger step between neighbouring pixels is the edge of an object."""

    def __init__(
        self, camera: Camera, seed: int = 0, noise: bool = True, background: bool = True
    ) -> None:
        """Draw the subject's shape and motion from the seed and render what stands still.

        Args:
            camera: size and intrinsics of the images.
            seed: decides shape, gestures, path and noise.
            noise: whether frames are as a sensor measures them, or exact.
            background: whether there is something behind the subject, or nothing.
        """
        self.camera, self.seed = camera, seed
        self._faces = self._draw(torch.Generator().manual_seed(seed)).numpy()
        still = self._still() if background else np.zeros((camera.height, camera.width), 'f4')
        self._noise = SensorNoise(camera, seed, edge_step=self.edge_step) if noise else None
        self._backgrounds = self._noise.views(still) if self._noise else [still]

    @abstractmethod
    def _draw(self, generator: torch.Generator) -> Tensor:
        """Draw shape and motion; return the faces [F, 3] of the subject's mesh."""

    @abstractmethod
    def _subject(self, time: float) -> tuple[Tensor, Tensor]:
        """Return vertices [V, 3] and joints [J, 3] at a time in seconds from the start."""

    @abstractmethod
    def _still(self) -> Array:
        """Render what stands still, [rows, columns]."""

    @torch.inference_mode()
    def frame(self, time: float) -> tuple[Array, Array]:
        """Return depth [rows, columns] and joints [J, 3] at a time in seconds from the start."""
        vertices, joints = self._subject(max(time, 0.0))
        rows, columns = self._window(vertices)
        subject = self._render(vertices, rows, columns)
        rng = np.random.default_rng([self.seed, round(max(time, 0.0) * 1e6)])
        depth = self._backgrounds[rng.integers(len(self._backgrounds))].copy()
        window = depth[rows, columns]
        if self._noise is None:
            np.copyto(window, subject, where=subject > 0)
        else:
            self._noise.blend(window, subject, rng)
        return depth, joints.numpy()

    def _window(self, vertices: Tensor) -> tuple[slice, slice]:
        """Return the rows and columns that the subject covers, with room for its shadow."""
        camera = self.camera
        pixels = camera.project(vertices[vertices[:, 2] > 0.05].numpy())
        low, high = pixels.min(0), pixels.max(0)
        columns = slice(max(int(low[0]) - 2, 0), min(int(high[0]) + SHADOW, camera.width))
        rows = slice(max(int(low[1]) - 2, 0), min(int(high[1]) + 3, camera.height))
        return rows, columns

    def _render(self, vertices: Tensor, rows: slice, columns: slice) -> Array:
        camera = self.camera
        intrinsics = camera.fx, camera.fy, camera.cx - columns.start, camera.cy - rows.start
        size = rows.stop - rows.start, columns.stop - columns.start
        return scan(vertices.numpy(), self._faces, intrinsics, size)
