"""Scenes to Rerun: into a file, a window, or a page that a browser opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.subjects import draw_subject, Subject
from v2v_pose_ros.viewer.scene import GRID, occupied_cells, Scene

APPLICATION = 'v2v_pose_ros'
WEB_PORT, DATA_PORT = 9090, 9876  # Rerun's own defaults

_CAMERA = 'camera'
_DEPTH = f'{_CAMERA}/depth'
_SUBJECTS = 'subjects'
_MEMORY = '25%'  # of the machine's, for what late viewers want to see


class ViewerError(ValueError):
    """The viewer cannot be used; the text says why and what to do."""


def _rerun() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise ViewerError(
            f'the viewer needs Rerun, which cannot be imported ({error}): '
            "pip install 'v2v_pose_ros[viewer]', or leave the viewer away"
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
        self._rr, self._stream, self.address = _rerun(), stream, address
        self._camera: Camera | None = None
        self._shown: set[str] = set()
        self._layout()

    @classmethod
    def to_file(cls, path: Path) -> Viewer:
        """Write an .rrd file, which `rerun FILE` replays.

        Raises:
            ViewerError: Rerun is not installed or the file cannot be written.
        """
        rerun = _rerun()
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
        rerun = _rerun()
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

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self._stream.set_time('stamp', timestamp=scene.stamp)
        self._show_depth(scene)
        present = {subject.identity for subject in scene.subjects}
        for identity in self._shown - present:
            self._log(f'{_SUBJECTS}/{identity}', self._rr.Clear(recursive=True))
        self._shown = present
        for subject in scene.subjects:
            self._show_subject(scene, subject)
        for stage, seconds in scene.timings.items():
            self._log(f'latency/{stage}', self._rr.Scalars(1000 * seconds))
        if scene.timings:
            self._log('latency/whole', self._rr.Scalars(1000 * sum(scene.timings.values())))

    def _log(self, path: str, what: Any, **options: Any) -> None:
        self._stream.log(path, what, **options)

    def _show_depth(self, scene: Scene) -> None:
        rr, camera = self._rr, scene.camera
        if camera != self._camera:
            self._camera = camera
            pinhole = rr.Pinhole(
                image_from_camera=camera.matrix,
                resolution=[camera.width, camera.height],
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=0.1,
            )
            self._log(_CAMERA, pinhole)
        millimetres = np.rint(scene.depth * 1000).clip(0, 65535).astype(np.uint16)
        self._log(_DEPTH, rr.DepthImage(millimetres, meter=1000.0))

    def _show_subject(self, scene: Scene, subject: Subject) -> None:
        rr, estimate, path = self._rr, subject.estimate, f'{_SUBJECTS}/{subject.identity}'
        bones, joints = draw_subject(estimate)
        self._log(
            f'{path}/bones',
            rr.LineStrips3D(
                bones.points.reshape(-1, 2, 3), colors=bones.colors[::2], radii=bones.size / 2
            ),
        )
        labels = [
            f'{name} {confidence:.2f}'
            for name, confidence in zip(estimate.skeleton.names, estimate.confidences, strict=True)
        ]
        self._log(
            f'{path}/joints',
            rr.Points3D(
                joints.points,
                colors=joints.colors,
                radii=joints.size / 2,
                labels=labels,
                show_labels=False,
            ),
        )
        self._log(f'confidence/{subject.identity}', rr.Scalars(float(estimate.confidence)))
        centre, edge = estimate.reference_point, estimate.cube_size
        self._log(
            f'{path}/cube',
            rr.Boxes3D(centers=[centre], sizes=[[edge] * 3], colors=[150, 150, 150]),
        )
        points = scene.cube_points(subject)
        self._log(f'{path}/points', rr.Points3D(points, radii=edge / 400, colors=[90, 170, 255]))
        cells = occupied_cells(points, centre, edge)
        self._log(
            f'{path}/occupancy',
            rr.Boxes3D(
                centers=cells,
                half_sizes=np.full_like(cells, edge / GRID / 2),
                colors=[255, 190, 90, 90],
                fill_mode='solid',
            ),
        )

    def _layout(self) -> None:
        """Arrange the views and name the axes: x right, y down, z forward."""
        import rerun.blueprint as rrb

        self._log('/', self._rr.ViewCoordinates.RDF, static=True)
        space = rrb.Spatial3DView(
            origin='/',
            name='skeletons and points',
            contents=['+ /**', f'- /{_SUBJECTS}/*/occupancy'],
        )
        grid = rrb.Spatial3DView(
            origin='/',
            name='occupancy',
            contents=[f'+ /{_SUBJECTS}/*/{part}' for part in ('occupancy', 'cube', 'bones')],
        )
        depth = rrb.Spatial2DView(
            origin=_CAMERA,
            name='depth',
            contents=[
                f'+ /{_DEPTH}',
                *(f'+ /{_SUBJECTS}/*/{part}' for part in ('bones', 'joints')),
            ],
        )
        plots = rrb.Horizontal(
            rrb.TimeSeriesView(origin='latency', name='milliseconds'),
            rrb.TimeSeriesView(origin='confidence', name='confidence'),
        )
        self._stream.send_blueprint(
            rrb.Blueprint(
                rrb.Vertical(
                    rrb.Horizontal(rrb.Tabs(space, grid), depth), plots, row_shares=[3, 1]
                ),
                rrb.TimePanel(state='collapsed'),
                collapse_panels=True,
            )
        )
