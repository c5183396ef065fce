"""Names and defaults that the command line, the node and the estimator share.

Nothing is imported from here but the standard library: `v2v-pose --help` and launch files have to
be quick.
"""

from __future__ import annotations

from typing import Literal

Handedness = Literal['right', 'left', 'auto']

MODEL = 'hand_lite'
"""The shipped model that is taken where none is named."""

RUNTIMES = ('auto', 'torch', 'openvino', 'openvino_int8', 'onnx', 'tensorrt')
"""What may execute a network; see `runtimes.make_runtime`."""

HANDEDNESSES: tuple[Handedness, ...] = ('right', 'left', 'auto')
"""Which hand the camera may see; 'auto' finds out."""

HANDEDNESS: Handedness = 'right'
"""The hand that the models know; the other is mirrored on its way through."""

DEPTH_RANGES = {'hand': (0.15, 1.5), 'body': (0.5, 6.0)}
"""Nearest and farthest depth (m) where a subject is looked for."""

DEPTH_RANGE = DEPTH_RANGES['hand']
"""The same for the shipped model that is taken where none is named."""

PASSES = 2
"""How often the network sees a frame: the second time, about the joints found first."""

FLIP_TEST = True
"""Whether people are looked at in the mirror, too, where a recording gives the time for it."""

MIN_CONFIDENCE = 0.5
"""Mean confidence from which on a skeleton counts as found.

The shipped hand model gives 99 % of the hands of the synthetic benchmark more, and real ones 0.92
to 0.98.
"""

ACQUIRE_MARGIN = 0.05
"""How much more confidence a new subject takes than one that is followed."""

SUBJECT_NAME = '[A-Za-z][A-Za-z0-9_]*'
"""What a subject may be called: its name begins the names of TF frames."""

MAX_SUBJECTS = 1
"""How many subjects are followed at most."""

PREFERENCES = ('nearest', 'moving')
"""Who is acquired first where there are several."""

PREFERENCE = 'nearest'
"""Which of them is, by default."""

LOSE_TIME = 0.5
"""Seconds after which a subject that is not seen is lost."""

FILTER_MIN_CUTOFF = 2.0
"""Cutoff frequency in Hz of the One Euro filter for a joint at rest."""

FILTER_BETA = 100.0
"""How much that cutoff rises with speed, Hz per m/s."""
