"""Builders of what teleoperation publishes: a header and arrays in, a message out.

The functions are pure. Orders and names are those of ``teleoperation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseArray,
    PoseStamped,
    Quaternion,
    Twist,
    TwistStamped,
    Vector3,
)
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from v2v_pose_ros.ros.messages import duration
from v2v_pose_ros.teleoperation.limits import WristCommand

Floats = NDArray[np.float64]

_LEVELS = {
    'armed': DiagnosticStatus.OK,
    'disarmed': DiagnosticStatus.OK,
    'holding': DiagnosticStatus.WARN,
    'lost': DiagnosticStatus.ERROR,
}


def wrist_pose_message(header: Header, wrist: WristCommand) -> PoseStamped:
    """Return where the wrist is."""
    x, y, z, w = Rotation.from_matrix(wrist.rotation).as_quat().tolist()
    pose = Pose(position=_point(wrist.position), orientation=Quaternion(x=x, y=y, z=z, w=w))
    return PoseStamped(header=header, pose=pose)


def wrist_twist_message(header: Header, wrist: WristCommand) -> TwistStamped:
    """Return how the wrist moves, in the frame of the header, as MoveIt Servo takes it."""
    twist = Twist(linear=_vector(wrist.linear), angular=_vector(wrist.angular))
    return TwistStamped(header=header, twist=twist)


def joint_state_message(header: Header, names: Sequence[str], values: Floats) -> JointState:
    """Return named angles (rad), positions (m) or openings (0 to 1)."""
    return JointState(header=header, name=list(names), position=values.tolist())


def points_message(header: Header, points: Floats) -> PoseArray:
    """Return points [N, 3]; their orientations say nothing."""
    turn = Quaternion(w=1.0)
    poses = [Pose(position=_point(point), orientation=turn) for point in points]
    return PoseArray(header=header, poses=poses)


def trajectory_message(names: Sequence[str], positions: Floats, seconds: float) -> JointTrajectory:
    """Return a trajectory of one point, to be reached in some seconds from its arrival."""
    point = JointTrajectoryPoint(positions=positions.tolist(), time_from_start=duration(seconds))
    return JointTrajectory(joint_names=list(names), points=[point])  # stamp 0: starts at once


@dataclass(frozen=True)
class TeleopHealth:
    """What /diagnostics tells of the node.

    Attributes:
        lifecycle: its lifecycle state.
        state: of the safety, empty while the node is not active.
        reason: why the robot is not followed.
        skeletons: how many messages came.
        commands: how many commands followed a hand.
        losses: how often the hand was lost.
        robot: what follows the fingers.
        refusal: why the node could not be configured, empty if it could.
    """

    lifecycle: str
    state: str = ''
    reason: str = ''
    skeletons: int = 0
    commands: int = 0
    losses: int = 0
    robot: str = 'none'
    refusal: str = ''


def diagnostics_message(stamp: Time, name: str, health: TeleopHealth) -> DiagnosticArray:
    """Return the message for /diagnostics."""
    level = (
        DiagnosticStatus.ERROR
        if health.refusal
        else _LEVELS.get(health.state, DiagnosticStatus.OK)
    )
    state = health.state or health.lifecycle
    text = health.refusal or (f'{state}: {health.reason}' if health.reason else state)
    values = {
        'lifecycle state': health.lifecycle,
        'safety state': health.state or 'none',
        'skeletons received': str(health.skeletons),
        'commands that followed a hand': str(health.commands),
        'losses': str(health.losses),
        'robot': health.robot,
    }
    status = DiagnosticStatus(
        level=level,
        name=name,
        message=text,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def _point(place: Floats) -> Point:
    x, y, z = place.tolist()
    return Point(x=x, y=y, z=z)


def _vector(values: Floats) -> Vector3:
    x, y, z = values.tolist()
    return Vector3(x=x, y=y, z=z)
