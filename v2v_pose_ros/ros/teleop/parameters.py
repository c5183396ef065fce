"""The teleoperation node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from v2v_pose_ros import defaults
from v2v_pose_ros.ros.declarations import parameter, ParameterError, Parameters
from v2v_pose_ros.teleoperation.dead_man import Gesture
from v2v_pose_ros.teleoperation.limits import WristLimits
from v2v_pose_ros.teleoperation.openings import OPENINGS
from v2v_pose_ros.teleoperation.retargeting import DEX_HANDS, METHODS, names_in, RobotOptions
from v2v_pose_ros.teleoperation.safety import SafetyOptions
from v2v_pose_ros.teleoperation.teleoperator import TeleoperatorOptions

_PINCHES = OPENINGS[:-1]
_FIST = OPENINGS[-1]


@dataclass(frozen=True)
class TeleopParameters(Parameters):
    """All parameters of the node, checked. Lengths are metres, times seconds, angles radians."""

    autostart: bool = parameter(
        True,
        'True: the node configures and activates itself. False: it waits for somebody who manages '
        'its lifecycle (ros2 lifecycle set).',
    )
    handedness: str = parameter(
        'right', "Which of the operator's hands is followed.", choices=('right', 'left')
    )
    subject: str = parameter(
        '',
        'Which subject is followed, by its id; empty: the first hand of that side. While a hand '
        'is followed, no other takes its place.',
    )
    frame: str = parameter(
        '',
        'TF frame that the skeletons must be in, such as the base of the robot; let the pose node '
        'put them there (output_frame). Empty: the one they are in when the robot is armed.',
    )
    tool_frame: str = parameter(
        '',
        'TF frame of the tool of the robot arm. With it, the wrist is commanded relative to where '
        'the tool was when the robot was armed (a clutch); empty: to where the hand is.',
    )
    motion_scale: float = parameter(
        1.0,
        'How far the tool goes (m) for a metre of the hand, with tool_frame.',
        span=(0.01, 10.0),
    )
    unsafe: str = parameter(
        'hold',
        'What is commanded while the robot may not follow: hold (the last command again, at rest) '
        'or stop (nothing).',
        choices=('hold', 'stop'),
    )
    min_confidence: float = parameter(
        defaults.MIN_CONFIDENCE,
        'A hand with less mean joint confidence (0 to 1) is not followed.',
        span=(0.0, 1.0),
    )
    timeout: float = parameter(
        0.05,
        'Without a skeleton for this time (s) the robot stops following; one and a half periods '
        'of the camera notice a loss within two.',
        span=(0.005, 10.0),
    )
    max_age: float = parameter(
        0.5,
        'A skeleton whose stamp is farther than this (s) from the clock is not followed.',
        span=(0.01, 1e9),
    )
    grace: float = parameter(
        0.15,
        'A hand that was away for at most this time (s) is followed again by itself; after that '
        'it is lost, and the robot has to be armed again.',
        span=(0.0, 10.0),
    )
    max_jump: float = parameter(
        0.15,
        'When the wrist moves farther than this (m) from one skeleton to the next, it is lost.',
        span=(0.001, 10.0),
    )
    dead_man: str = parameter(
        'service',
        'What arms and disarms: service (~/arm), topic (~/dead_man, true after false and '
        'repeated), pinch (of pinch_finger) or fist. The service disarms with every one of them.',
        choices=('service', 'topic', 'pinch', 'fist'),
    )
    dead_man_timeout: float = parameter(
        0.5, 'A message on ~/dead_man counts for this time (s).', span=(0.01, 10.0)
    )
    pinch_finger: str = parameter(
        'index',
        'Which finger pinches with the thumb, with dead_man: pinch.',
        choices=[name.removeprefix('pinch_') for name in _PINCHES],
    )
    gesture_toggles: bool = parameter(
        False,
        'True: a pinch or fist arms, the next one disarms. False: the robot follows while it '
        'lasts.',
    )
    gesture_time: float = parameter(
        0.3, 'A pinch or fist must last for this time (s) to count.', span=(0.0, 10.0)
    )
    gesture_close: float = parameter(
        0.15, 'A pinch or fist begins where its opening falls to this (0 to 1).', span=(0.0, 1.0)
    )
    gesture_release: float = parameter(
        0.4, 'A pinch or fist ends where its opening rises to this (0 to 1).', span=(0.0, 1.0)
    )
    max_linear_speed: float = parameter(
        0.5, 'The wrist is commanded no faster than this (m/s).', span=(0.001, 100.0)
    )
    max_angular_speed: float = parameter(
        2.0, 'The wrist is commanded to turn no faster than this (rad/s).', span=(0.001, 100.0)
    )
    max_finger_speed: float = parameter(
        12.0, 'The fingers are commanded no faster than this (rad/s).', span=(0.001, 1000.0)
    )
    max_opening_speed: float = parameter(
        10.0,
        'The openings are commanded no faster than this (1/s); 10 closes a hand in 0.1 s.',
        span=(0.001, 1000.0),
    )
    robot: str = parameter(
        'none',
        'The robot hand: none, gripper (a parallel one), direct (joints that the URDF names like '
        f'finger angles), a hand that dex-retargeting knows ({", ".join(DEX_HANDS)}), or the path '
        'of a configuration file (.yml) for it.',
    )
    urdf: str = parameter('', "Path of the robot hand's URDF; its limits are kept.")
    retargeting: str = parameter(
        'vector',
        'How dex-retargeting works: vector (fingertips from the wrist) or dexpilot (closes '
        'pinches that are nearly closed).',
        choices=METHODS,
    )
    gripper_joints: str = parameter(
        '', "Joints of a gripper, separated by commas; empty: all of the URDF that don't mimic."
    )
    gripper_opening: str = parameter(
        'pinch_index', 'Which opening of the hand a gripper follows.', choices=OPENINGS
    )
    gripper_open_at: str = parameter(
        'upper', "The limit of a gripper's joints where it is open.", choices=('upper', 'lower')
    )
    joint_speed: float = parameter(
        1.0,
        "How much of its velocity limits the robot hand's joints may use (0 to 1).",
        span=(0.001, 1.0),
    )
    trajectory_time: float = parameter(
        0.05,
        'Time (s) that a controller is given to reach a point on ~/command/robot_trajectory.',
        span=(0.001, 10.0),
    )
    diagnostics_period: float = parameter(
        1.0, 'Time (s) between two messages on /diagnostics.', span=(0.1, 60.0)
    )

    @property
    def gesture(self) -> Gesture:
        """The gesture that arms and disarms, where one does."""
        opening = _FIST if self.dead_man == 'fist' else f'pinch_{self.pinch_finger}'
        return Gesture(opening, self.gesture_close, self.gesture_release)

    @property
    def teleoperator(self) -> TeleoperatorOptions:
        """How the hand is followed."""
        return TeleoperatorOptions(
            handedness=self.handedness,
            safety=SafetyOptions(
                self.min_confidence, self.timeout, self.max_age, self.grace, self.max_jump
            ),
            hold=self.unsafe == 'hold',
            dead_man='gesture' if self.dead_man in ('pinch', 'fist') else self.dead_man,
            gesture=self.gesture,
            gesture_toggles=self.gesture_toggles,
            gesture_time=self.gesture_time,
            heartbeat=self.dead_man_timeout,
            wrist=WristLimits(self.max_linear_speed, self.max_angular_speed),
            finger_speed=self.max_finger_speed,
            opening_speed=self.max_opening_speed,
            joint_speed=self.joint_speed,
            motion_scale=self.motion_scale,
        )

    @property
    def robot_hand(self) -> RobotOptions:
        """What follows the fingers."""
        return RobotOptions(
            robot=self.robot,
            urdf=self.urdf,
            method=self.retargeting,
            handedness=self.handedness,
            gripper_joints=names_in(self.gripper_joints),
            gripper_opening=self.gripper_opening,
            gripper_open_at=self.gripper_open_at,
        )

    def check(self) -> None:
        """Raise ParameterError for what a range alone cannot express."""
        super().check()
        if self.gesture_close >= self.gesture_release:
            raise ParameterError(
                f'gesture_close is {self.gesture_close:g} and gesture_release '
                f'{self.gesture_release:g}; gesture_close must be smaller'
            )
        if self.robot != 'none' and not self.urdf:
            raise ParameterError(
                f'urdf is empty and robot is {self.robot!r}; give the path of its URDF, or robot: '
                'none'
            )
