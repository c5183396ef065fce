"""Several subjects in one depth image: what belongs to one of them is hidden from the others.

A network that sees two hands in one cube cannot know which is meant.  So whoever is known already
is taken out of the image, by a rough body of balls about its bones, before another one is looked
for or followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.skeletons import Skeleton

MARGIN = 0.14
"""Radius of the balls, in cube edges: 3.5 cm for a hand, 28 cm for a person."""

_REACH = 1.5
"""Radius of the balls about somebody's own bones, in that of the others: it may have moved."""

_BLOCKS = 64  # the body is projected on a raster of about this width
_NEAREST = 0.05  # metres: what reaches nearer has no window in the image


@dataclass(frozen=True)
class _Body:
    """A subject's balls as rays see them; every array belongs to one window of the image.

    Attributes:
        rows: the window's rows.
        columns: its columns.
        front: [h, w] depth in metres where rays enter, infinite where they miss.
        back: [h, w] depth where they leave.
        aside: [h, w] squared distance of the ray from the nearest bone.
        depth: [h, w] depth of that bone.
    """

    rows: slice
    columns: slice
    front: FloatArray
    back: FloatArray
    aside: FloatArray
    depth: FloatArray


def hide_subjects(
    depth: FloatArray,
    camera: Camera,
    skeleton: Skeleton,
    others: Sequence[FloatArray],
    margin: float,
    own: FloatArray | None = None,
) -> FloatArray:
    """Return a depth image without some subjects, or with one alone; what does not count is 0.

    Args:
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera.
        skeleton: of all of them.
        others: joints [J, 3] of everybody to hide, metres.
        margin: how far from their bones they reach, metres.
        own: joints [J, 3] of somebody who is to be seen: nothing else stays than what is about
            its bones, and of the others what is nearer to its bones than to theirs.
    """
    if own is not None:
        kept = _keep(depth, camera, _balls(skeleton, own), _REACH * margin)
    else:
        kept = depth.copy() if others else depth
    for joints in others:
        body = _project(camera, _balls(skeleton, joints), margin)
        if body is None:
            continue
        window = kept[body.rows, body.columns]
        hidden = (window > body.front) & (window < body.back)
        mine = None if own is None else _project(camera, _balls(skeleton, own), margin, body)
        if mine is not None:
            to_other = body.aside + (window - body.depth) ** 2
            hidden &= to_other < mine.aside + (window - mine.depth) ** 2
        window[hidden] = 0
    return kept


def _keep(
    depth: FloatArray, camera: Camera, balls: NDArray[np.float32], radius: float
) -> FloatArray:
    """Return a depth image of which only what is in the balls is left."""
    kept = np.zeros_like(depth)
    body = _project(camera, balls, radius)
    if body is not None:
        window = depth[body.rows, body.columns]
        inside = (window > body.front) & (window < body.back)
        kept[body.rows, body.columns] = np.where(inside, window, np.float32(0))
    return kept


def _balls(skeleton: Skeleton, joints: FloatArray) -> NDArray[np.float32]:
    """Return the joints and the middles of the bones, which are as long as two radii at most."""
    parents, children = np.array(skeleton.bones).T
    middles = 0.5 * (joints[parents] + joints[children])
    return np.concatenate([joints, middles]).astype(np.float32)


def _project(
    camera: Camera, balls: NDArray[np.float32], margin: float, like: _Body | None = None
) -> _Body | None:
    """Return balls as the camera's rays see them, None where they are not in its image.

    With another body given, its window is taken.
    """
    rows, columns = _window(camera, balls, margin) if like is None else (like.rows, like.columns)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if height <= 0 or width <= 0:
        return None
    step = max(1, width // _BLOCKS)
    ray_x, ray_y = (
        np.broadcast_to(ray, (camera.height, camera.width))[rows, columns][::step, ::step, None]
        for ray in camera.rays
    )
    x, y, z = balls.T
    aside = (ray_x * z - x) ** 2 + (ray_y * z - y) ** 2
    half = np.sqrt((margin**2 - aside).clip(0))
    inside = aside < margin**2
    nearest = aside.argmin(-1)
    around = np.ones((3, 3), np.uint8)  # blocks at the rim count whole
    front = cv2.erode(np.where(inside, z - half, np.inf).min(-1).astype(np.float32), around)
    back = cv2.dilate(np.where(inside, z + half, -np.inf).max(-1).astype(np.float32), around)

    def whole(raster: NDArray[Any]) -> FloatArray:
        big = np.repeat(np.repeat(raster, step, 0), step, 1)
        return np.asarray(big[:height, :width], np.float32)

    return _Body(rows, columns, whole(front), whole(back), whole(aside.min(-1)), whole(z[nearest]))


def _window(camera: Camera, balls: NDArray[np.float32], margin: float) -> tuple[slice, slice]:
    """Return the rows and columns that balls can cover; they may be none."""
    if balls[:, 2].min() - margin < _NEAREST:
        return slice(0, camera.height), slice(0, camera.width)
    pixels = camera.project(balls)
    reach = margin / (balls[:, 2:] - margin) * np.array([camera.fx, camera.fy], np.float32)
    low = np.floor((pixels - reach).min(0))
    high = np.ceil((pixels + reach).max(0)) + 1
    left, right = np.clip([low[0], high[0]], 0, camera.width).astype(int)
    top, bottom = np.clip([low[1], high[1]], 0, camera.height).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))
