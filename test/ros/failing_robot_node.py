"""The teleoperation node with a robot hand that fails: at a pinch without words, at a fist with.

Run it with `python -m failing_robot_node`.
"""

from __future__ import annotations

import sys

import numpy as np

from v2v_pose_ros.ros.teleop import node
from v2v_pose_ros.teleoperation.openings import OPENINGS

_PINCH, _FIST = OPENINGS.index('pinch_index'), OPENINGS.index('grasp')


class FailingHand:
    """A robot hand of one finger."""

    joint_names = ('finger',)
    lower, upper, velocity = np.array([0.0]), np.array([1.0]), np.array([2.0])

    def __call__(self, points: np.ndarray, openings: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Return no number at a pinch; raise ValueError at a fist."""
        if openings[_FIST] == 0:
            raise ValueError('there is no solution')
        return np.array([np.nan if openings[_PINCH] == 0 else 0.5])


if __name__ == '__main__':
    node.make_retargeter = lambda _options: FailingHand()
    sys.exit(node.main())
