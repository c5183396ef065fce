"""Cubes about reference points: what is in them, for the networks, and their best middles."""

from __future__ import annotations

import numpy as np

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.networks.refinement import CROP

_CORNERS = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T


def bounding_box_middle(joints: FloatArray) -> FloatArray:
    """Return the middle [3] of the box about joints [J, 3]: the reference point networks know.

    The released centres of the paper are closest to it among simple candidates.
    """
    return np.asarray(0.5 * (joints.min(axis=0) + joints.max(axis=0)), np.float32)


def crop_points(
    depth: FloatArray, camera: Camera, reference: FloatArray, cube_size: float
) -> FloatArray:
    """Return the points [N, 3] inside a cube; only pixels that can lie in it are touched.

    Args:
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera.
        reference: [3] centre of the cube in metres.
        cube_size: edge of the cube in metres.
    """
    half = np.float32(cube_size / 2)
    top, bottom, left, right = _window(camera, reference, float(half))
    z = np.ascontiguousarray(depth[top:bottom, left:right])
    near = z >= reference[2] - half
    near &= z < reference[2] + half
    near &= z > 0
    chosen = np.flatnonzero(near)
    row = chosen // max(1, right - left)  # a remainder takes much longer than a quotient
    x, y = camera.rays_at(row + top, chosen - row * (right - left) + left)
    z = z.ravel().take(chosen)
    x *= z
    y *= z
    inside = np.abs(x - reference[0]) <= half
    inside &= np.abs(y - reference[1]) <= half
    chosen = np.flatnonzero(inside)
    # Axis by axis in memory: what follows goes through one axis after the other.
    points = np.empty((3, len(chosen)), np.float32)
    for axis, values in enumerate((x, y, z)):
        values.take(chosen, out=points[axis], mode='clip')  # 'raise' would make a copy
    return points.T


def _window(camera: Camera, reference: FloatArray, half: float) -> tuple[int, int, int, int]:
    """Return the rows and columns, half-open, that a cube can cover."""
    if reference[2] - half < 0.05:
        return 0, camera.height, 0, camera.width  # it reaches behind the lens
    pixels = camera.project((reference + half * _CORNERS).astype(np.float32))
    low = np.floor(pixels.min(axis=0)) - 1
    high = np.ceil(pixels.max(axis=0)) + 2
    left, right = np.clip([low[0], high[0]], 0, camera.width).astype(int)
    top, bottom = np.clip([low[1], high[1]], 0, camera.height).astype(int)
    return int(top), int(bottom), int(left), int(right)


def refinement_crop(
    depth: FloatArray, camera: Camera, reference: FloatArray, cube_size: float
) -> FloatArray:
    """Return the refining network's input [1, 1, 128, 128] in -1..1.

    The cube's front at the reference point's depth, resampled to 128 pixels by the nearest
    neighbour; depth about the reference point in half cube edges, the far face where nothing is.
    """
    half = cube_size / 2
    steps = (np.arange(CROP, dtype=np.float32) + 0.5) / CROP * 2 - 1
    grid = np.empty((CROP, CROP, 3), np.float32)
    grid[..., 0] = reference[0] + half * steps
    grid[..., 1] = reference[1] + half * steps[:, None]
    grid[..., 2] = max(float(reference[2]), 0.05)
    pixels = np.rint(camera.project(grid.reshape(-1, 3))).astype(np.int64)
    column, row = pixels.T
    inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    z = np.zeros(CROP * CROP, np.float32)
    z[inside] = depth[row[inside], column[inside]]
    normal = np.where(z > 0, (z - reference[2]) / half, 1.0).clip(-1, 1)
    return normal.astype(np.float32).reshape(1, 1, CROP, CROP)
