"""Large planes of a room in a thinned depth image: floor, ceiling, walls, broad furniture.

Every pixel with a normal is a plane on its own, so a few hundred tries find what three random
points would need thousands for; and what belongs to a plane must face the same way, so that no
plane cuts across people and things that merely stand in its way.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.localization.thinned import ThinnedImage

_PLANES = 8  # floor, ceiling, walls and the broad sides of furniture
_SAMPLES = 100  # planes tried for each that is taken out
_POINTS = 1200  # points they are tried on; these say as much as all
_FLAT = 0.04  # metres from a plane at 2 m distance that belong to it; noise grows with its square
_FACING = 0.87  # cosine between a plane's normal and those of what belongs to it
_MEASURED = 0.3  # share of the pixels about one that are measured, at least
_REACH = 1  # pixels: normals come from neighbours so far away, on the smoothed image
_FEW = 100  # pixels: too little to look for planes in
_SLANT = 0.15  # cosine: nobody knows how aslant a surface is that is seen at less


@dataclass(frozen=True)
class _Points:
    """N points [N, 3] of a depth image, their normals, areas (square metres) and tolerances."""

    places: FloatArray
    normals: FloatArray
    area: FloatArray
    tolerance: FloatArray

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> _Points:
        """Return some of them."""
        return _Points(
            self.places[chosen], self.normals[chosen], self.area[chosen], self.tolerance[chosen]
        )


@dataclass(frozen=True)
class _Plane:
    """Points p with normal . p = offset; metres."""

    normal: FloatArray
    offset: float


def on_planes(
    image: ThinnedImage, pixels: NDArray[np.bool_], least_area: float
) -> NDArray[np.bool_]:
    """Return which pixels are on large planes.

    Args:
        image: the depth image.
        pixels: [h, w] those that are looked at.
        least_area: square metres that a plane has at least, of those that are looked at.
    """
    rng = np.random.default_rng(0)  # the same image gives the same planes
    tolerance = (_FLAT * np.maximum(1.0, image.z**2 / 4)).astype(np.float32)
    normals, known = surface_normals(image, tolerance)
    # Seen aslant, a floor is larger than the part of the view that it fills.
    rays = image.points / np.maximum(image.z, 1e-3)[..., None]
    slant = np.maximum(np.abs((rays * normals).sum(-1)), _SLANT)
    points = _Points(image.points, normals, image.area / slant, tolerance)
    flat = np.zeros(image.valid.shape, bool)
    rest = known & pixels
    for _ in range(_PLANES):
        plane = _largest_plane(points[rest], least_area, rng)
        if plane is None:
            break
        away = np.abs(image.points @ plane.normal - plane.offset) / tolerance
        alike = np.abs(normals @ plane.normal) > _FACING
        rest &= (away > 1.5) | ~alike
        # Close to the plane, noise turns normals every way.
        flat |= pixels & (away < 1.5) & (alike | ~known | (away < 0.75))
    return flat


def surface_normals(
    image: ThinnedImage, tolerance: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return unit normals [h, w, 3] of the smoothed surface, and where they are known [h, w].

    They are not at the edges of things, where smoothing makes up a surface: there, the surface
    bends by more than the tolerance [h, w] in metres.
    """
    weight = image.valid.astype(np.float32)
    share = cv2.blur(weight, (5, 5))
    total = cv2.blur(image.points * weight[..., None], (5, 5))
    smooth: FloatArray = np.asarray(total / np.maximum(share, 1e-6)[..., None], np.float32)
    # On a plane, the inverse of depth is linear in the pixels.
    inverse = 1 / np.maximum(smooth[..., 2], 1e-3)
    bend = np.zeros_like(inverse)
    steps = []
    known = np.zeros_like(image.valid)
    r = _REACH
    known[r:-r, r:-r] = True
    known &= image.valid
    for axis in (0, 1):
        before, here, after = (
            (slice(None),) * axis + (part,)
            for part in (slice(None, -2 * r), slice(r, -r), slice(2 * r, None))
        )
        step = np.zeros_like(smooth)
        step[here] = smooth[after] - smooth[before]
        steps.append(step)
        bend[here] += np.abs(inverse[after] + inverse[before] - 2 * inverse[here])
        known[here] &= (share[before] > _MEASURED) & (share[after] > _MEASURED)
    normals = np.cross(steps[1], steps[0])
    length = np.linalg.norm(normals, axis=2)
    known &= (length > 1e-9) & (bend * smooth[..., 2] ** 2 < tolerance)
    return (normals / np.maximum(length, 1e-9)[..., None]).astype(np.float32), known


def _largest_plane(points: _Points, least_area: float, rng: np.random.Generator) -> _Plane | None:
    """Return the plane of the largest area, None where none is large enough."""
    count = len(points.places)
    if count < _FEW:
        return None
    some = points[rng.choice(count, min(count, _POINTS), replace=False)]
    tries = rng.integers(len(some.places), size=_SAMPLES)
    normals = some.normals[tries]
    offsets = (normals * some.places[tries]).sum(1)
    inside = np.abs(some.places @ normals.T - offsets) < some.tolerance[:, None]
    inside &= np.abs(some.normals @ normals.T) > _FACING
    areas = some.area @ inside * (count / len(some.places))
    best = int(areas.argmax())
    return _fitted(some[inside[:, best]]) if areas[best] >= least_area else None


def _fitted(points: _Points) -> _Plane:
    """Return the plane that fits points best, the surer ones first of all."""
    trust = 1 / points.tolerance[:, None]
    middle = (trust**2 * points.places).sum(0) / (trust**2).sum()
    _, _, axes = np.linalg.svd(trust * (points.places - middle), full_matrices=False)
    return _Plane(axes[2].astype(np.float32), float(axes[2] @ middle))
