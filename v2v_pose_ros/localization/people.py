"""Where a person may be: what is of human size once floor and walls are taken away.

The largest planes of the room are fitted and taken out, so that feet let go of the floor and backs
of the wall; what is left falls into connected surfaces; those that could be a person, or part of
one behind a table, are proposed, the nearest first.  Nothing is assumed of which way is up: a
camera may hang under the ceiling.  Lengths are metres, so that the camera does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.localization.options import LocalizerOptions
from v2v_pose_ros.localization.planes import on_planes
from v2v_pose_ros.localization.thinned import thin, ThinnedImage

_STEP = 0.12  # metres between neighbouring pixels of one surface at 3 m
_MIN_AREA = 0.07  # square metres: head and shoulders above a desk
_SEAT = 0.35  # metres: nobody shows less of themselves
# Square metres, of planes: of 45 rendered people, each alone, none has one of more than 0.3. Two
# may stand side by side.
_SMALL_PLANE, _ROOM_PLANE = 0.36, 0.75
_BROADEST = 1.2  # square metres facing the camera: nobody shows more
_GIANT = 2.5  # metres: what is longer is more than one person
_APART = 0.25  # of the cube: nearer candidates are the same
_FAR_APART = 0.4  # the same for guesses that nothing speaks for but that something is there
_CELL = 0.4  # of the cube: cells that such guesses are made from
_CELL_PIXELS = 60  # of the thinned image, at least, in such a cell


def find_people(
    depth: FloatArray, camera: Camera, cube_size: float, options: LocalizerOptions
) -> Iterator[FloatArray]:
    """Yield reference points [3] in metres that may be people's; see `find_candidates`."""
    image = thin(depth, camera, options)
    valid, points = image.valid, image.points
    if not valid.any():
        return
    proposals = []
    for surface in _without_room(image):
        for part in _parts(points[surface], cube_size):
            middle, extent = _box(part)
            if extent.max() >= _SEAT:
                proposals.append((_unlikeliness(middle, extent), middle))
    proposals.sort(key=lambda proposal: proposal[0])
    found: list[FloatArray] = []
    for middle, apart in (
        *((middle, _APART) for _, middle in proposals),
        *((middle, _FAR_APART) for middle in _places(points[valid], cube_size)),
    ):
        if all(np.abs(middle - other).max() > apart * cube_size for other in found):
            found.append(middle)
            yield middle


def _places(cloud: FloatArray, cube_size: float) -> list[FloatArray]:
    """Return the middles [3] of the points [N, 3] in cells of a coarse grid, the nearest first.

    For those who lean on something, or stand on a floor that noise has folded: their surface is
    that of the room.
    """
    cells, owner = np.unique(
        np.floor(cloud / (_CELL * cube_size)).astype(np.int64), axis=0, return_inverse=True
    )
    count = np.bincount(owner.ravel(), minlength=len(cells))
    sums = np.stack([np.bincount(owner.ravel(), cloud[:, axis]) for axis in range(3)], axis=1)
    middles = (sums / count[:, None]).astype(np.float32)[count > _CELL_PIXELS]
    return list(middles[np.argsort(np.linalg.norm(middles, axis=1))])


def _without_room(image: ThinnedImage) -> list[NDArray[np.bool_]]:
    """Return the surfaces [h, w] that are left when the room's planes are taken out.

    Once more where a surface is too large for a person: there, smaller planes are taken out.
    """
    free = image.valid & ~on_planes(image, image.valid, _ROOM_PLANE)
    surfaces = _surfaces(image, free)
    large = [surface for surface in surfaces if _too_large(image, surface)]
    if large:
        pixels = np.logical_or.reduce(large)
        free &= ~on_planes(image, pixels, _SMALL_PLANE)
        surfaces = _surfaces(image, free)
    return surfaces


def _too_large(image: ThinnedImage, surface: NDArray[np.bool_]) -> bool:
    if image.area[surface].sum() > _BROADEST:
        return True
    _, extent = _box(image.points[surface])
    return bool(extent.max() > _GIANT)


def _surfaces(image: ThinnedImage, free: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected surfaces [h, w] that may be people's among some pixels."""
    labels, count = _connected(image.z, free)
    sizes = np.bincount(labels[free], image.area[free], count)
    return [labels == label for label in np.flatnonzero(sizes >= _MIN_AREA)]


def _connected(z: FloatArray, free: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the connected surface of every pixel, and how many there are.

    Args:
        z: [H, W] depth in metres.
        free: [H, W] pixels to connect; the others are surfaces of their own.
    """
    index = np.arange(z.size).reshape(z.shape)
    # One lost pixel does not cut an arm off: the one beyond counts as a neighbour too.
    pairs = []
    for axis in (0, 1):
        for gap in (1, 2):
            a, b = (
                index.take(range(z.shape[axis] - gap), axis),
                index.take(range(gap, z.shape[axis]), axis),
            )
            za, zb = z.ravel()[a], z.ravel()[b]
            step = _STEP * np.maximum(1.0, np.minimum(za, zb) / 3)
            joined = free.ravel()[a] & free.ravel()[b] & (np.abs(za - zb) < step)
            pairs.append(np.stack([a[joined], b[joined]]))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(z.size, z.size))
    count, labels = connected_components(graph, directed=False)
    return labels.reshape(z.shape), count


def _parts(surface: FloatArray, cube_size: float) -> list[FloatArray]:
    """Return a surface [N, 3], or what cubes along it hold where it is too long for a person."""
    middle, extent = _box(surface)
    if extent.max() <= _GIANT:
        return [surface]
    along = int(extent.argmax())
    low = middle[along] - extent[along] / 2
    starts = np.arange(low, low + extent[along] - 0.4 * cube_size, 0.4 * cube_size)
    parts = []
    for start in starts:
        part = surface[np.abs(surface[:, along] - start - 0.4 * cube_size) < 0.4 * cube_size]
        if len(part) > 30:
            parts.append(part)
    return parts


def _box(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return middle [3] and extent [3] of points [N, 3] but for the outermost few."""
    low, high = np.percentile(points, [1.5, 98.5], axis=0)
    return ((low + high) / 2).astype(np.float32), (high - low).astype(np.float32)


def _unlikeliness(middle: FloatArray, extent: FloatArray) -> float:
    """Return a figure that is small for what is near and of human size."""
    longest = float(extent.max())
    size = abs(np.log(longest / 1.5)) if longest < 1.5 else 0.5 * np.log(longest / 1.5)
    return float(np.linalg.norm(middle) + 2.0 * size)
