"""The joints of a robot hand and their limits, from the URDF that its user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

_MOVING = ('revolute', 'prismatic', 'continuous')


class RobotError(ValueError):
    """The robot cannot be used as described; the text says why, and what to do."""


@dataclass(frozen=True)
class RobotJoint:
    """A joint that moves: rad and rad/s, or m and m/s."""

    name: str
    lower: float
    upper: float
    velocity: float
    mimics: str | None = None


def read_joints(path: str | Path) -> dict[str, RobotJoint]:
    """Return the moving joints of a URDF by name, in its order.

    A missing velocity limit, or one of zero, is none. Raises RobotError, naming the file, when it
    cannot be read or says nothing sensible.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise RobotError(
            f'the URDF {path} cannot be read ({error.strerror}); give the path of an existing file'
        ) from None
    except ElementTree.ParseError as error:
        raise RobotError(
            f'{path} is no XML ({error}); give a URDF, the result of xacro where it is generated'
        ) from None
    elements = [each for each in root.findall('joint') if each.get('type') in _MOVING]
    joints = [_joint(element, path) for element in elements]
    if not joints:
        raise RobotError(f'{path} has no joint that moves; give the URDF of a robot hand')
    return {joint.name: joint for joint in joints}


def limits_of(
    joints: dict[str, RobotJoint], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return lower and upper limits and velocities [J] of some joints; raise RobotError."""
    unknown = [name for name in names if name not in joints]
    if unknown:
        raise RobotError(f'the URDF has no joint {", ".join(unknown)}; it has {", ".join(joints)}')
    rows = [(joints[name].lower, joints[name].upper, joints[name].velocity) for name in names]
    lower, upper, velocity = np.array(rows).T
    return lower, upper, velocity


def _joint(element: ElementTree.Element, path: str | Path) -> RobotJoint:
    name, limit, mimic = element.get('name', ''), element.find('limit'), element.find('mimic')
    unlimited = element.get('type') == 'continuous'

    def number(attribute: str, default: float) -> float:
        text = None if limit is None else limit.get(attribute)
        try:
            return default if text is None else float(text)
        except ValueError:
            raise RobotError(
                f'{path}: the {attribute} of joint {name} is {text!r}, and no number'
            ) from None

    lower = -math.inf if unlimited else number('lower', 0.0)
    upper = math.inf if unlimited else number('upper', 0.0)
    if not lower <= upper:
        raise RobotError(f'{path}: joint {name} has the limits {lower} to {upper}')
    return RobotJoint(
        name,
        lower,
        upper,
        number('velocity', 0.0) or math.inf,
        None if mimic is None else mimic.get('joint'),
    )
