"""What there is to be seen of a frame, without anything that draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.localization import crop_points
from v2v_pose_ros.subjects import Subject

GRID = 44
"""Cells along an edge of the occupancy grid that is shown; the networks' have 44 to 88."""


@dataclass(frozen=True)
class Scene:
    """A frame and who was found in it.

    Attributes:
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera of the image.
        subjects: who was found.
        stamp: when it was taken, seconds.
        timings: seconds that each stage took.
    """

    depth: FloatArray
    camera: Camera
    subjects: Sequence[Subject]
    stamp: float
    timings: Mapping[str, float] = field(default_factory=dict)

    def cube_points(self, subject: Subject) -> FloatArray:
        """Return the measured points [N, 3] in a subject's cube."""
        estimate = subject.estimate
        return crop_points(self.depth, self.camera, estimate.reference_point, estimate.cube_size)


def occupied_cells(
    points: NDArray[np.floating], centre: FloatArray, cube_size: float, grid: int = GRID
) -> FloatArray:
    """Return the middles [M, 3] of the cells that hold points [N, 3], in metres.

    A cell is half-open, as in `voxels`: points on its upper border belong to the next one.
    """
    cell = cube_size / grid
    low = np.asarray(centre, np.float64) - cube_size / 2
    indices = np.floor((points - low) / cell).astype(np.int64)
    inside = ((indices >= 0) & (indices < grid)).all(axis=1)
    occupied = np.zeros((grid, grid, grid), bool)
    occupied[tuple(indices[inside].T)] = True
    middles = low + (np.argwhere(occupied) + 0.5) * cell
    return middles.astype(np.float32)
