"""Where the subject is: the reference point, and the points about it.

The reference point is found as in DeepPrior++ (Oberweger and Lepetit, ICCVW 2017, section 3.1),
which the paper builds on: the depth range is cut into slices, the nearest slice with a large
enough connected component gives a first centre of mass, and the cube about it is re-cropped and
its centre of mass taken again, five times.  Areas are in square metres, so that the camera does
not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.defaults import DEPTH_RANGE
from v2v_pose_ros.networks.refinement import CROP

_SLICES = 20
_COLUMNS = 160  # the search runs on images thinned to about this width
_STEP = 0.03  # metres between neighbouring pixels of one surface on the thinned image


@dataclass(frozen=True)
class LocalizerOptions:
    """Where to look and for what.

    Attributes:
        depth_range: nearest and farthest depth in metres.
        min_area: smallest surface, square metres, that can be the subject; a fist seen from the
            front has 0.004, a hand edge-on 0.002, of which a slice may show half.
        window: half width in metres about the component that gives the first centre of mass.
        iterations: how often the cube is cropped again.
    """

    depth_range: tuple[float, float] = DEPTH_RANGE
    min_area: float = 0.0008
    window: float = 0.15
    iterations: int = 5

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        near, far = self.depth_range
        if not 0 <= near < far < np.inf:
            raise ValueError(
                f'depth_range is {near} to {far} m; finite numbers are meant, the first smaller'
            )


def find_reference(
    depth: FloatArray, camera: Camera, cube_size: float, options: LocalizerOptions | None = None
) -> FloatArray | None:
    """Return the reference point [3] of the nearest subject in metres, None if there is none.

    This is the first of `find_candidates`: the paper's and DeepPrior++'s single guess.
    """
    return next(find_candidates(depth, camera, cube_size, options), None)


def find_candidates(
    depth: FloatArray, camera: Camera, cube_size: float, options: LocalizerOptions | None = None
) -> Iterator[FloatArray]:
    """Yield reference points [3] in metres that may be the subject's, the likeliest first.

    A single guess fails where something else is nearer, or where an arm is in view and its middle
    takes the hand's place.  So the search goes on behind the nearest surface, and things longer
    than the cube are also looked at from their ends: within the slice, and along the whole surface
    that the slice cuts.  The pose network tells the candidates apart.

    Args:
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera.
        cube_size: edge of the cube in metres.
        options: where to look.
    """
    options = options or LocalizerOptions()
    stride = max(1, round(camera.width / _COLUMNS))
    half = stride // 2
    rows, columns = np.mgrid[half : camera.height : stride, half : camera.width : stride]
    z = depth[rows, columns]
    near, far = options.depth_range
    valid = (z >= near) & (z <= far)
    if not valid.any():
        return
    points = camera.points_at(depth, rows.ravel(), columns.ravel()).reshape(*z.shape, 3)
    area = np.where(valid, z * z, 0) * np.float32(stride * stride / (camera.fx * camera.fy))
    cloud = points[valid]
    found: list[FloatArray] = []
    surfaces = _Surfaces(np.where(valid, z, 0).astype(np.float32))
    for mask in _components(z, valid, area, options):
        component = points[mask]
        seeds = [(_dense_middle(component, options.window), options.iterations)]
        # One re-crop at ends: more would slide back to the middle.
        seeds += [(end, 1) for end in _ends(component, cube_size)]
        surface = surfaces.new_through(mask)
        if surface is not None:
            seeds += [(end, 1) for end in _ends(points[surface & valid], cube_size)]
        for seed, iterations in seeds:
            centre = _centre_of_mass(cloud, seed, cube_size, iterations)
            if all(np.abs(centre - other).max() > 0.2 * cube_size for other in found):
                found.append(centre)
                yield centre


def _components(
    z: FloatArray, valid: NDArray[np.bool_], area: FloatArray, options: LocalizerOptions
) -> Iterator[NDArray[np.bool_]]:
    """Yield the masks of large components of depth slices, the nearest slice first."""
    thickness = max((options.depth_range[1] - options.depth_range[0]) / _SLICES, 1e-3)
    last = float(z[valid].max())
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    # Half steps: a subject that straddles two slices is whole in the one between.
    for low in np.arange(float(z[valid].min()), last + 1e-6, thickness / 2):
        mask = valid & (z >= low) & (z < low + thickness)
        if area[mask].sum() < options.min_area:
            continue
        # Fingers whose palm was not measured belong together.
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, around)
        count, labels = cv2.connectedComponents(closed, connectivity=8)
        labels[~mask] = 0
        sizes = np.bincount(labels.ravel(), area.ravel(), count)
        sizes[0] = 0
        for label in np.argsort(-sizes)[:3]:
            if sizes[label] >= options.min_area:
                yield labels == label


class _Surfaces:
    """The connected surfaces of a depth image, each given once."""

    def __init__(self, z: FloatArray) -> None:
        self._z = z
        self._done = np.zeros((z.shape[0] + 2, z.shape[1] + 2), np.uint8)

    def new_through(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Return the surface through the first pixel of a mask; None where it was given before."""
        row, column = np.argwhere(mask)[0]
        done = self._done[1:-1, 1:-1]
        if done[row, column]:
            return None
        before = done.astype(bool)
        flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
        seed = (int(column), int(row))
        cv2.floodFill(self._z, self._done, seed, 0, _STEP, _STEP, flags)
        new: NDArray[np.bool_] = done.astype(bool) & ~before
        return new


def _dense_middle(component: FloatArray, window: float) -> FloatArray:
    """Return the mean of the points about the middle of a component."""
    middle: FloatArray = component.mean(axis=0)
    close = (np.abs(component - middle) < window).all(axis=1)
    dense: FloatArray = component[close].mean(axis=0) if close.any() else middle
    return dense


def _ends(component: FloatArray, cube_size: float) -> list[FloatArray]:
    """Return the two ends of something longer than the cube, and a third if it has one."""
    middle = component.mean(axis=0)
    first = component[np.linalg.norm(component - middle, axis=1).argmax()]
    distance = np.linalg.norm(component - first, axis=1)
    second = component[distance.argmax()]
    if distance.max() < cube_size:
        return []
    distance = np.minimum(distance, np.linalg.norm(component - second, axis=1))
    third = component[distance.argmax()]
    return [first, second, third] if distance.max() > cube_size else [first, second]


def _centre_of_mass(
    cloud: FloatArray, start: FloatArray, cube_size: float, iterations: int
) -> FloatArray:
    """Move a point to the mean of the points in the cube about it, again and again."""
    centre = start
    for _ in range(iterations):
        inside = (np.abs(cloud - centre) < cube_size / 2).all(axis=1)
        if not inside.any():
            break
        centre = cloud[inside].mean(axis=0)
    return np.asarray(centre, np.float32)


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
    z = depth[top:bottom, left:right]
    near = z >= reference[2] - half
    near &= z < reference[2] + half
    near &= z > 0
    x, y = (np.broadcast_to(ray, depth.shape)[top:bottom, left:right][near] for ray in camera.rays)
    z = z[near]
    x *= z
    y *= z
    inside = np.abs(x - reference[0]) <= half
    inside &= np.abs(y - reference[1]) <= half
    # Axis by axis in memory: what follows goes through one axis after the other.
    points = np.empty((3, np.count_nonzero(inside)), np.float32)
    for axis, values in enumerate((x, y, z)):
        np.compress(inside, values, out=points[axis])
    return points.T


def _window(camera: Camera, reference: FloatArray, half: float) -> tuple[int, int, int, int]:
    """Return the rows and columns, half-open, that a cube can cover."""
    if reference[2] - half < 0.05:
        return 0, camera.height, 0, camera.width  # it reaches behind the lens
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
    pixels = camera.project((reference + half * signs).astype(np.float32))
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
