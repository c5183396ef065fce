"""A hand that tests of teleoperation show, without PyTorch, which takes seconds to import."""

from __future__ import annotations

import numpy as np

from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.teleoperation import anatomy


def open_hand(wrist=(0.0, 0.0, 0.5)) -> np.ndarray:
    """Return the mean adult's right hand [21, 3], open, its wrist there in the optical frame.

    The bones lie as they do at rest; the fingers point up, the palm shows to the camera.
    """
    joints = np.zeros((len(HAND), 3))
    joints[anatomy.PALM_JOINTS] = anatomy.PALM
    for finger, name in enumerate(FINGERS):
        for bone, (part, after) in enumerate((('mcp', 'pip'), ('pip', 'dip'), ('dip', 'tip'))):
            step = anatomy.LENGTHS[finger, bone] * anatomy.BONES[finger, bone]
            joints[HAND.index(f'{name}_{after}')] = joints[HAND.index(f'{name}_{part}')] + step
    # x out of the back of the hand becomes z, away from the camera; y becomes up.
    turn = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    return joints @ turn.T + np.asarray(wrist)


def fist(wrist=(0.0, 0.0, 0.5)) -> np.ndarray:
    """Return the same hand with its fingertips on the palm, 45 mm from the wrist."""
    joints = open_hand(wrist)
    for name in FINGERS[1:]:
        along = joints[HAND.index(f'{name}_mcp')] - joints[0]
        tip = joints[0] + 0.045 * along / np.linalg.norm(along)
        joints[HAND.index(f'{name}_tip')] = tip - [0.0, 0.0, 0.01]  # the palm shows to the camera
    return joints


def pinching_hand(wrist=(0.0, 0.0, 0.5)) -> np.ndarray:
    """Return the same hand with the thumb's tip at that of the index finger."""
    joints = open_hand(wrist)
    joints[HAND.index('thumb_tip')] = joints[HAND.index('index_tip')] + [0.01, 0, 0]
    return joints
