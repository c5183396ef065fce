"""Skeletons on depth images and in 3D, frame by frame, as the authors' draw_DB scripts have them.

Joints are metres in the optical frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, withStroke
import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.datasets.base import DepthDataset, DepthFrame
from v2v_pose_ros.datasets.catalogue import open_dataset
from v2v_pose_ros.datasets.msra import SUBJECT_COUNTS
from v2v_pose_ros.evaluation.evaluate import Evaluation
from v2v_pose_ros.evaluation.results import ResultError
from v2v_pose_ros.skeletons import Skeleton

Array = NDArray[np.floating]

_TRUTH = '0.25'  # grey of the ground truth, drawn dashed under an estimate
_MARGIN = 1.35  # how much wider than the skeleton a view is
_VIEW = (14.0, -62.0)  # elevation and azimuth of the 3D view in degrees


def draw_frames(
    evaluation: Evaluation, folder: Path, count: int, data: Path | None = None
) -> list[Path]:
    """Write a picture for each of some frames at equal distances: the truth and every method.

    Args:
        evaluation: what to draw.
        folder: where to.
        count: how many frames.
        data: the dataset's folder; without it there are no depth images and only 3D views.

    Returns:
        The pictures.

    Raises:
        DatasetError: the dataset's test split has not the frames of the ground truth.
    """
    if count < 1:
        raise ResultError(f'{count} frames cannot be drawn; at least one is needed')
    source = None if data is None else TestFrames(evaluation, data)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = np.unique(np.linspace(0, evaluation.frames - 1, count).round().astype(int))
    paths = []
    for index in map(int, chosen):
        figure = frame_figure(evaluation, index, None if source is None else source[index])
        paths.append(folder / f'{index:06d}.png')
        figure.savefig(paths[-1], dpi=150)
    return paths


class TestFrames:
    """The frames of a test set in the order of its result files."""

    __test__ = False  # for pytest: no test class

    def __init__(self, evaluation: Evaluation, root: Path) -> None:
        """Open the test split; MSRA's is all subjects one after the other."""
        name = evaluation.protocol.convention.name
        subjects: list[dict[str, Any]] = [{}]
        if name == 'msra':
            subjects = [{'test_subject': subject} for subject in range(len(SUBJECT_COUNTS))]
        self._places: list[tuple[DepthDataset, int]] = []
        for options in subjects:
            dataset = open_dataset(name, root, 'test', check_counts=False, **options)
            self._places += [(dataset, int(index)) for index in dataset.valid_indices]
        if len(self._places) != evaluation.frames:
            raise ResultError(
                f'the test set in {root} has {len(self._places):,} valid frames; '
                f'{evaluation.truth.path} has {evaluation.frames:,}'
            )

    def __getitem__(self, index: int) -> DepthFrame:
        """Read the frame of a line of the result files."""
        dataset, place = self._places[index]
        return dataset[place]


def frame_figure(evaluation: Evaluation, index: int, frame: DepthFrame | None) -> Figure:
    """Return the figure of a frame: a column for the truth and for each method."""
    skeleton, truth = evaluation.protocol.skeleton, evaluation.truth.joints[index]
    columns: list[tuple[str, Array]] = [('ground truth', truth)]
    for method in evaluation.methods:
        error = 1000 * float(method.scores.errors[index].mean())
        columns.append((f'{method.name}\n{error:.1f} mm', method.joints[index]))
    rows = 1 if frame is None else 2
    figure = Figure(figsize=(3 * len(columns), 3.1 * rows), layout='constrained')
    FigureCanvasAgg(figure)
    for column, (title, joints) in enumerate(columns):
        below = truth if column else None
        if frame is not None:
            axes = figure.add_subplot(2, len(columns), 1 + column)
            draw_on_depth(axes, frame.depth, frame.camera, joints, skeleton, truth)
            axes.set_title(title, fontsize=9)
        place = 1 + column + (rows - 1) * len(columns)
        axes = figure.add_subplot(rows, len(columns), place, projection='3d')
        draw_in_3d(axes, joints, skeleton, below)
        if frame is None:
            axes.text2D(0.5, 1, title, ha='center', va='top', transform=axes.transAxes, size=9)
    return figure


def draw_on_depth(
    axes: Axes,
    depth: FloatArray,
    camera: Camera,
    joints: Array,
    skeleton: Skeleton,
    about: Array | None = None,
) -> None:
    """Draw a skeleton on the part of a depth image about it.

    Args:
        axes: where to.
        depth: [H, W] metres; what is behind the subject or missing is left white.
        camera: of the image.
        joints: [J, 3].
        skeleton: what the joints are.
        about: [J, 3] the joints that the part is chosen by; those drawn by default.
    """
    centre = joints if about is None else about
    low, high = centre.min(axis=0), centre.max(axis=0)
    half = float(np.max(high - low)) / 2 * _MARGIN
    middle = (low + high) / 2
    shown = np.where((depth > 0) & (np.abs(depth - middle[2]) < half), depth, np.nan)
    axes.imshow(shown, cmap='Greys', vmin=middle[2] - 1.8 * half, vmax=middle[2] + 1.4 * half)
    column, row = camera.project(np.asarray(middle[None], np.float32))[0]
    reach = half * camera.fx / middle[2]
    axes.set_xlim(column - reach, column + reach)
    axes.set_ylim(row + reach, row - reach)
    axes.set_aspect('equal')
    axes.set_xticks([])
    axes.set_yticks([])
    in_front = np.where(joints[:, 2:] > 0.01, joints, np.nan)
    pixels = camera.project(np.asarray(in_front, np.float32))
    for parent, child in skeleton.bones:
        axes.plot(
            *pixels[[parent, child]].T,
            color=skeleton.joints[child].color,
            linewidth=2.4,
            solid_capstyle='round',
            path_effects=[withStroke(linewidth=3.8, foreground='black'), Normal()],
        )
    colors = [joint.color for joint in skeleton.joints]
    u, v = pixels.T
    axes.scatter(u, v, s=16, c=colors, edgecolors='black', linewidths=0.7, zorder=3)


def draw_in_3d(axes: Any, joints: Array, skeleton: Skeleton, truth: Array | None = None) -> None:
    """Draw a skeleton in 3D, upright and with the same scale on all axes.

    Args:
        axes: of the projection '3d'.
        joints: [J, 3].
        skeleton: what the joints are.
        truth: [J, 3] drawn in grey below it, and what the view is chosen by.
    """
    if truth is not None:
        for parent, child in skeleton.bones:
            axes.plot(*_upright(truth[[parent, child]]), color=_TRUTH, linewidth=1, ls='--')
    for parent, child in skeleton.bones:
        ends = _upright(joints[[parent, child]])
        # Light colours need a dark edge on white paper.
        axes.plot(*ends, color='black', linewidth=3.4, solid_capstyle='round')
        axes.plot(*ends, color=skeleton.joints[child].color, linewidth=2.4)
    colors = [joint.color for joint in skeleton.joints]
    axes.scatter(*_upright(joints), s=16, c=colors, edgecolors='black', depthshade=False)
    about = joints if truth is None else truth
    low, high = about.min(axis=0), about.max(axis=0)
    half = float(np.max(high - low)) / 2 * 1.1
    x, z, y = _upright(((low + high) / 2)[None])[:, 0]
    axes.set(xlim=(x - half, x + half), ylim=(z - half, z + half), zlim=(y - half, y + half))
    axes.set_box_aspect((1, 1, 1), zoom=1.15)
    axes.view_init(*_VIEW)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_ticks(_ticks(*axis.get_view_interval()))
        axis.set_ticklabels([])
        axis.set_pane_color((0.97, 0.97, 0.97))


def _upright(points: Array) -> Array:
    """Return [3, N]: right, forward and up, which is how figures hold their axes."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]])


def _ticks(low: float, high: float) -> Array:
    """Return grid lines of 5 cm, 10 cm, 50 cm or more metres apart."""
    step = next((s for s in (0.05, 0.1, 0.25, 0.5, 1.0) if (high - low) / s <= 6), high - low)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
