"""The hand's joint angles, their limits, and the mean hand that they are measured against.

The hand frame has its origin at the wrist, x out of the back of the hand, y to the fingers and z
towards the thumb; all of it is said for a right hand. Flexion is zero where a bone continues the
one before it, and positive towards the palm; abduction is positive towards the thumb. The thumb's
first joint is a saddle, measured from the mean hand at rest: flexion sweeps it across the palm,
abduction lifts it out of the palm's plane, and the metacarpal turns inwards on the way.

The bones are those of ``synthesis.hands.model`` for the mean adult, which a test compares; they
stand here so that a robot needs neither PyTorch nor the mesh to read its operator's fingers.
"""

from __future__ import annotations

import numpy as np

from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.synthesis.hands.angles import ANGLES, DEGREES

FINGER_ANGLES = ANGLES[2:]
"""The 20 angles of the fingers, four for each, thumb first.

They carry the anatomical names of the joints. The thumb's are one further in than those of the
skeleton, whose ``thumb_mcp`` is the first joint of the thumb's chain.
"""

LIMITS = np.deg2rad(DEGREES[2:])
"""[20, 2] the lowest and the highest angle (rad) of each joint."""

PALM_JOINTS = HAND.indices(('wrist', *(f'{finger}_mcp' for finger in FINGERS)))
"""The joints that keep their places in the palm whatever the fingers do."""

PALM = 1e-3 * np.array(
    [
        [0.0000, 0.0000, 0.0000],
        [0.2602, 3.8459, 16.3268],
        [6.4533, 71.4863, 18.8290],
        [12.2867, 73.7085, -4.6793],
        [12.7299, 67.6229, -23.6697],
        [9.7433, 55.1811, -40.8229],
    ]
)
"""[6, 3] where the palm's joints are in the hand frame, metres."""

PALM_LENGTH = float(np.linalg.norm(PALM[2:], axis=1).mean())
"""Mean distance (m) of the mean adult's four knuckles from the wrist."""

BONES = np.array(
    [
        [[-0.5272, 0.6648, 0.5293], [-0.4660, 0.7797, 0.4182], [-0.4849, 0.8528, 0.1942]],
        [[-0.1944, 0.9802, 0.0367], [-0.3919, 0.9197, -0.0230], [-0.4311, 0.9023, -0.0081]],
        [[-0.2221, 0.9459, -0.2367], [-0.3330, 0.9254, -0.1811], [-0.3615, 0.9199, -0.1522]],
        [[-0.1784, 0.8999, -0.3980], [-0.3118, 0.8912, -0.3295], [-0.3263, 0.8768, -0.3532]],
        [[-0.2367, 0.8313, -0.5030], [-0.4090, 0.8036, -0.4322], [-0.3974, 0.7882, -0.4699]],
    ]
)
"""[5, 3, 3] the direction of each finger's bones at rest, thumb first."""

LENGTHS = 1e-3 * np.array(
    [
        [51.3395, 36.6518, 26.5344],
        [49.0673, 27.1056, 20.7903],
        [50.8011, 30.3874, 22.0181],
        [44.4690, 27.4594, 24.1962],
        [37.7377, 24.3480, 19.6749],
    ]
)
"""[5, 3] how long these bones are, metres."""

HINGES = np.array(
    [
        [-0.8637, -0.5018, 0.0467],
        [0.0000, -0.0374, 0.9993],
        [0.0000, 0.2427, 0.9701],
        [0.0000, 0.4045, 0.9145],
        [0.0000, 0.5177, 0.8556],
    ]
)
"""[5, 3] the axis about which each finger bends, at rest."""

REST = np.deg2rad(
    [
        [0.0, 7.2518, 13.4613],
        [16.3205, 11.9048, 2.4464],
        [22.4341, 6.6440, 1.7754],
        [20.3842, 7.9241, 0.8524],
        [21.8065, 10.4790, -0.7544],
    ]
)
"""[5, 3] how far each finger's joints are bent at rest, rad."""

THUMB_TURN = (0.2, 0.5)
"""How far the thumb's metacarpal turns inwards about itself, per flexion and per abduction."""
