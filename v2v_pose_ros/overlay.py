"""Skeletons drawn on depth images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.estimator import SkeletonEstimate

Image = NDArray[Any]

_DARK = (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST = 0.35  # letters 8 pixels high
_CUT = '...'


def color_depth(depth: FloatArray, near: float | None = None, far: float | None = None) -> Image:
    """Colour a depth image, near red to far blue, black where nothing was measured.

    Args:
        depth: [H, W] metres.
        near: depth of the first colour; that of the nearest measurements by default.
        far: depth of the last colour; that of the farthest measurements by default.

    Returns:
        [H, W, 3] blue, green, red.
    """
    valid = depth > 0
    if not valid.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    values = depth[valid]
    low = float(np.percentile(values, 1)) if near is None else near
    high = float(np.percentile(values, 98)) if far is None else far
    scaled = 1 - (depth - low) / max(high - low, 0.05)
    colored = cv2.applyColorMap(
        (30 + 210 * scaled.clip(0, 1)).astype(np.uint8), cv2.COLORMAP_TURBO
    )
    # Darker than the bones that will be drawn over it.
    colored = (colored * 0.65).astype(np.uint8)
    colored[~valid] = 0
    return colored


def draw_skeletons(
    image: Image, camera: Camera, estimates: Iterable[SkeletonEstimate], cube: bool = True
) -> Image:
    """Draw bones, joints and cubes on a copy of an image of the camera's size.

    All have a dark rim, to be seen on any colour. Uncertain joints are drawn hollow.
    """
    canvas = image.copy()
    scale = max(1, round(camera.width / 424))
    for estimate in estimates:
        if cube:
            _draw_cube(canvas, camera, estimate)
        visible = estimate.positions[:, 2] > 0.02
        pixels = camera.project(np.where(visible[:, None], estimate.positions, [0, 0, 1]))
        points = [(round(float(u)), round(float(v))) for u, v in pixels.clip(-9999, 9999)]
        for rim in (2, 0):
            _draw_bones(canvas, estimate, points, visible, scale, rim)
        _draw_joints(canvas, estimate, points, visible, scale)
    return canvas


def _draw_bones(
    canvas: Image,
    estimate: SkeletonEstimate,
    points: Sequence[tuple[int, int]],
    visible: NDArray[np.bool_],
    scale: int,
    rim: int,
) -> None:
    """Draw the bones between visible joints, or with a rim what lies around them."""
    for parent, child in estimate.skeleton.bones:
        if visible[parent] and visible[child]:
            color = _DARK if rim else _bgr(estimate.skeleton.joints[child].color)
            ends = points[parent], points[child]
            cv2.line(canvas, *ends, color, scale + 1 + rim, cv2.LINE_AA)


def _draw_joints(
    canvas: Image,
    estimate: SkeletonEstimate,
    points: Sequence[tuple[int, int]],
    visible: NDArray[np.bool_],
    scale: int,
) -> None:
    """Draw the visible joints."""
    for index, joint in enumerate(estimate.skeleton.joints):
        if not visible[index]:
            continue
        place, color = points[index], _bgr(joint.color)
        cv2.circle(canvas, place, 2 * scale + 1, _DARK, cv2.FILLED, cv2.LINE_AA)
        certain = estimate.confidences[index] >= 0.5
        cv2.circle(canvas, place, 2 * scale, color, cv2.FILLED if certain else 1, cv2.LINE_AA)


def _bgr(color: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * value) for value in color)
    return blue, green, red


def _draw_cube(canvas: Image, camera: Camera, estimate: SkeletonEstimate) -> None:
    half = estimate.cube_size / 2
    if estimate.reference_point[2] - half < 0.05:
        return
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    corners = camera.project(estimate.reference_point + half * signs).round().astype(int)
    for a in range(8):
        for b in range(a + 1, 8):
            if np.abs(signs[a] - signs[b]).sum() == 2:
                cv2.line(
                    canvas,
                    corners[a].tolist(),
                    corners[b].tolist(),
                    (150, 150, 150),
                    1,
                    cv2.LINE_AA,
                )


def add_status(image: Image, text: str) -> Image:
    """Write a line of text at the top left of a copy of an image, dots where it is too long."""
    canvas, margin = image.copy(), 8
    size = max(0.4, image.shape[1] / 1100)
    text, size = _fitted(text, size, image.shape[1] - 2 * margin)
    x, y = margin, round(28 * size) + 4
    # A dark rim of shifted copies: thicker letters are wider, too, and would not lie below.
    rim = [(x + right, y + down) for right in (-1, 1) for down in (-1, 1)]
    for place, color in (*((place, _DARK) for place in rim), ((x, y), (255, 255, 255))):
        cv2.putText(canvas, text, place, _FONT, size, color, 1, cv2.LINE_AA)
    return canvas


def _fitted(text: str, size: float, room: int) -> tuple[str, float]:
    """Return text and size, smaller and cut off if need be, to be no wider than the room."""

    def is_too_wide() -> bool:
        return int(cv2.getTextSize(text, _FONT, size, 1)[0][0]) > room

    while is_too_wide() and size > _SMALLEST:
        size *= 0.95
    while is_too_wide() and len(text) > len(_CUT):
        text = text[: -len(_CUT) - 1] + _CUT
    return text, size
