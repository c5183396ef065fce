"""Draw the pictures of the page on the method: one frame on its way through the pipeline.

Run `.venv/bin/python tools/draw_method.py docs/images`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np
from numpy.typing import NDArray
import torch

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.estimator import PoseEstimator, SkeletonEstimate
from v2v_pose_ros.evaluation.drawings import draw_in_3d
from v2v_pose_ros.models import load_model, Model
from v2v_pose_ros.overlay import color_depth, draw_skeletons
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.voxels import VoxelCodec

CAMERA = sr305()
TIME = 5.4  # seconds of the synthetic camera's motion
SIZE = 4.8  # inches; pictures are square, of 480 pixels
SHOWN = ('wrist', 'thumb_tip', 'index_tip', 'middle_tip', 'ring_tip', 'pinky_tip')


@dataclass(frozen=True)
class Stages:
    """What one frame was at every stage; metres in the optical frame.

    Attributes:
        depth: [H, W].
        estimate: the joints, the cube and the points in it.
        codec: what the volumes mean.
        grid: [G, G, G] occupancy, z, y, x.
        likelihoods: [J, H, H, H].
    """

    depth: FloatArray
    estimate: SkeletonEstimate
    codec: VoxelCodec
    grid: FloatArray
    likelihoods: FloatArray


def run(model: Model) -> Stages:
    """Render a frame and take it through the pipeline."""
    depth, _ = HandCameraScene(CAMERA, seed=3).frame(TIME)
    (estimate,) = PoseEstimator.load(str(model.path), runtime='torch')(depth, CAMERA).skeletons
    codec = model.info.make_codec()
    grid = codec.occupancy_numpy(estimate.points, estimate.reference_point)
    with torch.inference_mode():
        output = codec.likelihoods(model.network(torch.from_numpy(grid)))
    return Stages(depth, estimate, codec, grid[0, 0], output[0].numpy())


def main() -> None:
    """Draw every stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--model', default='hand_lite')
    options = parser.parse_args()
    stages = run(load_model(options.model))
    drawings: dict[str, Callable[[Stages, Path], None]] = {
        'depth': draw_depth,
        'cube': draw_cube,
        'grid': draw_grid,
        'likelihoods': draw_likelihoods,
        'joints': draw_joints,
        'overlay': draw_overlay,
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, draw in drawings.items():
        draw(stages, options.folder / f'method_{name}.png')


def draw_depth(stages: Stages, path: Path) -> None:
    """Draw the depth image and the reference point in it."""
    picture = color_depth(stages.depth)
    column, row = _pixels(stages.estimate.reference_point[None])[0]
    for color, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv2.drawMarker(picture, (column, row), color, cv2.MARKER_CROSS, 26, thickness, cv2.LINE_AA)
    _write(path, cv2.resize(picture, (480, 360), interpolation=cv2.INTER_AREA))


def draw_cube(stages: Stages, path: Path) -> None:
    """Draw the part of the image about the cube, what lies outside of it faint."""
    estimate = stages.estimate
    near = estimate.reference_point[2] - estimate.cube_size / 2
    picture = color_depth(stages.depth, near, near + estimate.cube_size)
    inside = np.zeros(stages.depth.shape, bool)
    columns, rows = _pixels(estimate.points).T
    inside[rows, columns] = True
    picture[~inside] = (0.25 * picture[~inside]).astype(np.uint8)
    boneless = replace(estimate, skeleton=replace(estimate.skeleton, joints=()))
    _write(path, _about(stages, draw_skeletons(picture, CAMERA, [boneless])))


def draw_overlay(stages: Stages, path: Path) -> None:
    """Draw the joints on the image."""
    near = stages.estimate.reference_point[2] - 0.15
    picture = color_depth(stages.depth, near, near + 0.8)
    drawn = draw_skeletons(picture, CAMERA, [stages.estimate], cube=False)
    _write(path, _about(stages, drawn))


def draw_grid(stages: Stages, path: Path) -> None:
    """Draw the occupied voxels, coloured by depth."""
    figure, axes = _figure_3d()
    z, y, x = np.nonzero(stages.grid)
    size = stages.codec.input_size
    # Nearer ones are drawn over farther ones.
    order = np.argsort(-z)
    axes.scatter(
        x[order],
        z[order],
        size - y[order],
        c=z[order],
        cmap='turbo_r',
        marker='s',
        s=14,
        edgecolors='0.2',
        linewidths=0.2,
        depthshade=False,
    )
    axes.set(xlim=(0, size), ylim=(0, size), zlim=(0, size))
    _label(axes, [0, size // 2, size], f'{size} voxels')
    figure.savefig(path, dpi=100)


def draw_likelihoods(stages: Stages, path: Path) -> None:
    """Draw the likelihoods of some joints as the camera would see them: maxima along z."""
    estimate, size = stages.estimate, stages.codec.output_size
    canvas = np.zeros((size, size, 3))
    for joint in estimate.skeleton.indices(SHOWN):
        front = stages.likelihoods[joint].max(axis=0)
        color = np.array(estimate.skeleton.joints[joint].color)
        canvas = np.maximum(canvas, (front / front.max()).clip(0, 1)[..., None] * color)
    surface = stages.grid.max(axis=0).reshape(size, 2, size, 2).max(axis=(1, 3))
    picture = np.maximum(canvas, 0.16 * surface[..., None])
    figure = Figure(figsize=(SIZE, SIZE), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(picture, interpolation='nearest')
    axes.set_xticks([-0.5, size - 0.5], ['0', f'{size}'])
    axes.set_yticks([-0.5, size - 0.5], ['0', f'{size}'])
    axes.set_xlabel('x, heatmap cells')
    axes.set_ylabel('y, heatmap cells')
    figure.savefig(path, dpi=100)


def draw_joints(stages: Stages, path: Path) -> None:
    """Draw the joints in space."""
    figure, axes = _figure_3d()
    draw_in_3d(axes, stages.estimate.positions, stages.estimate.skeleton)
    figure.savefig(path, dpi=100)


def _figure_3d() -> tuple[Figure, Any]:
    figure = Figure(figsize=(SIZE, SIZE))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.02, 0.96, 0.96), projection='3d')
    axes.view_init(14.0, -62.0)
    axes.set_box_aspect((1, 1, 1))
    return figure, axes


def _label(axes: Any, ticks: list[int], text: str) -> None:
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_ticks(ticks)
        axis.set_ticklabels([])
        axis.set_pane_color((0.97, 0.97, 0.97))
    axes.set_xlabel(text, labelpad=-10)


def _pixels(points: FloatArray) -> NDArray[np.int64]:
    """Return columns and rows [N, 2] of points [N, 3]."""
    return CAMERA.project(points).round().astype(np.int64)


def _about(stages: Stages, picture: NDArray[Any]) -> NDArray[Any]:
    """Cut the square about the cube."""
    column, row = _pixels(stages.estimate.reference_point[None])[0]
    front = stages.estimate.reference_point[2] - stages.estimate.cube_size / 2
    half = round(0.55 * stages.estimate.cube_size * CAMERA.fx / float(front))
    framed = cv2.copyMakeBorder(picture, half, half, half, half, cv2.BORDER_CONSTANT)
    cut = framed[row : row + 2 * half, column : column + 2 * half]
    return cv2.resize(cut, (480, 480), interpolation=cv2.INTER_AREA)


def _write(path: Path, picture: NDArray[Any]) -> None:
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == '__main__':
    main()
