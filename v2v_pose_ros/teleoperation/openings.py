"""What grippers and retargeting take: openings of the hand, and its points about the wrist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.skeletons import FINGERS, HAND, reorder
from v2v_pose_ros.teleoperation.anatomy import PALM_LENGTH

Floats = NDArray[np.float64]

OPENINGS: tuple[str, ...] = (*(f'pinch_{finger}' for finger in FINGERS[1:]), 'grasp')
"""The openings in order: the thumb to each fingertip, and the whole hand."""

# Distances in palm lengths (73 mm for the mean adult). Joints of touching fingertips are about
# 15 mm apart; a fist's fingertips are 50 mm from the wrist, those of a flat hand 165 mm.
_TOUCH, _APART = 0.2, 1.2
_FIST, _FLAT = 0.75, 2.2

_THUMB_TIP = HAND.index('thumb_tip')
_FINGERTIPS = HAND.indices([f'{finger}_tip' for finger in FINGERS[1:]])
_MEDIAPIPE = reorder('mediapipe')


def openings(positions: NDArray[np.floating], palm_length: float) -> Floats:
    """Return how far the hand is open, [5] in the order of OPENINGS, from 0 to 1.

    A pinch is 0 where the fingertips touch, 1 from 1.2 palm lengths on; the grasp is 0 for a fist
    and 1 for a flat hand, by the fingertips' mean distance from the wrist.

    Args:
        positions: [21, 3] metres, in any frame.
        palm_length: of this hand, metres.
    """
    places: Floats = np.asarray(positions, np.float64)
    tips = places[_FINGERTIPS]
    pinches = np.linalg.norm(tips - places[_THUMB_TIP], axis=1) / palm_length
    grasp = np.linalg.norm(tips - places[0], axis=1).mean() / palm_length
    values = np.append((pinches - _TOUCH) / (_APART - _TOUCH), (grasp - _FIST) / (_FLAT - _FIST))
    return np.clip(values, 0.0, 1.0)


def keypoints(positions: NDArray[np.floating], handedness: str = 'right') -> Floats:
    """Return the hand's points [21, 3] about the wrist, metres, as dex-retargeting takes them.

    They come in MediaPipe's order, in the frame of MANO as dex-retargeting turns it: z from the
    wrist to middle_mcp, x out of the palm, y = z × x (towards the thumb of a right hand, away from
    that of a left one). The palm is the plane of wrist, index_mcp and middle_mcp.
    """
    places: Floats = np.asarray(positions, np.float64)
    about_wrist = places[_MEDIAPIPE] - places[0]
    index, middle = about_wrist[5], about_wrist[9]
    palmar = np.cross(index, middle) if handedness == 'right' else np.cross(middle, index)
    x, z = (axis / max(float(np.linalg.norm(axis)), 1e-12) for axis in (palmar, middle))
    return np.asarray(about_wrist @ np.stack([x, np.cross(z, x), z], axis=1))


def adult_size(points: Floats, palm_length: float) -> Floats:
    """Return points [21, 3] of a hand as they were if it had the size of the mean adult's.

    The scaling factors of dex-retargeting are for such a hand.
    """
    return points * (PALM_LENGTH / palm_length)
