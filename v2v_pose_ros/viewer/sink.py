"""Scenes to Rerun: into a file, a window, or a page that a browser opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.subjects import draw_subject, Subject
from v2v_pose_ros.viewer import layout
from v2v_pose_ros.viewer.scene import GRID, occupied_cells, Scene

APPLICATION = 'v2v_pose_ros'
WEB_PORT, DATA_PORT = 9090, 9876  # Rerun's own defaults

_GREY = 0.25  # of joints that the network knows nothing about
_POINT_FILL = 0.4  # of the distance between points: what is behind them shows
_MEMORY = '25%'  # of the machine's, for what late viewers want to see


class ViewerError(ValueError):
    """The viewer cannot be used; the text says why and what to do."""


def load_rerun() -> Any:
    """Return Rerun, or raise ViewerError, which says what to install."""
    try:
        import rerun
    except ImportError as error:
        raise ViewerError(
            f'the viewer needs Rerun, which cannot be imported ({error}): '
            "pip install 'v2v_pose_ros[viewer]' (rerun-sdk where colcon built the package), or "
            'leave the viewer away'
        ) from error
    return rerun


def page_address(host: str, port: int, web: int) -> str:
    """Return where a served viewer is: a page, or without one what `rerun --connect` takes."""
    source = f'rerun+http://{host}:{port}/proxy'
    return f'http://{host}:{web}/?url={quote(source, safe="")}' if web else source


class Viewer:
    """Draws scenes; a context manager, which ends with everything written.

    A viewer belongs to one thread; `live.LiveViewer` draws in a thread of its own.

    Attributes:
        address: where to look at it; empty for a file.
    """

    def __init__(self, stream: Any, address: str = '') -> None:
        """Draw into a rerun.RecordingStream; see the other constructors."""
        self._rr, self._stream, self.address = load_rerun(), stream, address
        self._camera: Camera | None = None
        self._far = 0.0  # metres, drawn white
        self._shown: set[str] = set()
        self._aimed = False
        self._log('/', self._rr.ViewCoordinates.RDF, static=True)
        self._stream.send_blueprint(layout.blueprint())

    @classmethod
    def to_file(cls, path: Path) -> Viewer:
        """Write an .rrd file, which `rerun FILE` replays.

        Raises:
            ViewerError: Rerun is not installed or the file cannot be written.
        """
        rerun = load_rerun()
        if path.suffix != '.rrd':
            raise ViewerError(f'the viewer writes {path}; a name that ends in .rrd is expected')
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = rerun.RecordingStream(APPLICATION)
        try:
            stream.save(path)
        except RuntimeError as error:
            raise ViewerError(f'{path} cannot be written: {error}') from error
        return cls(stream)

    @classmethod
    def serve(cls, host: str = '127.0.0.1', port: int = DATA_PORT, web: int = WEB_PORT) -> Viewer:
        """Serve the view to browsers and to `rerun` on any machine; it needs no screen.

        Args:
            host: how others call this machine.
            port: where the data is served.
            web: where the page is served; 0 serves none.

        Raises:
            ViewerError: Rerun is not installed, or a port is in use.
        """
        rerun = load_rerun()
        stream = rerun.RecordingStream(APPLICATION)
        try:
            source = stream.serve_grpc(grpc_port=port, server_memory_limit=_MEMORY)
            if web:
                rerun.serve_web_viewer(web_port=web, open_browser=False, connect_to=source)
        except RuntimeError as error:
            raise ViewerError(
                f'the viewer cannot be served on the ports {port} and {web}: {error}'
            ) from error
        return cls(stream, page_address(host, port, web))

    def __enter__(self) -> Viewer:
        """Return the viewer itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    @property
    def stream(self) -> Any:
        """The rerun.RecordingStream, for what is drawn beside the scenes."""
        return self._stream

    def close(self) -> None:
        """Write what is left and end the stream."""
        self._stream.flush()
        self._stream.disconnect()

    def arrange(self, blueprint: Any) -> None:
        """Arrange the views by a rerun.blueprint.Blueprint, whatever is shown from now on."""
        self._stream.send_blueprint(blueprint)
        self._aimed = True

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self._stream.set_time(layout.TIMELINE, timestamp=scene.stamp)
        self._show_depth(scene)
        present = {subject.identity for subject in scene.subjects}
        for identity in self._shown - present:
            for tree in layout.SUBJECT_TREES:
                self._log(f'{tree}/{identity}', self._rr.Clear(recursive=True))
        self._shown = present
        for subject in scene.subjects:
            self._aim(subject)
            self._show_skeleton(subject)
            self._show_cube(scene, subject)
        for stage, seconds in scene.timings.items():
            self._log(f'{layout.LATENCY}/{stage}', self._rr.Scalars(1000 * seconds))
        if scene.timings:
            whole = 1000 * sum(scene.timings.values())
            self._log(f'{layout.LATENCY}/whole', self._rr.Scalars(whole))

    def _log(self, path: str, what: Any, **options: Any) -> None:
        self._stream.log(path, what, **options)

    def _aim(self, subject: Subject) -> None:
        """Look at the first subject; afterwards, whoever watches turns the view."""
        if not self._aimed:
            estimate = subject.estimate
            self.arrange(layout.blueprint(estimate.reference_point, estimate.cube_size))

    def _show_depth(self, scene: Scene) -> None:
        rr, camera = self._rr, scene.camera
        if camera != self._camera:
            self._camera, self._far = camera, _farthest(scene.depth)
            pinhole = rr.Pinhole(
                image_from_camera=camera.matrix,
                resolution=[camera.width, camera.height],
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=0.1,
            )
            self._log(layout.CAMERA, pinhole)
        millimetres = np.rint(scene.depth * 1000).clip(0, 65535).astype(np.uint16)
        image = rr.DepthImage(
            millimetres,
            meter=1000.0,
            colormap='grayscale',  # near is dark, so that bones of any colour stand out
            depth_range=[0.0, 1000 * self._far],
            point_fill_ratio=_POINT_FILL,
        )
        self._log(layout.DEPTH, image)

    def _show_skeleton(self, subject: Subject) -> None:
        """Draw bones and joints; all names appear under the mouse, those of the ends always."""
        rr, estimate = self._rr, subject.estimate
        path = f'{layout.SKELETONS}/{subject.identity}'
        skeleton, (bones, joints) = estimate.skeleton, draw_subject(estimate)
        strips = rr.LineStrips3D(
            bones.points.reshape(-1, 2, 3), colors=faded(bones.colors[::2]), radii=bones.size / 2
        )
        self._log(f'{path}/bones', strips)
        labels = [
            f'{name} {confidence:.2f}'
            for name, confidence in zip(skeleton.names, estimate.confidences, strict=True)
        ]
        look: dict[str, Any] = {'colors': faded(joints.colors), 'radii': joints.size / 2}
        points = rr.Points3D(joints.points, labels=labels, show_labels=False, **look)
        self._log(f'{path}/joints', points)
        parents = {joint.parent for joint in skeleton.joints}
        ends = [index for index, name in enumerate(skeleton.names) if name not in parents]
        names = rr.Points3D(
            joints.points[ends],
            labels=[skeleton.names[index].replace('_', ' ') for index in ends],
            show_labels=True,
            colors=look['colors'][ends],
            radii=joints.size / 2,
        )
        self._log(f'{path}/names', names)
        confidence = rr.Scalars(float(estimate.confidence))
        self._log(f'{layout.CONFIDENCE}/{subject.identity}', confidence)

    def _show_cube(self, scene: Scene, subject: Subject) -> None:
        """Draw the cube, the points measured in it, and the grid that the network sees."""
        rr, estimate, identity = self._rr, subject.estimate, subject.identity
        centre, edge = estimate.reference_point, estimate.cube_size
        box = rr.Boxes3D(
            centers=[centre],
            sizes=[[edge] * 3],
            colors=[150, 150, 150],
            fill_mode='MajorWireframe',
        )
        self._log(f'{layout.CUBES}/{identity}', box)
        points = scene.cube_points(subject)
        cloud = rr.Points3D(points, radii=edge / 1000, colors=[80, 150, 225])
        self._log(f'{layout.POINTS}/{identity}', cloud)
        cells = occupied_cells(points, centre, edge)
        occupied = rr.Boxes3D(
            centers=cells,
            half_sizes=np.full_like(cells, edge / GRID / 2),
            colors=[255, 190, 90, 90],
            fill_mode='solid',
        )
        self._log(f'{layout.OCCUPANCY}/{identity}', occupied)


def _farthest(depth: FloatArray) -> float:
    """Return the depth to draw white, half as far again as nearly everything is, in metres."""
    measured = depth[depth > 0]
    return 1.5 * float(np.percentile(measured, 98)) if len(measured) else 1.0


def faded(colors: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return colours [N, 3] in 0..255 of colours [N, 4] in 0..1: opacity becomes greyness.

    Rerun draws points and lines opaque.
    """
    opacity = colors[:, 3:]
    mixed = opacity * colors[:, :3] + (1 - opacity) * _GREY
    return np.rint(255 * mixed).astype(np.uint8)
