"""What the teleoperation node publishes: what is measured, what is commanded, and its state."""

from __future__ import annotations

from geometry_msgs.msg import PoseArray, PoseStamped, TwistStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from trajectory_msgs.msg import JointTrajectory

from v2v_pose_ros.ros.teleop import messages
from v2v_pose_ros.teleoperation.anatomy import FINGER_ANGLES
from v2v_pose_ros.teleoperation.measuring import Hand
from v2v_pose_ros.teleoperation.openings import OPENINGS
from v2v_pose_ros.teleoperation.teleoperator import Command

MANO_FRAME = 'mano_wrist'
"""The frame of the keypoints: the subject's id comes before it. Nobody broadcasts it."""


class HandOutputs:
    """One topic for everything that is known of a hand, each only when somebody subscribes.

    Args:
        node: Whose they are.
        prefix: What their names begin with.
    """

    def __init__(self, node: Node, prefix: str) -> None:
        self._wrist_pose = node.create_publisher(PoseStamped, f'{prefix}/wrist_pose', 1)
        self._wrist_twist = node.create_publisher(TwistStamped, f'{prefix}/wrist_twist', 1)
        self._finger_angles = node.create_publisher(JointState, f'{prefix}/finger_angles', 1)
        self._openings = node.create_publisher(JointState, f'{prefix}/openings', 1)
        self._keypoints = node.create_publisher(PoseArray, f'{prefix}/keypoints', 1)

    def publish(self, header: Header, subject: str, hand: Hand) -> None:
        """Publish a hand that is in the frame of the header."""
        if wanted(self._wrist_pose):
            self._wrist_pose.publish(messages.wrist_pose_message(header, hand.wrist))
        if wanted(self._wrist_twist):
            self._wrist_twist.publish(messages.wrist_twist_message(header, hand.wrist))
        if wanted(self._finger_angles):
            angles = messages.joint_state_message(header, FINGER_ANGLES, hand.finger_angles)
            self._finger_angles.publish(angles)
        if wanted(self._openings):
            openings = messages.joint_state_message(header, OPENINGS, hand.openings)
            self._openings.publish(openings)
        if wanted(self._keypoints):
            about_wrist = Header(stamp=header.stamp, frame_id=f'{subject}/{MANO_FRAME}')
            self._keypoints.publish(messages.points_message(about_wrist, hand.keypoints))


class CommandOutputs:
    """The same, commanded, and what the robot hand's joints are to do.

    Args:
        node: Whose they are.
    """

    def __init__(self, node: Node) -> None:
        self._hand = HandOutputs(node, '~/command')
        self._joints = node.create_publisher(JointState, '~/command/robot_joints', 1)
        self._trajectory = node.create_publisher(JointTrajectory, '~/command/robot_trajectory', 1)

    def publish(
        self,
        header: Header,
        subject: str,
        command: Command,
        joint_names: tuple[str, ...],
        seconds: float,
    ) -> None:
        """Publish a command.

        Args:
            header: its stamp and the frame of the wrist.
            subject: whose hand it follows.
            command: what to do.
            joint_names: of the robot hand.
            seconds: in which the robot hand's controller is to get there.
        """
        self._hand.publish(header, subject, command.hand)
        joints = command.robot_joints
        if joints is None:
            return
        if wanted(self._joints):
            self._joints.publish(messages.joint_state_message(header, joint_names, joints))
        if wanted(self._trajectory):
            self._trajectory.publish(messages.trajectory_message(joint_names, joints, seconds))


class StateOutput:
    """The state of the safety; who subscribes late gets it too.

    Args:
        node: Whose it is.
    """

    def __init__(self, node: Node) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._publisher = node.create_publisher(String, '~/state', latched)
        self._last = ''

    def changes(self, state: str) -> bool:
        """Tell whether a state is another one than was published last."""
        return state != self._last

    def publish(self, state: str) -> None:
        """Publish a state."""
        self._last = state
        self._publisher.publish(String(data=state))


def wanted(publisher: Publisher) -> bool:
    """Tell whether anybody subscribes."""
    return publisher.get_subscription_count() > 0
