"""Draw the pictures of the page on coordinates: frames, joints, bones, voxels.

Run `.venv/bin/python tools/draw_frames.py docs/images`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.skeletons import BODY, HAND, Skeleton
from v2v_pose_ros.synthesis.cameras import kinect, sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.synthesis.people.camera_scene import BodyCameraScene

Array = NDArray[np.floating]

AXES = (('x', '#d62728'), ('y', '#2ca02c'), ('z', '#1f77b4'))  # red, green, blue, as RViz has them
HAND_TIME, BODY_TIME = 5.4, 7.2  # seconds of the synthetic camera's motion: hands and arms apart
CUBE = 0.25  # metres
LEFT, RIGHT = 'right', 'left'  # alignment of texts to the left and to the right of a joint


def main() -> None:
    """Draw every picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    _, hand = HandCameraScene(sr305(), seed=3, noise=False, background=False).frame(HAND_TIME)
    _, body = BodyCameraScene(kinect(), seed=3, noise=False, background=False).frame(BODY_TIME)
    figures = {
        'camera': camera_figure(hand, sr305()),
        'hand': joints_figure(HAND, hand, 0.022),
        'body': joints_figure(BODY, body, 0.12),
        'voxels': voxels_figure(),
    }
    for name, figure in figures.items():
        figure.savefig(options.folder / f'frames_{name}.png', dpi=100)


def camera_figure(joints: Array, camera: Camera) -> Figure:
    """Draw the optical frame, what the camera sees, a hand and its cube."""
    figure = Figure(figsize=(6.4, 5))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((-0.2, -0.25, 1.4, 1.5), projection='3d')
    middle = (joints.min(axis=0) + joints.max(axis=0)) / 2
    corners = _view_corners(camera, float(middle[2]) + 0.6 * CUBE)
    for corner, after in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        _line(axes, (np.zeros(3), corner), color='0.75', linewidth=0.8)
        _line(axes, (corner, after), color='0.75', linewidth=0.8)
    _draw_cube(axes, middle)
    for parent, child in HAND.bones:
        _line(axes, joints[[parent, child]], color='black', linewidth=3)
        _line(axes, joints[[parent, child]], color=HAND.joints[child].color, linewidth=2)
    texts = ('x, right', 'y, down', 'z, forward')
    for axis, (text, (_, color)) in enumerate(zip(texts, AXES, strict=True)):
        end = np.eye(3)[axis] * 0.15
        _line(axes, (np.zeros(3), end), color=color, linewidth=3)
        axes.text(*_upright(end * 1.25), text, color=color, ha='center', fontsize=10)
    axes.text(*_upright(np.array([-0.03, -0.05, 0.0])), 'camera', ha='right', fontsize=10)
    above = middle - [0, CUBE / 2 + 0.09, 0]
    axes.text(*_upright(above), 'cube, edges along the axes', ha='center', fontsize=10)
    axes.view_init(20.0, -38.0)
    limits = axes.get_xlim(), axes.get_ylim(), axes.get_zlim()
    axes.set_box_aspect([high - low for low, high in limits], zoom=0.87)
    axes.set_axis_off()
    return figure


def _view_corners(camera: Camera, distance: float) -> Array:
    """Return the corners [4, 3] of what the camera sees at a distance."""
    columns = np.array([0, camera.width, camera.width, 0])
    rows = np.array([0, 0, camera.height, camera.height])
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    return np.stack([x, y, np.ones(4)], axis=1) * distance


def _draw_cube(axes: Any, middle: Array) -> None:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    for a in range(8):
        for b in range(a + 1, 8):
            if np.abs(signs[a] - signs[b]).sum() == 2:
                ends = middle + CUBE / 2 * signs[[a, b]]
                _line(axes, ends, color='0.35', linewidth=1)


def _upright(points: Array) -> Array:
    """Return right, forward and up, which is how figures hold their axes."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]])


def _line(axes: Any, ends: Sequence[Array] | Array, **style: Any) -> None:
    axes.plot(*_upright(np.asarray(ends)), **style)


def joints_figure(skeleton: Skeleton, joints: Array, length: float) -> Figure:
    """Draw a skeleton from the front with the names and the frames of its joints.

    Args:
        skeleton: what the joints are.
        joints: [J, 3] metres, optical frame.
        length: of the drawn axes in metres.
    """
    figure = Figure(figsize=(7.6, 6), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for parent, child in skeleton.bones:
        color = skeleton.joints[child].color
        axes.plot(*joints[[parent, child], :2].T, color='0.2', linewidth=5, zorder=1)
        axes.plot(*joints[[parent, child], :2].T, color=color, linewidth=3.5, zorder=2)
    turns = Rotation.from_quat(bone_orientations(skeleton, joints)).as_matrix()
    for joint, turn in zip(joints, turns, strict=True):
        for axis, (_, color) in enumerate(AXES):
            end = joint + length * turn[:, axis]
            axes.plot(*np.stack([joint, end])[:, :2].T, color=color, linewidth=1.6, zorder=4)
    axes.scatter(*joints[:, :2].T, s=22, c='white', edgecolors='black', zorder=3)
    _name(axes, skeleton, joints, length)
    for label, color in AXES:
        axes.plot([], [], color=color, label=label)
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, 0.0), frameon=False, ncols=3)
    axes.set_aspect('equal')
    axes.invert_yaxis()
    axes.set_axis_off()
    axes.margins(x=0.3)
    return figure


def _name(axes: Any, skeleton: Skeleton, joints: Array, length: float) -> None:
    """Write the names in two columns beside the skeleton, with a thin line to each joint."""
    middle = float(np.median(joints[:, 0]))
    reach = 2.2 * length
    for left in (True, False):
        chosen = [i for i, joint in enumerate(joints) if (joint[0] < middle) == left]
        chosen.sort(key=lambda index: joints[index, 1])
        low, high = joints[:, 1].min() - length, joints[:, 1].max() + length
        rows = np.linspace(low, high, len(chosen)) if len(chosen) > 1 else [(low + high) / 2]
        column = joints[:, 0].min() - reach if left else joints[:, 0].max() + reach
        for index, row in zip(chosen, rows, strict=True):
            name, link = skeleton.names[index], skeleton.links[index]
            text = name if name == link else f'{name} ({link})'
            axes.plot(
                [column, joints[index, 0]], [row, joints[index, 1]], color='0.7', lw=0.6, zorder=0
            )
            axes.text(column, row, text, ha=LEFT if left else RIGHT, va='center', fontsize=9)


def voxels_figure() -> Figure:
    """Draw one axis of the cube: eight voxels, four heatmap cells, and a joint among them."""
    voxels, cells = 8, 4
    figure = Figure(figsize=(7.6, 2.9), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, count, y in (('occupancy grid', voxels, 1.0), ('heatmap', cells, 0.0)):
        for index in range(count):
            ends = index / count, (index + 1) / count
            axes.fill_between(ends, y, y + 0.6, color='0.93' if index % 2 else '0.84')
            axes.text(sum(ends) / 2, y + 0.3, str(index), ha='center', va='center', fontsize=11)
        axes.text(-0.02, y + 0.3, name, ha='right', va='center', fontsize=10)
    joint = 0.44
    axes.plot([joint, joint], [-0.15, 1.75], color='#d62728', linewidth=1.5)
    voxel, cell = int(joint * voxels), joint * cells - 0.5
    axes.text(joint, 1.8, f'x = {joint}', color='#d62728', ha='center', fontsize=10)
    axes.text(joint + 0.01, 0.8, f'in voxel {voxel} = floor(8 x)', color='#d62728', va='center')
    axes.text(
        joint + 0.01,
        -0.1,
        f'at u = 4 x - 1/2 = {cell:.2f}',
        color='#d62728',
        va='top',
        fontsize=10,
    )
    for x, text in ((0, 'x = 0\nlow face,\nincluded'), (1, 'x = 1\nhigh face,\nnot included')):
        axes.plot([x, x], [0, 1.6], color='black', linewidth=1)
        axes.text(x, -0.1, text, ha='center', va='top', fontsize=9)
    axes.set(xlim=(-0.24, 1.1), ylim=(-0.75, 2.05))
    axes.set_axis_off()
    return figure


if __name__ == '__main__':
    main()
