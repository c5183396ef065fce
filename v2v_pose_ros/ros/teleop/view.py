"""What the teleoperation node commands, shown in the viewer: a robot hand, and how it follows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import JointState

from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.messages import nanoseconds
from v2v_pose_ros.ros.teleop.input import positions_of
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.teleoperation.following import Following
from v2v_pose_ros.viewer.robot import LATENCY, RobotView, TRACKING
from v2v_pose_ros.viewer.sink import Viewer


class TeleopView:
    """Draws commands as they come.

    Commands are compared with the hands of their frames: with what the pose node saw, or with the
    truth, where a synthetic camera tells it.

    Args:
        node: Who subscribes.
        viewer: What draws; it stays the caller's.
        urdf: Of the robot hand.
        hands: The topic of the hands to compare with.

    Raises ViewerError when the robot cannot be drawn.
    """

    def __init__(self, node: Node, viewer: Viewer, urdf: str, hands: str) -> None:
        self._robot = RobotView(viewer, Path(urdf))
        self._following = Following()
        subscribe, qos = node.create_subscription, QoSProfile(depth=10)
        subscribe(SkeletonArray, hands, self._on_hands, qos)
        subscribe(JointState, 'v2v_teleop/command/robot_joints', self._on_joints, qos)
        subscribe(PoseStamped, 'v2v_teleop/command/wrist_pose', self._on_wrist, qos)
        subscribe(JointState, 'v2v_teleop/command/finger_angles', self._on_fingers, qos)

    def _on_hands(self, message: SkeletonArray) -> None:
        for hand in message.skeletons:
            if hand.skeleton_name == HAND.name and (positions := positions_of(hand)) is not None:
                side = hand.handedness or 'right'
                self._following.see(nanoseconds(message), positions, side)
                return

    def _on_joints(self, message: JointState) -> None:
        positions = dict(zip(message.name, message.position, strict=True))
        self._robot.show_joints(nanoseconds(message) * 1e-9, positions)

    def _on_wrist(self, message: PoseStamped) -> None:
        stamp, place, turn = nanoseconds(message), message.pose.position, message.pose.orientation
        position = np.array([place.x, place.y, place.z])
        rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
        self._robot.show_wrist(stamp * 1e-9, position, rotation)
        error = self._following.wrist_error(stamp, position)
        if error is not None:
            self._robot.show_figures(stamp * 1e-9, {f'{TRACKING}/wrist_mm': error})

    def _on_fingers(self, message: JointState, info: Mapping[str, int]) -> None:
        stamp = nanoseconds(message)
        errors = self._following.finger_errors(stamp, np.array(message.position))
        if errors is None:  # a held command, which follows no frame
            return
        figures = {
            f'{TRACKING}/fingers_deg': float(np.median(errors)),
            f'{LATENCY}/whole': (info['source_timestamp'] - stamp) * 1e-6,
        }
        self._robot.show_figures(stamp * 1e-9, figures)
