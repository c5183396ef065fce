"""One run of the demo: start the camera and the node, watch them, and leave results behind."""

from __future__ import annotations

from collections.abc import Mapping
import json
import math
from threading import Event
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from rich.console import Console
from rich.live import Live
from rich.text import Text
from sensor_msgs.msg import CameraInfo, Image

from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.demo import viewer as demo_viewer
from v2v_pose_ros.ros.demo.picture import draw
from v2v_pose_ros.ros.demo.report import NodeState, plain_line, RunStatistics, summary, table
from v2v_pose_ros.ros.demo.stage import DemoFailed, Listener, LOADING, RESULTS, Stage
from v2v_pose_ros.ros.images import depth_of
from v2v_pose_ros.ros.messages import nanoseconds
from v2v_pose_ros.ros.processes import ChildDied, Children
from v2v_pose_ros.skeletons import Skeleton, SKELETONS

MODULES = {
    'synthetic_camera': 'v2v_pose_ros.ros.synthetic_camera',
    'pose_node': 'v2v_pose_ros.ros.node',
}
# What differs from the nodes' own parameters, as in config/body.yaml.
BODY_CAMERA = {'subject': 'body'}
BODY_NODE = {'model': 'body_lite', 'subject': 'body', 'min_depth': '0.5', 'max_depth': '6.0'}
PARAMETERS: dict[str, dict[str, dict[str, str]]] = {
    'hand': {'synthetic_camera': {}, 'pose_node': {}},
    'body': {'synthetic_camera': BODY_CAMERA, 'pose_node': BODY_NODE},
}
_REFRESH, _LINE = 0.5, 2.0  # seconds between updates of the display, in a terminal and elsewhere
_PICTURE = 3.0  # seconds to wait for an image with its pose


def run(subject: str, seconds: float, interrupted: Event, viewer: str = '') -> int:
    """Count a subject's poses for seconds, or until interrupted (infinity); return the status."""
    stage = Stage()
    console = stage.console
    try:
        with stage:
            watch = Watch(SKELETONS[subject])
            console.print(
                f'Starting the camera and the node (ROS_DOMAIN_ID={stage.domain}, output in '
                f'{RESULTS}/).'
            )
            stage.start(MODULES, PARAMETERS[subject])
            if viewer not in ('', '0'):
                address = demo_viewer.start(stage.children, viewer, stage.environment)
                console.print(address, soft_wrap=True)
            observe(watch, stage.children, console, seconds, interrupted)
            if watch.statistics.last is not None:
                watch.see_picture(_PICTURE)
    except (ChildDied, DemoFailed) as error:
        console.print(Text(str(error)), style='red', soft_wrap=True)
        return 1
    if interrupted.is_set() and watch.statistics.last is None:
        console.print('interrupted before anything was counted')
        return 130
    report = watch.statistics.report()
    show(console, watch, report)
    if interrupted.is_set() and seconds < math.inf:
        return 130
    return 0 if report['poses_published'] else 1


def observe(
    watch: Watch, children: Children, console: Console, seconds: float, interrupted: Event
) -> None:
    """Wait until poses and what they are compared with arrive, then count; show the state.

    Raises ChildDied when the camera or the node ends, and DemoFailed when counting cannot start.
    """
    display = Display(console, watch.statistics)
    begun = time.monotonic()
    with display:
        while watch.statistics.seconds < seconds and not interrupted.is_set():
            watch.spin(0.1)
            children.check()
            if watch.statistics.first is None and time.monotonic() - begun > LOADING:
                problem = (
                    'Poses came, but not camera_info, true joints and diagnostics with them,'
                    if watch.statistics.has_pose
                    else 'No pose was published'
                )
                raise DemoFailed(
                    f'{problem} within {LOADING:.0f} s. The node said last:\n'
                    + children.last_lines('pose_node')
                )
            display.update()


def show(console: Console, watch: Watch, report: Mapping[str, Any]) -> None:
    """Print the result and write the report and the picture."""
    skeleton = watch.statistics.skeleton
    console.print(table(report, skeleton, f'{report["seconds"]:.1f} s of {skeleton.name} poses'))
    file = RESULTS / 'report.json'
    file.write_text(json.dumps(report, indent=2) + '\n')
    written = [file]
    if watch.picture is not None:
        depth, joints = watch.picture
        caption = ', '.join(f'{label} {text}' for label, text in summary(report)[2:])
        draw(depth, watch.intrinsics, joints, skeleton, caption, RESULTS / 'skeleton.png')
        written.append(RESULTS / 'skeleton.png')
    for path in written:
        console.print(f'written: {path.resolve()}', soft_wrap=True, highlight=False)


class Display:
    """Shows the statistics: a live table in a terminal, else a line now and then."""

    def __init__(self, console: Console, statistics: RunStatistics) -> None:
        """Prepare the display."""
        self._console, self._statistics = console, statistics
        live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True) if live else None
        self._due = 0.0
        self._said = ''

    def __enter__(self) -> Display:
        """Start the live table."""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the live table."""
        if self._live:
            self._live.stop()

    def update(self) -> None:
        """Show the current state if it is time to."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (_REFRESH if self._live else _LINE)
        statistics = self._statistics
        if statistics.last is None:
            state = 'counting starts ...' if statistics.has_pose else 'loading the model ...'
            if self._live:
                self._live.update(Text(state), refresh=True)
            elif state != self._said:
                self._console.print(state)
            self._said = state
            return
        report = statistics.report()
        if self._live:
            title = f'{report["seconds"]:.0f} s, {statistics.recent_rate():.1f} poses per second'
            self._live.update(table(report, statistics.skeleton, title), refresh=True)
        else:
            self._console.print(plain_line(report), soft_wrap=True, highlight=False)


class Watch(Listener):
    """The demo's own node: takes in stamps, joints true and estimated, and an image at the end."""

    def __init__(self, skeleton: Skeleton) -> None:
        """Subscribe; rclpy has to be initialised."""
        super().__init__()
        self.statistics = RunStatistics(skeleton)
        self.intrinsics = (0.0, 0.0, 0.0, 0.0)
        self.picture: tuple[NDArray[np.float32], NDArray[np.float64]] | None = None
        self._images: dict[int, Image] | None = None
        # Deep queues: what is late is counted all the same.
        qos = QoSProfile(depth=200)
        subscribe = self.node.create_subscription
        subscribe(CameraInfo, 'depth/camera_info', self._on_camera, qos)
        subscribe(SkeletonArray, 'synthetic_camera/ground_truth', self._on_truth, qos)
        subscribe(SkeletonArray, 'v2v_pose/skeletons', self._on_skeletons, qos)
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, qos)

    def see_picture(self, seconds: float) -> None:
        """Receive images until one comes with its pose; give up after some seconds.

        Images cost time, so nobody subscribes to them while poses are counted.
        """
        self._images = {}
        self.node.create_subscription(
            Image, 'depth/image_rect', self._on_image, QoSProfile(depth=30)
        )
        deadline = time.monotonic() + seconds
        while self.picture is None and time.monotonic() < deadline:
            self.spin(0.05)

    def _on_camera(self, message: CameraInfo) -> None:
        self.statistics.frame(nanoseconds(message))
        self.intrinsics = tuple(float(message.k[place]) for place in (0, 4, 2, 5))

    def _on_truth(self, message: SkeletonArray) -> None:
        joints = self._joints(message)
        if joints is not None:
            self.statistics.truth(nanoseconds(message), joints)

    def _on_skeletons(self, message: SkeletonArray, info: Mapping[str, int]) -> None:
        # The middleware says when it was published; the demo itself may have been late.
        published = info['source_timestamp']
        stamp, joints = nanoseconds(message), self._joints(message)
        self.statistics.pose(stamp, published, joints)
        image = self._images.get(stamp) if self._images else None
        if joints is not None and image is not None and self.picture is None:
            self.picture = depth_of(image), joints

    def _joints(self, message: SkeletonArray) -> NDArray[np.float64] | None:
        return joints_of(message, self.statistics.skeleton)

    def _on_image(self, message: Image) -> None:
        if self._images is not None and len(self._images) < 90:
            self._images[nanoseconds(message)] = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {entry.key: entry.value for entry in status.values}
            if 'images received' in values:
                received = int(values['images received'])
                model, runtime = values.get('model', ''), values.get('runtime', '')
                state = NodeState(nanoseconds(message), received, model, runtime)
                self.statistics.node(state)


def joints_of(message: SkeletonArray, wanted: Skeleton) -> NDArray[np.float64] | None:
    """Return the joints [J, 3] in metres of the first skeleton of a kind, None without any."""
    for skeleton in message.skeletons:
        if tuple(skeleton.joint_names) == wanted.names:
            positions = (pose.position for pose in skeleton.poses)
            return np.array([(point.x, point.y, point.z) for point in positions])
    return None
