"""From a human hand to a robot hand's joints.

Robot hands with fingers go through dex-retargeting (Qin et al., AnyTeleop, RSS 2023; MIT), an
optional extra that is imported only when it is asked for. Parallel grippers need nothing of it:
they follow one opening of the hand. Nor do hands whose joints are those of a person: each of them
follows the angle of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.teleoperation.anatomy import FINGER_ANGLES
from v2v_pose_ros.teleoperation.openings import OPENINGS
from v2v_pose_ros.teleoperation.urdf import limits_of, read_joints, RobotError

Floats = NDArray[np.float64]

DEX_HANDS = ('allegro', 'shadow', 'leap', 'svh', 'ability', 'inspire', 'panda')
"""The robot hands that dex-retargeting describes."""

ROBOTS = ('none', 'gripper', 'direct', *DEX_HANDS)
METHODS = ('vector', 'dexpilot')

_MISSING = (
    'dex-retargeting is not installed ({error}); pip install "v2v_pose_ros[teleop]", or pip '
    'install dex-retargeting six (CPython 3.10 to 3.12), or use robot: gripper, which needs none'
)


@dataclass(frozen=True)
class RobotOptions:
    """Which robot hand follows, and how.

    Attributes:
        robot: of ROBOTS, or the path of a configuration file (.yml) of dex-retargeting.
        urdf: path of the robot hand's URDF.
        method: of METHODS; 'dexpilot' closes pinches that are nearly closed.
        handedness: of the operator's hand and of the robot's, 'right' or 'left'.
        gripper_joints: what a gripper moves, all alike.
        gripper_opening: which opening of the hand a gripper follows, of OPENINGS.
        gripper_open_at: the limit of the joints where the gripper is open, 'upper' or 'lower'.
    """

    robot: str = 'none'
    urdf: str = ''
    method: str = 'vector'
    handedness: str = 'right'
    gripper_joints: tuple[str, ...] = ()
    gripper_opening: str = 'pinch_index'
    gripper_open_at: str = 'upper'


class Retargeter(Protocol):
    """Gives joint positions for a hand.

    Attributes:
        joint_names: the J joints, as the URDF names them.
        lower: [J] their least positions, rad or m.
        upper: [J] their greatest positions.
        velocity: [J] how fast they may move, per second; infinite for no limit.
    """

    joint_names: tuple[str, ...]
    lower: Floats
    upper: Floats
    velocity: Floats

    def __call__(self, points: Floats, openings: Floats, angles: Floats) -> Floats:
        """Return positions [J].

        Args:
            points: [21, 3] of ``openings.keypoints``, metres, of a hand of adult size.
            openings: [5] of ``openings.openings``.
            angles: [20] of ``anatomy.FINGER_ANGLES``, rad.
        """


def make_retargeter(options: RobotOptions) -> Retargeter | None:
    """Return what moves the robot hand, None for 'none'.

    Raises RobotError when it cannot be.
    """
    if options.robot == 'none':
        return None
    if options.robot not in ROBOTS and not options.robot.endswith(('.yml', '.yaml')):
        raise RobotError(
            f'robot is {options.robot!r}; it must be {", ".join(ROBOTS)} or the path of a '
            'configuration file (.yml) of dex-retargeting'
        )
    if not options.urdf:
        raise RobotError(
            f'robot is {options.robot!r} and urdf is empty; give the path of its URDF, which says '
            "the joints' limits"
        )
    if options.robot == 'gripper':
        return Gripper(options)
    return DirectHand(options) if options.robot == 'direct' else DexHand(options)


class Gripper:
    """A parallel gripper: all its joints go from closed to open with one opening of the hand."""

    def __init__(self, options: RobotOptions) -> None:
        """Read the joints' limits; raise RobotError where they are none."""
        if options.gripper_opening not in OPENINGS:
            raise RobotError(
                f'gripper_opening is {options.gripper_opening!r}; it must be one of '
                f'{", ".join(OPENINGS)}'
            )
        joints = read_joints(options.urdf)
        free = tuple(name for name, joint in joints.items() if joint.mimics is None)
        self.joint_names = options.gripper_joints or free
        self.lower, self.upper, self.velocity = limits_of(joints, self.joint_names)
        if not np.isfinite(self.upper - self.lower).all():
            raise RobotError(
                f'{options.urdf}: a joint of the gripper has no limits, so nothing says where it '
                f'is open; name its joints in gripper_joints, of {", ".join(free)}'
            )
        ends = self.lower, self.upper
        self._closed, self._open = ends if options.gripper_open_at == 'upper' else ends[::-1]
        self._opening = OPENINGS.index(options.gripper_opening)

    def __call__(self, points: Floats, openings: Floats, angles: Floats) -> Floats:
        """Return positions [J] between closed and open."""
        return np.asarray(
            self._closed + float(openings[self._opening]) * (self._open - self._closed)
        )


class DirectHand:
    """A robot hand with a person's joints: those that the URDF names like finger angles."""

    def __init__(self, options: RobotOptions) -> None:
        """Read the joints' limits; raise RobotError where no joint has such a name."""
        joints = read_joints(options.urdf)
        free = [name for name, joint in joints.items() if joint.mimics is None]
        self.joint_names = tuple(name for name in free if name in FINGER_ANGLES)
        if not self.joint_names:
            raise RobotError(
                f'{options.urdf} has no joint with the name of a finger angle, such as '
                f'{FINGER_ANGLES[-1]}; its joints are {", ".join(free)}'
            )
        self.lower, self.upper, self.velocity = limits_of(joints, self.joint_names)
        self._places = [FINGER_ANGLES.index(name) for name in self.joint_names]

    def __call__(self, points: Floats, openings: Floats, angles: Floats) -> Floats:
        """Return positions [J], the angles of their names."""
        return angles[self._places]


class DexHand:
    """A robot hand by way of dex-retargeting, without the filter in there: it lags by 0.1 s."""

    def __init__(self, options: RobotOptions) -> None:
        """Build the optimiser; raise RobotError where dex-retargeting is missing or refuses."""
        joints = read_joints(options.urdf)
        self._solver = _build(options)
        everything = [str(name) for name in self._solver.joint_names]
        self._places = [
            place for place, name in enumerate(everything) if joints[name].mimics is None
        ]
        self.joint_names = tuple(everything[place] for place in self._places)
        self.lower, self.upper, self.velocity = limits_of(joints, self.joint_names)
        self._origins, self._tasks = np.asarray(self._solver.optimizer.target_link_human_indices)

    def __call__(self, points: Floats, openings: Floats, angles: Floats) -> Floats:
        """Return positions [J] that give the robot's fingers the vectors of the human's."""
        vectors = (points[self._tasks] - points[self._origins]).astype(np.float32)
        return np.asarray(self._solver.retarget(vectors), np.float64)[self._places]


def _build(options: RobotOptions) -> Any:
    """Return dex-retargeting's solver for a robot; raise RobotError."""
    try:
        from dex_retargeting.constants import (
            get_default_config_path,
            HandType,
            RetargetingType,
            RobotName,
        )
        from dex_retargeting.retargeting_config import RetargetingConfig
    except ImportError as error:
        raise RobotError(_MISSING.format(error=error)) from None
    if options.robot in DEX_HANDS:
        file = get_default_config_path(
            RobotName[options.robot],
            RetargetingType[options.method],
            HandType[options.handedness],
        )
    else:
        file = Path(options.robot)
    override = {'urdf_path': str(Path(options.urdf).absolute()), 'low_pass_alpha': 1.0}
    try:
        config = RetargetingConfig.load_from_file(file, override=override)
        if config.type == 'position':
            raise ValueError('it retargets positions; vector and dexpilot are for teleoperation')
        return config.build()
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RobotError(
            f'dex-retargeting refuses {file} with {options.urdf}: {error}; link and joint names '
            'of the URDF must be those of the configuration'
        ) from error


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a text that separates them by commas."""
    return tuple(name.strip() for name in text.split(',') if name.strip())
