"""Where things are in the viewer, and how its views are arranged.

What a view shows is said by subtrees: Rerun's filters know `/**` at the end of a path and no other
wildcard, so everything of one kind has a tree of its own, with the subjects below it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import FloatArray

CAMERA = 'camera'
DEPTH = f'{CAMERA}/depth'
SKELETONS, CUBES, POINTS, OCCUPANCY = 'subjects', 'cubes', 'points', 'occupancy'
SUBJECT_TREES = (SKELETONS, CUBES, POINTS, OCCUPANCY)
"""Trees with a branch for every subject."""

CONFIDENCE, LATENCY = 'confidence', 'latency'
TIMELINE = 'stamp'

_BACKGROUND = (16, 18, 22)
_PLOTTED = 10  # seconds
_EYE_DISTANCE = 1.7  # from the middle of the subject's cube, in edges of it
_EYE_DIRECTION = np.array([0.55, -0.35, -1.0])  # from the subject: to the camera, right and up


def blueprint(middle: FloatArray | None = None, edge: float = 1.0) -> Any:
    """Return a rerun.blueprint.Blueprint.

    Args:
        middle: what to look at first, metres in the optical frame; the whole scene if None.
        edge: size of it in metres.
    """
    import rerun.blueprint as rrb

    views = looking_at(middle, edge)
    space = rrb.Spatial3DView(
        name='skeletons and points', contents=trees(CAMERA, SKELETONS, CUBES, POINTS), **views
    )
    grid = rrb.Spatial3DView(
        name='occupancy grid', contents=trees(OCCUPANCY, CUBES, SKELETONS), **views
    )
    depth = rrb.Spatial2DView(
        origin=CAMERA, name='depth', contents=trees(DEPTH, SKELETONS), background=_BACKGROUND
    )
    plots = rrb.Horizontal(
        plot(LATENCY, 'time of every stage, ms'),
        plot(CONFIDENCE, 'confidence', axis_y=rrb.ScalarAxis(range=(0.0, 1.0))),
    )
    return rrb.Blueprint(
        rrb.Vertical(rrb.Horizontal(rrb.Tabs(space, grid), depth), plots, row_shares=[5, 2]),
        rrb.TimePanel(state='collapsed', timeline=TIMELINE),
        collapse_panels=True,
    )


def looking_at(middle: NDArray[np.floating] | None, edge: float) -> dict[str, Any]:
    """Return what 3D views have in common that look at a place first, or at the whole scene."""
    import rerun.blueprint as rrb

    views: dict[str, Any] = {'origin': '/', 'background': _BACKGROUND}
    if middle is not None:
        away = _EYE_DISTANCE * edge * _EYE_DIRECTION / np.linalg.norm(_EYE_DIRECTION)
        views['eye_controls'] = rrb.EyeControls3D(
            position=middle + away, look_target=middle, eye_up=[0.0, -1.0, 0.0]
        )
    return views


def trees(*names: str) -> list[str]:
    """Return the filter that shows these trees and nothing else."""
    return [f'+ /{name}/**' for name in names]


def plot(tree: str, name: str, **look: Any) -> Any:
    """Return a plot of the last seconds before the time that is shown."""
    import rerun.blueprint as rrb

    relative = rrb.TimeRangeBoundary.cursor_relative
    return rrb.TimeSeriesView(
        origin=tree,
        name=name,
        axis_x=rrb.TimeAxis(
            view_range=rrb.TimeRange(start=relative(seconds=-_PLOTTED), end=relative())
        ),
        **look,
    )
