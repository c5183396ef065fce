"""The whole way from a frame's skeleton to a command, or to none. It owns no clock and no topic.

skeleton ──► Hand (angles, openings, points) ──► speed limits ──► Command
│                                      ▲
└─► Safety ◄── dead man ───────────────┘  only while armed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.teleoperation import anatomy
from v2v_pose_ros.teleoperation.clutch import Clutch, ToolUnknown
from v2v_pose_ros.teleoperation.dead_man import Gesture, Heartbeat, Trigger
from v2v_pose_ros.teleoperation.hand import flaw
from v2v_pose_ros.teleoperation.limits import JointFollower, WristFollower, WristLimits
from v2v_pose_ros.teleoperation.measuring import Hand, HandMeter
from v2v_pose_ros.teleoperation.openings import adult_size, OPENINGS
from v2v_pose_ros.teleoperation.retargeting import Retargeter
from v2v_pose_ros.teleoperation.safety import Safety, SafetyOptions, SafetyState, Sighting
from v2v_pose_ros.workspace import RigidTransform

Floats = NDArray[np.float64]
DeadMan = Literal['service', 'topic', 'gesture']

# s; frames that arrive together, first, or after a pause, move a command as if these had passed.
_SHORTEST_STEP, _FIRST_STEP, _LONGEST_STEP = 1e-3, 1 / 30, 0.1


@dataclass(frozen=True)
class TeleoperatorOptions:
    """How a hand is followed.

    Attributes:
        handedness: of the operator's hand, 'right' or 'left'.
        safety: what interrupts and ends the following.
        hold: whether the last command is repeated, at rest, while the robot may not follow;
            otherwise there is none.
        dead_man: who arms and disarms: a 'service', a repeated message on a 'topic', or a
            'gesture' of the hand.
        gesture: which one.
        gesture_toggles: whether a gesture arms and the next one disarms; otherwise the robot
            follows while the gesture lasts.
        gesture_time: seconds for which a gesture must last to count.
        heartbeat: seconds for which a message on the topic counts.
        wrist: how fast the wrist may be commanded.
        finger_speed: how fast the fingers' angles may be, rad/s.
        opening_speed: how fast the openings may be, 1/s.
        joint_speed: fraction of the robot's own velocity limits that may be used, up to 1.
        motion_scale: metres that an arm's tool goes for a metre of the hand, where it is clutched.
    """

    handedness: str = 'right'
    safety: SafetyOptions = field(default_factory=SafetyOptions)
    hold: bool = True
    dead_man: DeadMan = 'service'
    gesture: Gesture = field(default_factory=Gesture)
    gesture_toggles: bool = False
    gesture_time: float = 0.3
    heartbeat: float = 0.5
    wrist: WristLimits = field(default_factory=WristLimits)
    finger_speed: float = 12.0
    opening_speed: float = 10.0
    joint_speed: float = 1.0
    motion_scale: float = 1.0


@dataclass(frozen=True)
class Command:
    """What a robot is to do.

    Attributes:
        hand: the operator's hand, as fast as it may be; its wrist is where the robot's is to be.
            Its keypoints are those that were measured: points between two hands are no hand.
        robot_joints: [J] positions of the robot hand; None without one.
        held: whether it is the last one again, because the robot may not follow.
    """

    hand: Hand
    robot_joints: Floats | None
    held: bool


@dataclass(frozen=True)
class Skeleton:
    """What a frame says of the hand.

    Attributes:
        positions: joints [21, 3] in metres, None where no hand was found.
        confidence: mean of the joints', 0 to 1.
        stamp: of the frame, seconds; None where the camera gives none.
        age: seconds from the stamp to the arrival; None where that is not known.
        subject: the id of whose hand it is; empty where nobody says.
        flaw: what is wrong with it, in words; None for nothing that the caller knows of.
    """

    positions: Floats | None
    confidence: float = 1.0
    stamp: float | None = None
    age: float | None = None
    subject: str = ''
    flaw: str | None = None


class Teleoperator:
    """Follows one hand.

    Attributes:
        safety: the state and its reason.
        measured: the hand in the newest frame, whether it is followed or not; None if unseen.
        command: what the robot is to do now; None for nothing at all.
    """

    def __init__(
        self,
        options: TeleoperatorOptions | None = None,
        retargeter: Retargeter | None = None,
        tool: Callable[[], RigidTransform] | None = None,
    ) -> None:
        """Start disarmed, without a command.

        Args:
            options: how a hand is followed.
            retargeter: what gives the robot hand's joints; None without a robot hand.
            tool: tells where the arm's tool is, in the frame of the skeletons, or raises
                ToolUnknown. With it, the commanded wrist is the tool, moved as the hand is since
                both were armed; without it, the wrist is commanded to where the hand's is.
        """
        self.options = options or TeleoperatorOptions()
        self.safety = Safety(self.options.safety)
        self.measured: Hand | None = None
        self.command: Command | None = None
        self._retarget, self._tool = retargeter, tool
        self._clutch = Clutch(self.options.motion_scale)
        self._meter = HandMeter(self.options.handedness)
        self._trigger = Trigger(
            toggles=self.options.gesture_toggles and self.options.dead_man == 'gesture',
            delay=self.options.gesture_time if self.options.dead_man == 'gesture' else 0.0,
        )
        self._heartbeat = Heartbeat(self.options.heartbeat)
        self._gesture = self._asked_to_release = False
        self._wrist = WristFollower(self.options.wrist)
        speed = np.full(len(anatomy.LIMITS), self.options.finger_speed)
        self._fingers = JointFollower(anatomy.LIMITS[:, 0], anatomy.LIMITS[:, 1], speed)
        closed, opened = np.zeros(len(OPENINGS)), np.ones(len(OPENINGS))
        self._openings = JointFollower(closed, opened, self.options.opening_speed * opened)
        self._joints = _robot_follower(retargeter, self.options.joint_speed)
        self._commanded = -math.inf
        self._state: SafetyState = 'disarmed'

    def request(self, arm: bool, now: float, who: str) -> str | None:
        """Arm or disarm; return why it cannot be.

        Who disarms from outside ends what a dead man has begun, too: it has to be released.
        """
        if not arm:
            self._trigger.require_release()
        return self._request(arm, now, who)

    def _request(self, arm: bool, now: float, who: str) -> str | None:
        if not arm:
            self.safety.disarm(f'disarmed by {who}')
            self._stand_still()
            return None
        starts = self.safety.state in ('disarmed', 'lost')
        if self._tool is not None and starts and self.safety.obstacle(now) is None:
            try:
                tool = self._tool()
            except ToolUnknown as error:
                return self.safety.refuse(str(error))
            self._clutch.release(tool)
            self._wrist.start_at(tool.translation, tool.rotation)
        return self.safety.arm(now)

    def beat(self, active: bool, now: float) -> None:
        """Take in a message of the dead man's topic."""
        self.tick(now)  # a silence until now was one, whoever noticed it
        self._heartbeat.beat(active, now)
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass: what is due by the clock happens, and the command says so."""
        self.safety.tick(now)
        if self.options.dead_man == 'topic':
            self._pull(self._heartbeat.level(now), now, 'the dead-man topic')
        elif self.options.dead_man == 'gesture' and self.safety.obstacle(now) is not None:
            self._trigger.interrupt()
        self._stand_still()

    def see(self, skeleton: Skeleton, now: float) -> None:
        """Take in a frame."""
        positions, problem = skeleton.positions, skeleton.flaw
        if positions is not None and problem is None:
            problem = flaw(positions)
        wrist = None if positions is None else positions[0]
        self.safety.see(
            Sighting(wrist, skeleton.confidence, skeleton.stamp, skeleton.age, problem), now
        )
        self._stand_still()
        self.measured = None
        if positions is not None and problem is None:
            self._know(skeleton.subject, now)
            self.measured = self._meter(positions, skeleton.subject, skeleton.stamp, now)
        if self.options.dead_man == 'gesture':
            # What may not be followed says nothing of what the operator's fingers do either.
            self._watch(self.measured if self.safety.obstacle(now) is None else None, now)
        self.tick(now)
        if self.safety.follows and self.measured is not None:
            self._follow(self.measured, now)

    def start_robot_at(self, positions: Floats) -> None:
        """Let the first command start from where the robot hand's joints [J] are."""
        if self._joints is not None and self.command is None:
            self._joints.start_at(positions)

    def fail(self, reason: str) -> None:
        """Stop following, because something went wrong around here."""
        self.safety.lose(reason)
        self._stand_still()

    def _pull(self, level: bool | None, now: float, who: str) -> None:
        """Let the dead man's level ask for what it asks for."""
        request = self._trigger(level, now)
        if self._trigger.must_be_released:
            self.safety.refuse(f'{who} was active before it could arm; release it first')
            self._asked_to_release = True
        elif self._asked_to_release:
            self.safety.refuse('')
            self._asked_to_release = False
        if request == 'toggle':
            request = 'disarm' if self.safety.state in ('armed', 'holding') else 'arm'
        if request is not None and self._request(request == 'arm', now, who) is not None:
            self._trigger.refused()

    def _know(self, subject: str, now: float) -> None:
        """Take nothing over from one hand to another: neither its size nor its gesture."""
        if self._meter.is_another(subject, now):
            self._meter.forget()
            self._gesture = False
            if self.options.dead_man == 'gesture':
                self._trigger.require_release()

    def _watch(self, hand: Hand | None, now: float) -> None:
        """Let the hand's gesture arm and disarm; one that nobody sees has to last anew."""
        if hand is None:
            self._trigger.interrupt()
        else:
            self._gesture = self.options.gesture.active(hand.openings, self._gesture)
            self._pull(self._gesture, now, 'the gesture')

    def _follow(self, hand: Hand, now: float) -> None:
        period = min(max(now - self._commanded, _SHORTEST_STEP), _LONGEST_STEP)
        if self.command is None or self.command.held:  # the robot stood still until now
            period = min(period, _FIRST_STEP)
        self._commanded = now
        joints = None
        if self._retarget is not None and self._joints is not None:
            points = adult_size(hand.keypoints, hand.palm_length)
            target = self._retarget(points, hand.openings, hand.finger_angles)
            if not np.isfinite(target).all():
                self.fail('the retargeting gives joints that are not finite')
                return
            joints = self._joints(target, period)
        place, turn = hand.wrist.position, hand.wrist.rotation
        if self._tool is not None:
            place, turn = self._clutch(place, turn)
        limited = replace(
            hand,
            wrist=self._wrist(place, turn, period),
            finger_angles=self._fingers(hand.finger_angles, period),
            openings=self._openings(hand.openings, period),
        )
        self.command = Command(limited, joints, held=False)

    def _stand_still(self) -> None:
        """Hold the command, or drop it, while the robot may not follow."""
        state, before = self.safety.state, self._state
        self._state = state
        if state == 'lost' and before != 'lost':  # who comes next may be somebody else
            self._meter.forget()
            self._trigger.require_release()
        if self.safety.follows or self.command is None or self.command.held:
            return
        self._wrist.rest()
        if not self.options.hold:
            self.command = None
        else:
            hand = replace(self.command.hand, wrist=self.command.hand.wrist.held())
            self.command = replace(self.command, hand=hand, held=True)


def _robot_follower(retargeter: Retargeter | None, fraction: float) -> JointFollower | None:
    if retargeter is None:
        return None
    return JointFollower(retargeter.lower, retargeter.upper, fraction * retargeter.velocity)
