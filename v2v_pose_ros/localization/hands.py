"""Where a hand may be: at the near end of something near.

The reference point is found as in DeepPrior++ (Oberweger and Lepetit, ICCVW 2017, section 3.1),
which the paper builds on: the depth range is cut into slices, the nearest slice with a large
enough connected component gives a first centre of mass, and the cube about it is re-cropped and
its centre of mass taken again, five times.  Areas are in square metres, so that the camera does
not matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.localization.options import LocalizerOptions
from v2v_pose_ros.localization.thinned import thin

_SLICES = 20
# Square metres: a fist seen from the front has 0.004, a hand edge-on 0.002, of which a slice may
# show half.
_MIN_AREA = 0.0008
_WINDOW = 0.15  # half width in metres about a component that gives the first centre of mass
_ITERATIONS = 5  # how often the cube is cropped again
_STEP = 0.03  # metres between neighbouring pixels of one surface on the thinned image
_BEHIND = 2.0  # cubes: what lies farther behind the nearest point is not looked over
_APART = 0.4  # of the cube: distance of the places that are looked over
_INWARDS = 0.12  # of the cube: from a surface to the middle of what it may belong to
_ABOUT = 0.32  # of the cube: half width of what gives a place its middle


def find_hands(
    depth: FloatArray, camera: Camera, cube_size: float, options: LocalizerOptions
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
    image = thin(depth, camera, options)
    z, valid, points, area = image.z, image.valid, image.points, image.area
    if not valid.any():
        return
    cloud = points[valid]
    found: list[FloatArray] = []
    surfaces = _Surfaces(np.where(valid, z, 0).astype(np.float32))
    for mask in _components(z, valid, area, options):
        component = points[mask]
        seeds = [(_dense_middle(component, _WINDOW), _ITERATIONS)]
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


def look_over_hands(
    depth: FloatArray, camera: Camera, cube_size: float, options: LocalizerOptions
) -> Iterator[FloatArray]:
    """Yield places [3] all over what is near, the nearest first.

    For images in which `find_hands` has led to nothing sure: a hand that lies on something, or
    that the image's border cuts, may be in the middle of a component, or a small part of one.
    Arguments as there.
    """
    image = thin(depth, camera, options)
    cloud = image.points[image.valid]
    if not len(cloud):
        return
    cloud = cloud[cloud[:, 2] < cloud[:, 2].min() + _BEHIND * cube_size]
    rest = cloud[np.argsort(cloud[:, 2], kind='stable')]
    while len(rest):
        start = rest[0] + np.array([0, 0, _INWARDS * cube_size], np.float32)
        place = _centre_of_mass(cloud, start, 2 * _ABOUT * cube_size, 1)
        yield place
        away = np.abs(rest - rest[0]).max(axis=1) > _APART * cube_size
        rest = rest[away & (np.abs(rest - place).max(axis=1) > _APART * cube_size)]


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
        if area[mask].sum() < _MIN_AREA:
            continue
        # Fingers whose palm was not measured belong together.
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, around)
        count, labels = cv2.connectedComponents(closed, connectivity=8)
        labels[~mask] = 0
        sizes = np.bincount(labels.ravel(), area.ravel(), count)
        sizes[0] = 0
        for label in np.argsort(-sizes)[:3]:
            if sizes[label] >= _MIN_AREA:
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
