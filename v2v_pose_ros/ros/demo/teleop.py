"""The demo of teleoperation: a synthetic hand drives a robot hand, over DDS, without hardware.

Camera, pose node and teleoperation node are processes of their own. The demo arms, arms again
after losses, and compares every command with the true hand of its frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import json
import math
from threading import Event
import time
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np
from numpy.typing import NDArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from rich.table import Table
from rich.text import Text
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.demo import viewer as demo_viewer
from v2v_pose_ros.ros.demo.stage import DemoFailed, Listener, LOADING, RESULTS, Stage
from v2v_pose_ros.ros.messages import nanoseconds
from v2v_pose_ros.ros.processes import ChildDied, Children
from v2v_pose_ros.ros.teleop.input import positions_of
from v2v_pose_ros.skeletons import FINGERS
from v2v_pose_ros.teleoperation.anatomy import FINGER_ANGLES
from v2v_pose_ros.teleoperation.following import Following
from v2v_pose_ros.teleoperation.robot_hand import urdf

MODULES = {
    'synthetic_camera': 'v2v_pose_ros.ros.synthetic_camera',
    'pose_node': 'v2v_pose_ros.ros.node',
    'teleop_node': 'v2v_pose_ros.ros.teleop.node',
}
# Patient, as a machine may be slow that has to render the camera, too.
PARAMETERS = {
    'pose_node': {'filter': 'true'},
    'teleop_node': {'timeout': '0.3', 'grace': '1.0'},
}
ROBOT_JOINTS = 'v2v_teleop/command/robot_joints'
TRUTH = 'synthetic_camera/ground_truth'


class TeleopStatistics:
    """What became of the true hands: commands, how far they are off, and how late they are."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.frames = 0
        self.following = Following()
        self.latencies: list[float] = []
        self.joint_errors: list[NDArray[np.float64]] = []
        self.fingertip_errors: list[NDArray[np.float64]] = []
        self.wrist_errors: list[float] = []
        self.losses = 0
        self.first = self.last = 0

    def truth(self, stamp: int, positions: NDArray[np.float64]) -> None:
        """Take in the true joints [21, 3] of a frame, metres; stamps are nanoseconds."""
        self.frames += 1
        self.following.see(stamp, positions)

    def joints(self, stamp: int, published: int, angles: NDArray[np.float64]) -> None:
        """Take in commanded joints [20] of the robot hand, rad, that were published then."""
        errors = self.following.finger_errors(stamp, angles)
        tips = self.following.fingertip_errors(stamp, angles)
        if errors is None or tips is None:  # a held command, which has a stamp of its own
            return
        self.first, self.last = self.first or published, published
        self.latencies.append((published - stamp) * 1e-6)
        self.joint_errors.append(errors)
        self.fingertip_errors.append(tips)

    def wrist(self, stamp: int, position: NDArray[np.float64]) -> None:
        """Take in a commanded wrist [3], metres."""
        error = self.following.wrist_error(stamp, position)
        if error is not None:
            self.wrist_errors.append(error)

    def report(self) -> dict[str, Any]:
        """Return all figures: milliseconds, millimetres and degrees."""
        seconds = (self.last - self.first) * 1e-9
        count = len(self.latencies)
        return {
            'subject': 'teleop',
            'frames_sent': self.frames,
            'commands': count,
            'rate_hz': round((count - 1) / seconds, 1) if seconds > 0 else 0.0,
            'losses': self.losses,
            'latency_ms': _percentiles(self.latencies, 50, 99),
            'wrist_error_mm': _percentiles(self.wrist_errors, 50, 90),
            'joint_error_deg': _percentiles(self.joint_errors, 50, 90),
            'fingertip_error_mm': _percentiles(self.fingertip_errors, 50, 90),
            'joint_medians_deg': _medians(FINGER_ANGLES, self.joint_errors),
            'fingertip_medians_mm': _medians(FINGERS, self.fingertip_errors),
        }


def _percentiles(values: list[Any], *percents: int) -> dict[str, float | None]:
    return {
        f'p{percent}': round(float(np.percentile(values, percent)), 2) if values else None
        for percent in percents
    }


def _medians(names: Sequence[str], rows: list[NDArray[np.float64]]) -> dict[str, float | None]:
    medians = np.median(rows, axis=0).round(2).tolist() if rows else [None] * len(names)
    return dict(zip(names, medians, strict=True))


class TeleopWatch(Listener):
    """The demo's own node: it arms, and hears what is commanded."""

    def __init__(self) -> None:
        """Subscribe; rclpy has to be initialised."""
        super().__init__()
        self.statistics = TeleopStatistics()
        self.state = ''
        self._client = self.node.create_client(SetBool, 'v2v_teleop/arm')
        self._request: Any = None
        qos = QoSProfile(depth=200)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscribe = self.node.create_subscription
        subscribe(SkeletonArray, TRUTH, self._on_truth, qos)
        subscribe(PoseStamped, 'v2v_teleop/command/wrist_pose', self._on_wrist, qos)
        subscribe(JointState, ROBOT_JOINTS, self._on_joints, qos)
        subscribe(String, 'v2v_teleop/state', self._on_state, latched)

    @property
    def viewed(self) -> bool:
        """Whether the viewer, which takes a moment to start, hears the commands, too."""
        return self.node.count_subscribers(ROBOT_JOINTS) > 1

    def spin(self, seconds: float) -> None:
        """Handle messages for some seconds, and arm where that is due."""
        super().spin(seconds)
        waiting = self._request is not None and not self._request.done()
        if self.state in ('disarmed', 'lost') and self._client.service_is_ready() and not waiting:
            self._request = self._client.call_async(SetBool.Request(data=True))

    def _on_truth(self, message: SkeletonArray) -> None:
        for hand in message.skeletons:
            positions = positions_of(hand)
            if positions is not None:
                self.statistics.truth(nanoseconds(message), positions)

    def _on_joints(self, message: JointState, info: Mapping[str, int]) -> None:
        positions = dict(zip(message.name, message.position, strict=True))
        angles = np.array([positions[name] for name in FINGER_ANGLES])
        self.statistics.joints(nanoseconds(message), info['source_timestamp'], angles)

    def _on_wrist(self, message: PoseStamped) -> None:
        place = message.pose.position
        self.statistics.wrist(nanoseconds(message), np.array([place.x, place.y, place.z]))

    def _on_state(self, message: String) -> None:
        self.statistics.losses += message.data == 'lost'
        self.state = message.data


def run(seconds: float, interrupted: Event, viewer: str = '') -> int:
    """Teleoperate for seconds, or until interrupted (infinity); return the exit status.

    The viewer is '1' or the name of an .rrd file, as for `demo.viewer`; empty or '0' for none.
    """
    stage = Stage()
    console = stage.console
    try:
        with stage:
            watch = TeleopWatch()
            console.print(
                f'Starting camera, pose node and teleoperation (ROS_DOMAIN_ID={stage.domain}, '
                f'output in {RESULTS}/).'
            )
            file = (RESULTS / 'robot_hand.urdf').resolve()
            file.write_text(urdf())
            robot = {'robot': 'direct', 'urdf': str(file)}
            teleop = {**PARAMETERS['teleop_node'], **robot}
            stage.start(MODULES, {**PARAMETERS, 'teleop_node': teleop})
            views = viewer not in ('', '0')
            if views:
                shown = {'robot_urdf': str(file), 'robot_hands': TRUTH}
                said = demo_viewer.start(stage.children, viewer, stage.environment, **shown)
                console.print(said, soft_wrap=True)
            _observe(watch, stage.children, seconds, interrupted, console.print, views)
    except (ChildDied, DemoFailed) as error:
        console.print(Text(str(error)), style='red', soft_wrap=True)
        return 1
    report = watch.statistics.report()
    console.print(_summary(report), _errors(report))
    file = RESULTS / 'report.json'
    file.write_text(json.dumps(report, indent=2) + '\n')
    console.print(f'written: {file.resolve()}', soft_wrap=True, highlight=False)
    if interrupted.is_set() and seconds < math.inf:
        return 130
    return 0 if report['commands'] else 1


def _observe(
    watch: TeleopWatch,
    children: Children,
    seconds: float,
    interrupted: Event,
    say: Callable[[str], None],
    views: bool,
) -> None:
    """Wait for the first command, then for some seconds; raise ChildDied or DemoFailed.

    Where there is a viewer, it is waited for as well.
    """
    begun, counted, said = time.monotonic(), None, ''
    while not interrupted.is_set():
        watch.spin(0.1)
        children.check()
        now = time.monotonic()
        if watch.state != said:
            said = watch.state
            say(f'{now - begun:5.1f} s  {said}')
        begins = bool(watch.statistics.latencies) and (watch.viewed or not views)
        if counted is None and begins:
            counted = now
        if counted is not None and now - counted >= seconds:
            return
        if counted is None and now - begun > LOADING:
            commanded = bool(watch.statistics.latencies)
            what = 'The viewer did not start' if commanded else 'Nothing was commanded'
            raise DemoFailed(
                f'{what} within {LOADING:.0f} s. The node said last:\n'
                + children.last_lines('viewer_node' if commanded else 'teleop_node')
            )


def _summary(report: Mapping[str, Any]) -> Table:
    """Return everything but what is said finger by finger."""
    table = Table(title='A hand drives a robot hand', show_header=False)
    for name, value in report.items():
        if isinstance(value, Mapping):
            value = ', '.join(f'{key} {each}' for key, each in value.items())
        if 'medians' not in name:
            table.add_row(name.replace('_', ' '), str(value))
    return table


def _errors(report: Mapping[str, Any]) -> Table:
    """Return the median errors, finger by finger."""
    columns = ('finger', 'joints from the palm on, degrees', 'fingertip, mm')
    table = Table(*columns, title='Median errors against the true hand')
    joints = [str(value) for value in report['joint_medians_deg'].values()]
    for number, (finger, tip) in enumerate(report['fingertip_medians_mm'].items()):
        table.add_row(finger, ', '.join(joints[4 * number : 4 * number + 4]), str(tip))
    return table
