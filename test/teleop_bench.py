"""A pose node in front of a teleoperation node, and somebody who listens to what it says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, Pose, PoseArray, PoseStamped, Quaternion, TwistStamped
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_bench import PATIENCE, wait_until
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from v2v_pose_ros.msg import Skeleton, SkeletonArray
from v2v_pose_ros.skeletons import HAND

FRAME = 'camera_depth_optical_frame'
PERIOD = 1 / 30

HAND_TOPICS = {
    'wrist_pose': PoseStamped,
    'wrist_twist': TwistStamped,
    'finger_angles': JointState,
    'openings': JointState,
    'keypoints': PoseArray,
}
COMMANDS = {
    **{f'command/{name}': kind for name, kind in HAND_TOPICS.items()},
    'command/robot_joints': JointState,
    'command/robot_trajectory': JointTrajectory,
}
MEASURED = {f'measured/{name}': kind for name, kind in HAND_TOPICS.items()}


def skeletons(
    positions: np.ndarray | None,
    stamp: float | None = None,
    frame: str = FRAME,
    confidence: float = 0.9,
    **changes: object,
) -> SkeletonArray:
    """Return a message with one right hand, or with nobody."""
    stamp = time.time() if stamp is None else stamp
    array = SkeletonArray()
    array.header.frame_id = frame
    array.header.stamp.sec, array.header.stamp.nanosec = int(stamp), int(stamp % 1 * 1e9)
    if positions is None:
        return array
    hand = Skeleton(subject_id='hand', skeleton_name='hand', handedness='right')
    hand.joint_names = list(HAND.names)
    hand.confidences = [confidence] * len(HAND)
    hand.poses = [
        Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0))
        for x, y, z in np.asarray(positions, float).tolist()
    ]
    for name, value in changes.items():
        setattr(hand, name, value)
    array.skeletons = [hand]
    return array


class Metronome:
    """Tells by how much this machine was late at a time; one that is idle is hardly late."""

    STEP = 0.004  # s

    def __init__(self) -> None:
        """Start to tick."""
        self._ticks: list[tuple[float, float]] = []  # when, and how late
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends.is_set():
            due = time.monotonic() + self.STEP
            time.sleep(self.STEP)
            now = time.monotonic()
            self._ticks.append((now, now - due))

    def lateness(self, begin: float, end: float) -> float:
        """Return the most it was late between two moments, seconds."""
        late = [late for now, late in self._ticks if begin <= now <= end + self.STEP]
        return max(late, default=0.0)

    def close(self) -> None:
        """Stop."""
        self._ends.set()
        self._thread.join(PATIENCE)


class TeleopBench:
    """Shows hands over DDS, arms, and remembers every message with the time of its arrival."""

    def __init__(self, context: rclpy.Context, topics: dict[str, type]) -> None:
        """Subscribe to some topics of the node, which may come later."""
        self.node = node = Node('operator', context=context)
        self._show = node.create_publisher(SkeletonArray, 'v2v_pose/skeletons', 1)
        self._dead_man = node.create_publisher(Bool, '/v2v_teleop/dead_man', 1)
        self._joint_states = node.create_publisher(JointState, 'joint_states', 1)
        self._arm = node.create_client(SetBool, '/v2v_teleop/arm')
        self.received: dict[str, list[tuple[float, object]]] = defaultdict(list)
        for name, kind in topics.items():
            self.listen(name, kind)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(String, '/v2v_teleop/state', self._keep('state'), latched)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._keep('diagnostics'), 10)
        self._topics = topics
        self._metronome = Metronome()
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def listen(self, name: str, kind: type) -> None:
        """Subscribe to a topic of the node, and keep what it says."""
        self.node.create_subscription(kind, f'/v2v_teleop/{name}', self._keep(name), 100)

    def _keep(self, name: str) -> Callable[[object], None]:
        return lambda message: self.received[name].append((time.monotonic(), message))

    def wait_for_node(self) -> None:
        """Wait until the node is active and everybody has found everybody."""
        wait_until(lambda: self._show.get_subscription_count() > 0, 'the skeleton subscription')
        wait_until(self._arm.service_is_ready, 'the service ~/arm')
        for name in self._topics:
            topic = f'/v2v_teleop/{name}'
            wait_until(lambda topic=topic: self.node.count_publishers(topic) > 0, topic)
        wait_until(lambda: bool(self.received['state']), 'the first state')

    def show(self, positions: np.ndarray | None, frames: int = 1, **changes: object) -> float:
        """Publish frames at the rate of a camera; return when the last one was published."""
        for _ in range(frames):
            due = time.monotonic() + PERIOD
            self._show.publish(skeletons(positions, **changes))
            published = time.monotonic()
            time.sleep(max(0.0, due - time.monotonic()))  # the camera's own pace
        return published

    def show_until(self, condition: Callable[[], bool], positions, what: str, **changes) -> None:
        """Publish frames until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f'waited in vain for {what}'
            self.show(positions, **changes)

    def push(self, pressed: bool) -> None:
        """Publish on the dead man's topic."""
        self._dead_man.publish(Bool(data=pressed))

    def say_joints(self, **positions: float) -> None:
        """Publish joint states of the robot."""
        message = JointState(name=list(positions), position=list(positions.values()))
        self._joint_states.publish(message)

    def call(self, arm: bool) -> SetBool.Response:
        """Call the service."""
        done = threading.Event()
        future = self._arm.call_async(SetBool.Request(data=arm))
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE), 'the service did not answer'
        return future.result()

    def arm(self, positions: np.ndarray) -> None:
        """Show a hand and arm."""
        self.show(positions)
        deadline = time.monotonic() + PATIENCE
        # On a busy machine the hand may be older than the timeout when the request is served.
        while not self.call(True).success:
            assert time.monotonic() < deadline, 'arming was refused to the end'
            self.show(positions)
        self.show_until(lambda: self.state == 'armed', positions, 'the state armed')

    @property
    def state(self) -> str:
        """The state that the node published last."""
        states = self.received['state']
        return states[-1][1].data if states else ''

    def latest(self, name: str):
        """Return the newest message on a topic."""
        return self.received[name][-1][1]

    def wait_for(self, name: str, since: float, accept: Callable[[object], bool]):
        """Return (arrival, message) of the first message after a time that is accepted."""
        found: list[tuple[float, object]] = []

        def look() -> bool:
            found[:] = [
                each for each in self.received[name] if each[0] >= since and accept(each[1])
            ]
            return bool(found)

        wait_until(look, f'a message on {name}')
        return found[0]

    def delay(self, begin: float, end: float) -> float:
        """Return the seconds from one moment to another without what the machine was late."""
        return end - begin - self._metronome.lateness(begin, end)

    def close(self) -> None:
        """Stop listening."""
        self._metronome.close()
        self._executor.shutdown()
        self._thread.join(PATIENCE)
        self.node.destroy_node()
