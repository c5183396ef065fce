"""A robot hand in the Rerun view, beside the hand that commands it; Rerun reads its URDF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.viewer import layout
from v2v_pose_ros.viewer.sink import Viewer, ViewerError

ROBOT, TRACKING, LATENCY = 'robot', 'tracking', 'command_latency'
"""Where in the recording the robot is, how far its commands are off, and how late they are."""

BESIDE = (0.22, 0.0, 0.0)
"""Metres from the commanded wrist to where the robot is drawn: beside the hand, not in it."""

_SIZE = 0.4  # metres, of hand and robot hand together
_FRAMES = 'robot/'  # before the names of the links, so that they meet no others


class RobotView:
    """Draws a robot into a viewer's recording, from its URDF and the positions of its joints.

    The root link is drawn in the commanded wrist's axes (x to the fingers, z out of the back of
    the hand), `BESIDE` it.
    """

    def __init__(self, viewer: Viewer, urdf: Path) -> None:
        """Read the robot and draw it at rest.

        Raises:
            ViewerError: the URDF cannot be read, or Rerun is too old to read any.
        """
        try:
            import rerun
            from rerun.urdf import UrdfTree

            tree = UrdfTree.from_file_path(
                urdf,
                ROBOT,
                frame_prefix=_FRAMES,
                static_transform_entity_path=f'{ROBOT}/at_rest',
            )
        except (ImportError, TypeError) as error:
            raise ViewerError(
                f'this version of Rerun draws no robots ({error}): '
                "pip install --upgrade 'v2v_pose_ros[viewer]'"
            ) from error
        except (RuntimeError, OSError, ValueError) as error:
            raise ViewerError(
                f'the viewer cannot read the URDF {urdf}: {error}; give the file that the '
                'teleoperation node was given'
            ) from error
        self._rr: Any = rerun
        self._stream = viewer.stream
        self._joints = {joint.name: joint for joint in tree.joints()}
        self._root = f'{_FRAMES}{tree.root_link().name}'
        tree.log_urdf_to_recording(self._stream)
        self._viewer, self._looked = viewer, False
        viewer.arrange(_layout())

    def show_joints(self, stamp: float, positions: Mapping[str, float]) -> None:
        """Move joints, and those that mimic them, to positions in rad or m; stamp in seconds."""
        self._stream.set_time(layout.TIMELINE, timestamp=stamp)
        for name, joint in self._joints.items():
            mimic = joint.mimic
            value = positions.get(name)
            if mimic is not None and mimic.joint in positions:
                value = mimic.multiplier * positions[mimic.joint] + mimic.offset
            if value is not None:
                moved = joint.compute_transform(value, clamp=False)
                self._stream.log(f'{ROBOT}/joints/{name}', moved)

    def show_wrist(
        self, stamp: float, position: NDArray[np.float64], rotation: NDArray[np.float64]
    ) -> None:
        """Put the robot beside a commanded wrist: position [3] in metres, rotation [3, 3]."""
        self._stream.set_time(layout.TIMELINE, timestamp=stamp)
        if not self._looked:
            self._looked = True
            self._viewer.arrange(_layout(position + np.divide(BESIDE, 2)))
        mount = self._rr.Transform3D(
            translation=position + BESIDE,
            mat3x3=rotation,
            child_frame=self._root,
            parent_frame='tf#/',
        )
        self._stream.log(f'{ROBOT}/mount', mount)

    def show_figures(self, stamp: float, figures: Mapping[str, float]) -> None:
        """Plot numbers by their paths, such as `tracking/wrist_mm`."""
        self._stream.set_time(layout.TIMELINE, timestamp=stamp)
        for path, value in figures.items():
            self._stream.log(path, self._rr.Scalars(value))


def _layout(middle: NDArray[np.float64] | None = None) -> Any:
    """Return a blueprint that shows hand and robot together, with the plots of both below.

    Args:
        middle: what to look at first, metres in the optical frame; the whole scene if None.
    """
    import rerun.blueprint as rrb

    shown = layout.trees(layout.SKELETONS, layout.POINTS, ROBOT)
    space = rrb.Spatial3DView(
        name='hand and robot hand', contents=shown, **layout.looking_at(middle, _SIZE)
    )
    plots = rrb.Horizontal(
        layout.plot(TRACKING, 'commands off the hand: mm, degrees'),
        layout.plot(LATENCY, 'image to command, ms'),
    )
    return rrb.Blueprint(
        rrb.Vertical(space, plots, row_shares=[3, 1]),
        rrb.TimePanel(state='collapsed', timeline=layout.TIMELINE),
        collapse_panels=True,
    )
