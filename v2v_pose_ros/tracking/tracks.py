"""One subject that is followed: what was seen of it last, and what is expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from v2v_pose_ros.camera import FloatArray
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.tracking.sides import SideEvidence

TrackingState = Literal['searching', 'acquiring', 'tracking', 'coasting']
"""Nobody is known; somebody was seen but not for long enough; somebody is seen; somebody was seen
a moment ago."""

_FORESIGHT = 0.15
"""Seconds for which a subject is expected to go on as it moved."""


@dataclass(eq=False)
class Track:
    """A subject from its first frame to its loss; times are stamps in seconds.

    Attributes:
        number: its own.
        joints: [J, 3] metres, where they were seen last.
        side: whether it is a right or a left hand.
        seen: when it was seen last.
        since: when it was seen first.
        state: what is known of it.
        velocity: [3] m/s.
        cube: [3] metres, where the cube was that it was looked for in; None before the first.
    """

    number: int
    joints: FloatArray
    side: SideEvidence
    seen: float
    since: float
    state: TrackingState = 'acquiring'
    velocity: FloatArray = field(default_factory=lambda: np.zeros(3, np.float32))
    cube: FloatArray | None = None

    @property
    def place(self) -> FloatArray:
        """The middle of the joints when they were seen."""
        return bounding_box_middle(self.joints)

    def expected(self, stamp: float) -> FloatArray:
        """Return where the joints are expected [J, 3]; this is for looking, never a result."""
        return self.joints + self.velocity * np.float32(min(stamp - self.seen, _FORESIGHT))

    def centre(self, place: FloatArray, slack: float) -> FloatArray:
        """Return where the cube goes for a place [3]: where it was, if that is within the slack.

        A cube that shook with the joints would shift the grid under a subject at rest, and make
        its joints shake in turn.
        """
        if self.cube is None or np.abs(place - self.cube).max() > slack:
            self.cube = place
        return self.cube

    def see(self, joints: FloatArray, stamp: float, acquire_time: float) -> None:
        """Take over what was seen, and count it once it was seen for the time to acquire it."""
        period = stamp - self.seen
        if period > 0:
            way = bounding_box_middle(joints) - self.place
            self.velocity = way / np.float32(period) * (self.state == 'tracking')
        self.joints, self.seen = joints, stamp
        if self.state == 'coasting' or stamp - self.since >= acquire_time:
            self.state = 'tracking'

    def remembered(self) -> dict[str, Any]:
        """Return everything in numbers and texts."""
        numbers = {
            'joints': self.joints.tolist(),
            'velocity': self.velocity.tolist(),
            'cube': None if self.cube is None else self.cube.tolist(),
        }
        return {**vars(self), **numbers, 'side': asdict(self.side)}

    @classmethod
    def recall(cls, remembered: Mapping[str, Any]) -> Track:
        """Return the subject that was remembered."""
        arrays = {
            name: np.array(remembered[name], np.float32)
            for name in ('joints', 'velocity', 'cube')
            if remembered[name] is not None
        }
        return cls(**{**remembered, **arrays, 'side': SideEvidence(**remembered['side'])})
