"""The demo's picture: the depth points with the skeleton from two sides, and the depth image.

Points are metres in the optical frame (x right, y down, z forward). No ROS in here.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, withStroke
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.skeletons import Skeleton

_HALF = {'hand': 0.12, 'body': 1.05}  # metres: half the edge of what is shown around a subject
_RANGE = {'hand': (0.2, 2.2), 'body': (1.0, 6.0)}  # metres: depth from bright to dark
_BACKGROUND, _INK = '#10141c', '#e8ecf4'
_LIGHT = np.array([-0.35, -0.55, -0.76])  # towards the light: up, left and behind the camera

Array = NDArray[np.floating]


def draw(
    depth: Array,
    intrinsics: tuple[float, float, float, float],
    joints: Array,
    skeleton: Skeleton,
    caption: str,
    path: Path,
) -> None:
    """Write the picture.

    Args:
        depth: [rows, columns] metres, 0 where there is no measurement.
        intrinsics: fx, fy, cx, cy in pixels.
        joints: [J, 3] estimated joints in metres.
        skeleton: which joints they are.
        caption: the line under the picture.
        path: the PNG file.
    """
    half = _HALF[skeleton.name]
    points, shade = cloud(depth, intrinsics, joints.mean(0), half)
    figure = Figure(figsize=(15, 5.6), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    for place, (turn, title) in enumerate(((12.0, 'from the camera'), (68.0, 'from the side'))):
        axes = figure.add_axes((0.01 + 0.285 * place, 0.09, 0.275, 0.82))
        _draw_view(axes, points, shade, joints, skeleton, turn)
        axes.set_title(title, color=_INK)
    axes = figure.add_axes((0.585, 0.09, 0.405, 0.82))
    _draw_image(axes, depth, intrinsics, joints, skeleton)
    axes.set_title('depth image', color=_INK)
    figure.text(0.5, 0.025, caption, color=_INK, ha='center')
    figure.savefig(path, dpi=100, facecolor=_BACKGROUND)


def cloud(
    depth: Array, intrinsics: tuple[float, float, float, float], centre: Array, half: float
) -> tuple[Array, Array]:
    """Return the points [N, 3] in a cube and how brightly (0 to 1) each is lit, [N]."""
    fx, fy, cx, cy = intrinsics
    rows, columns = np.indices(depth.shape)
    points = np.stack([(columns - cx) / fx * depth, (rows - cy) / fy * depth, depth], -1)
    down, right = np.gradient(points, axis=(0, 1))
    normals = np.cross(down, right)  # towards the camera
    length = np.linalg.norm(normals, axis=-1)
    shade = (normals @ _LIGHT) / np.maximum(length, 1e-12)
    near = (depth > 0) & (np.abs(points - centre) < half).all(-1)
    return points[near], np.clip(0.25 + 0.75 * shade[near], 0.08, 1.0)


def _draw_view(
    axes: Axes, points: Array, shade: Array, joints: Array, skeleton: Skeleton, turn: float
) -> None:
    """Draw an orthographic view, turned about the vertical axis by degrees."""
    centre, angle = joints.mean(0), np.deg2rad(turn)
    x_axis = np.array([np.cos(angle), 0.0, np.sin(angle)])
    forward = np.array([-np.sin(angle), 0.0, np.cos(angle)])
    local = points - centre
    order = np.argsort(-(local @ forward))  # the nearest last
    axes.scatter(
        (local @ x_axis)[order],
        local[order, 1],
        s=2.2,
        linewidths=0,
        c=np.outer(shade[order], (0.80, 0.84, 0.92)),
    )
    flat = np.stack([(joints - centre) @ x_axis, (joints - centre)[:, 1]], 1)
    _draw_skeleton(axes, flat, skeleton)
    half = _HALF[skeleton.name]
    axes.set(xlim=(-half, half), ylim=(half, -half), aspect='equal', facecolor=_BACKGROUND)
    axes.set_axis_off()


def _draw_image(
    axes: Axes,
    depth: Array,
    intrinsics: tuple[float, float, float, float],
    joints: Array,
    skeleton: Skeleton,
) -> None:
    """Draw the depth image, near bright, with the projected skeleton."""
    fx, fy, cx, cy = intrinsics
    shown = np.where(depth > 0, depth, np.nan)
    near, far = _RANGE[skeleton.name]
    axes.imshow(shown, cmap='bone_r', vmin=near, vmax=far)
    flat = joints[:, :2] / joints[:, 2:] * (fx, fy) + (cx, cy)
    _draw_skeleton(axes, flat, skeleton, scale=0.6)
    rows, columns = depth.shape
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), facecolor=_BACKGROUND)
    axes.set_axis_off()


def _draw_skeleton(axes: Axes, flat: Array, skeleton: Skeleton, scale: float = 1.0) -> None:
    outline = [withStroke(linewidth=6 * scale, foreground='black'), Normal()]
    for parent, child in skeleton.bones:
        color = skeleton.joints[child].color
        axes.plot(
            *flat[[parent, child]].T,
            color=color,
            lw=3.6 * scale,
            path_effects=outline,
            solid_capstyle='round',
        )
    colors = [joint.color for joint in skeleton.joints]
    axes.scatter(*flat.T, s=46 * scale**2, c=colors, edgecolors='black', linewidths=0.8, zorder=3)
