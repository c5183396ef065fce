"""The field's figures: success curves, bars of every joint, error over the angles of view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

from v2v_pose_ros.evaluation.evaluate import Evaluation
from v2v_pose_ros.evaluation.metrics import body_parts, Rate
from v2v_pose_ros.evaluation.report import thresholds
from v2v_pose_ros.evaluation.results import ResultError

# Okabe and Ito's colours, which colour-blind readers can tell apart, dark ones first.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
_STYLES = ('-', '--', '-.', ':')
_SIZE = 8.5  # points: text of a figure as wide as a page of two columns


def plot(evaluation: Evaluation, path: Path) -> None:
    """Write the figures of an evaluation as one file; its suffix says which kind.

    Raises:
        ResultError: the suffix is of no kind of picture.
    """
    figure = make_figure(evaluation)
    kinds = figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in kinds:
        raise ResultError(f'{path} is no kind of picture; known are {", ".join(sorted(kinds))}')
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({'pdf.fonttype': 42, 'ps.fonttype': 42}):  # publishers want no Type 3 fonts
        figure.savefig(path, dpi=300)


def make_figure(evaluation: Evaluation) -> Figure:
    """Return the figure: curves on top, bars below, then curves over angles where there are."""
    angles = evaluation.angle_curves()
    rows = 3 if angles else 2
    legend = -(-len(evaluation.methods) // 2) if len(evaluation.methods) > 1 else 0
    figure = Figure(figsize=(7.16, 2.65 * rows + 0.18 * legend), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, 2)
    left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    draw_success(left, evaluation, 'joint' if evaluation.protocol.people else 'max_frame')
    draw_success(right, evaluation, 'mean_frame')
    bars = figure.add_subplot(grid[1, :])
    if evaluation.protocol.people:
        draw_precision(bars, evaluation)
    else:
        draw_joints(bars, evaluation)
    for column, (name, (centres, curves)) in enumerate(angles.items()):
        axes = figure.add_subplot(grid[2, column])
        for index, (method, curve) in enumerate(zip(evaluation.methods, curves, strict=True)):
            axes.plot(centres, 1000 * curve, label=method.name, **_line(index))
        axes.set(xlabel=f'{name} (degrees)', ylabel='mean error (mm)')
        axes.set_xlim(centres[0], centres[-1])
        _finish(axes)
    if len(evaluation.methods) > 1:
        handles, labels = left.get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc='outside lower center',
            ncols=min(2, len(labels)),
            frameon=False,
            fontsize=_SIZE,
        )
    figure.suptitle(_title(evaluation), fontsize=_SIZE + 1.5)
    return figure


def _title(evaluation: Evaluation) -> str:
    title = f'{evaluation.protocol.convention.title}, {evaluation.frames:,} frames'
    if len(evaluation.methods) > 1:
        return title
    (method,) = evaluation.methods
    return f'{method.name} on {title}'


_SUCCESS = {
    'max_frame': ('threshold on the worst joint', 'frames within threshold (%)'),
    'mean_frame': ("threshold on the frame's mean error", 'frames within threshold (%)'),
    'joint': ('threshold on the joint error', 'joints within threshold (%)'),
}


def draw_success(axes: Axes, evaluation: Evaluation, rate: Rate) -> None:
    """Draw the share of frames or joints within each threshold."""
    limits = thresholds(evaluation)
    unit, scale = ('cm', 10) if evaluation.protocol.people else ('mm', 1)
    fine = np.linspace(0, limits[-1], 421)
    for index, method in enumerate(evaluation.methods):
        shares = 100 * method.scores.success(rate, fine / 1000)
        label = f'{method.name} ({1000 * method.scores.mean / scale:.2f} {unit})'
        axes.plot(fine / scale, shares, label=label, **_line(index))
    last = 80 if limits[-1] < 100 else limits[-1]
    across, up = _SUCCESS[rate]
    axes.set(xlabel=f'{across} ({unit})', ylabel=up, xlim=(0, last / scale), ylim=(0, 100))
    axes.set_yticks(range(0, 101, 20))
    _finish(axes)


def draw_joints(axes: Axes, evaluation: Evaluation) -> None:
    """Draw the mean error of every joint and of all as bars, in millimetres."""
    names = [*evaluation.protocol.skeleton.names, 'mean']
    values = [
        np.append(1000 * method.scores.per_joint, 1000 * method.scores.mean)
        for method in evaluation.methods
    ]
    _bars(axes, names, values)
    axes.set_ylabel('mean error (mm)')


def draw_precision(axes: Axes, evaluation: Evaluation) -> None:
    """Draw the share of frames within 10 cm of every body part and of all joints as bars."""
    parts = body_parts(evaluation.protocol.skeleton)
    values = []
    for method in evaluation.methods:
        precision = 100 * method.scores.precision()
        shares = [precision[joints].mean() for joints in parts.values()]
        values.append(np.append(shares, precision.mean()))
    _bars(axes, [*parts, 'mean of joints'], values)
    axes.set(ylabel='frames within 10 cm (%)', ylim=(0, 100))


def _bars(axes: Axes, names: list[str], values: list[np.ndarray]) -> None:
    width = 0.8 / len(values)
    places = np.arange(len(names), dtype=float)
    places[-1] += 0.4  # the mean stands apart
    for index, heights in enumerate(values):
        shift = (index - (len(values) - 1) / 2) * width
        style = _line(index)
        shade = 1.0 if style['linestyle'] == '-' else 0.45  # paler where lines are broken
        axes.bar(places + shift, heights, width, color=style['color'], alpha=shade, linewidth=0)
    axes.set_xticks(places, [name.replace('_', ' ') for name in names])
    axes.tick_params(axis='x', rotation=45 if len(names) > 11 else 0, length=0)
    if len(names) > 11:
        for label in axes.get_xticklabels():
            label.set(ha='right', rotation_mode='anchor')
    axes.set_xlim(-0.6, places[-1] + 0.6)
    _finish(axes)
    axes.grid(False, axis='x')


def _line(index: int) -> dict[str, Any]:
    style = _STYLES[index // len(COLORS) % len(_STYLES)]
    return {'color': COLORS[index % len(COLORS)], 'linestyle': style, 'linewidth': 1.4}


def _finish(axes: Axes) -> None:
    axes.grid(True, color='0.88', linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(labelsize=_SIZE - 0.5)
    axes.xaxis.label.set_fontsize(_SIZE)
    axes.yaxis.label.set_fontsize(_SIZE)
