"""The teleoperation node: skeletons in, commands for a robot out, under a lifecycle.

It only wires: what is safe is decided in ``teleoperation``. Everything happens in the executor's
one thread, by a steady clock.
"""

from __future__ import annotations

import sys
import time
import traceback

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Header
from std_srvs.srv import SetBool

from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.declarations import declare, ParameterError
from v2v_pose_ros.ros.lifecycle import ManagedNode, run
from v2v_pose_ros.ros.teleop.input import joints_of, SkeletonReader
from v2v_pose_ros.ros.teleop.messages import diagnostics_message, TeleopHealth
from v2v_pose_ros.ros.teleop.outputs import CommandOutputs, HandOutputs, StateOutput
from v2v_pose_ros.ros.teleop.parameters import TeleopParameters
from v2v_pose_ros.ros.transforms import Transforms, TransformUnavailable
from v2v_pose_ros.teleoperation.clutch import ToolUnknown
from v2v_pose_ros.teleoperation.retargeting import make_retargeter, Retargeter
from v2v_pose_ros.teleoperation.teleoperator import Teleoperator
from v2v_pose_ros.teleoperation.urdf import RobotError
from v2v_pose_ros.workspace import RigidTransform

NODE_NAME = 'v2v_teleop'

_TICK = 0.005  # s; how much later than it is due a silence may be noticed
_HOLD_PERIOD = 1 / 30  # s between two held commands
FRESH = 0.5
"""Seconds: where the tool was longer ago says nothing of where it is."""


class TeleopNode(ManagedNode):
    """Follows one hand with a robot.

    Args:
        options: Passed on to rclpy's Node.

    Raises ParameterError for parameters that cannot be.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(NODE_NAME, **options)
        try:
            self._settings = declare(self, TeleopParameters)
        except ParameterError:
            self.destroy_node()
            raise
        self._lifecycle, self._refusal = 'unconfigured', ''
        self._retargeter: Retargeter | None = None
        self._teleoperator: Teleoperator | None = None
        self._transforms: Transforms | None = None
        self._reader = SkeletonReader(self._settings)
        self._received = self._followed = self._losses = 0
        self._published = 0.0
        self._origin = '', ''  # frame and subject of the hand that was followed last
        self._measured = HandOutputs(self, '~/measured')
        self._command = CommandOutputs(self)
        self._state = StateOutput(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self.create_service(SetBool, '~/arm', self._on_arm)
        # A steady clock: simulated time may stand still, and a hand may be lost all the same.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(
            self._settings.diagnostics_period, self._publish_diagnostics, clock=self._steady
        )
        self._inputs: list[object] = []
        self._ticker = None
        if self._settings.autostart:
            self._starter = self.create_timer(0.0, self._start, clock=self._steady)

    # --- The lifecycle. ---

    def _start(self) -> None:
        self._starter.cancel()
        if self._lifecycle == 'unconfigured':
            self.trigger_configure()
        if self._lifecycle == 'inactive':
            self.trigger_activate()
        if self._lifecycle == 'unconfigured' and self.context.ok():
            self.failed.set_result(self._refusal)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make what moves the robot hand."""
        self._refusal = ''
        try:
            self._retargeter = make_retargeter(self._settings.robot_hand)
        except RobotError as error:
            self._refusal = str(error)
            self.get_logger().fatal(self._refusal)
            return TransitionCallbackReturn.FAILURE
        self._lifecycle = 'inactive'
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, disarmed."""
        clutched = bool(self._settings.tool_frame)
        self._transforms = Transforms(self) if clutched else None
        self._teleoperator = Teleoperator(
            self._settings.teleoperator, self._retargeter, self._tool if clutched else None
        )
        self._reader = SkeletonReader(self._settings)
        subscribe = self.create_subscription
        self._inputs = [
            subscribe(SkeletonArray, 'v2v_pose/skeletons', self._on_skeletons, 1),
            subscribe(Bool, '~/dead_man', self._on_dead_man, 1),
        ]
        if self._retargeter is not None:
            self._inputs.append(
                subscribe(
                    JointState, 'joint_states', self._on_joint_states, qos_profile_sensor_data
                )
            )
        self._ticker = self.create_timer(_TICK, self._tick, clock=self._steady)
        self._lifecycle = 'active'
        self._update(time.monotonic())
        names = ', '.join(self._retargeter.joint_names) if self._retargeter else 'none'
        self.get_logger().info(f'ready, disarmed; joints of the robot hand: {names}')
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disarm and let go of all topics; nothing is commanded afterwards."""
        self._let_go()
        self._lifecycle = 'inactive'
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the robot hand."""
        self._release('unconfigured')
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, whatever the state."""
        self._release('finalized')
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, so that the node can be configured anew."""
        self.get_logger().error(f'a transition from {state.label} failed; the node starts afresh')
        self._release('unconfigured')
        return TransitionCallbackReturn.SUCCESS

    def _release(self, lifecycle: str) -> None:
        self._let_go()
        self._retargeter = None
        self._lifecycle = lifecycle

    def _let_go(self) -> None:
        if self._ticker is not None:
            self.destroy_timer(self._ticker)
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        if self._transforms is not None:
            self._transforms.destroy()
        self._ticker, self._inputs, self._teleoperator = None, [], None
        self._transforms = None
        if self._state.changes('disarmed'):
            self._state.publish('disarmed')

    # --- What comes in. ---

    def _on_skeletons(self, array: SkeletonArray) -> None:
        teleoperator, now = self._teleoperator, time.monotonic()
        if teleoperator is None:
            return
        self._received += 1
        follows = teleoperator.safety.state in ('armed', 'holding')
        clock = self.get_clock().now().nanoseconds * 1e-9
        skeleton = self._reader.read(array, clock, follows=follows)
        try:
            teleoperator.see(skeleton, now)
        except Exception as error:
            # Whatever it was, nobody knows what the robot should do now.
            teleoperator.fail(f'{type(error).__name__}: {error}')
            self.get_logger().error(traceback.format_exc(), throttle_duration_sec=1.0)
        self._update(now, array.header)
        if teleoperator.measured is not None:
            self._measured.publish(array.header, self._reader.subject, teleoperator.measured)

    def _on_dead_man(self, message: Bool) -> None:
        if self._teleoperator is not None:
            now = time.monotonic()
            self._teleoperator.beat(message.data, now)
            self._update(now)

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        teleoperator, now = self._teleoperator, time.monotonic()
        if teleoperator is None:
            response.message = f'the node is {self._lifecycle}; activate it first'
            return response
        if request.data and self._settings.dead_man != 'service':
            response.message = (
                f'dead_man is {self._settings.dead_man}, which alone arms; the service disarms'
            )
            return response
        problem = teleoperator.request(request.data, now, 'the service')
        response.success, response.message = problem is None, problem or ''
        self._update(now)
        return response

    def _tool(self) -> RigidTransform:
        """Return where the arm's tool is in the frame of the skeletons; raise ToolUnknown."""
        now, frames = self.get_clock().now(), (self._reader.frame, self._settings.tool_frame)
        fresh = Duration(seconds=min(FRESH, 1e-9 * now.nanoseconds))  # simulated time begins at 0
        try:
            # The latest transform may be of any age; one that reaches until a moment ago is not.
            self._transforms.lookup(*frames, (now - fresh).to_msg())
            return self._transforms.lookup(*frames, Time())
        except TransformUnavailable as error:
            raise ToolUnknown(str(error)) from None

    def _on_joint_states(self, message: JointState) -> None:
        if self._teleoperator is None or self._retargeter is None:
            return
        positions = joints_of(message, self._retargeter.joint_names)
        if positions is not None:
            self._teleoperator.start_robot_at(positions)

    def _tick(self) -> None:
        if self._teleoperator is not None:
            now = time.monotonic()
            self._teleoperator.tick(now)
            self._update(now)

    # --- What goes out. ---

    def _update(self, now: float, header: Header | None = None) -> None:
        """Publish the state, and the command that is due.

        Args:
            now: by the steady clock.
            header: of the skeletons that came now; None when none did.
        """
        safety, command = self._teleoperator.safety, self._teleoperator.command
        changed = self._state.changes(safety.state)
        if command is not None and not command.held:
            if header is not None:
                self._followed += 1
                self._origin = self._reader.frame, self._reader.subject
                self._publish_command(header.stamp, now)
        elif command is not None and (changed or now - self._published >= _HOLD_PERIOD):
            self._publish_command(self.get_clock().now().to_msg(), now)
        if changed:  # a robot that is to stop waits for nobody's log
            self._state.publish(safety.state)
            self._tell(safety.state, safety.reason)

    def _publish_command(self, stamp: Time, now: float) -> None:
        self._published = now
        frame, subject = self._origin  # a hand in view may be another's, and elsewhere
        self._command.publish(
            Header(stamp=stamp, frame_id=frame),
            subject,
            self._teleoperator.command,
            self._retargeter.joint_names if self._retargeter else (),
            self._settings.trajectory_time,
        )

    def _tell(self, state: str, reason: str) -> None:
        if state == 'lost':
            self._losses += 1
            self.get_logger().warning(f'lost: {reason}; arm again to go on')
        elif state != 'holding':
            self.get_logger().info(f'{state}: {reason}' if reason else state)

    def _publish_diagnostics(self) -> None:
        safety = self._teleoperator.safety if self._teleoperator else None
        health = TeleopHealth(
            lifecycle=self._lifecycle,
            state=safety.state if safety else '',
            reason=safety.reason if safety else '',
            skeletons=self._received,
            commands=self._followed,
            losses=self._losses,
            robot=self._settings.robot,
            refusal=self._refusal,
        )
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(
            diagnostics_message(stamp, self.get_fully_qualified_name(), health)
        )


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status of the process."""
    return run(NODE_NAME, TeleopNode, args)


if __name__ == '__main__':
    sys.exit(main())
