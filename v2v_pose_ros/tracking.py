"""Following a subject from frame to frame: where to look first, and when it is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.defaults import ACQUIRE_MARGIN, LOSE_TIME, MIN_CONFIDENCE
from v2v_pose_ros.estimator import Estimate, PoseEstimator, SkeletonEstimate
from v2v_pose_ros.localization import bounding_box_middle

TrackingState = Literal['searching', 'acquiring', 'tracking', 'coasting']
"""Nobody is known; somebody was seen but not for long enough; somebody is seen; somebody was seen
a moment ago."""


@dataclass(frozen=True)
class TrackerOptions:
    """When a subject is acquired, kept and lost.

    A subject that is followed needs less confidence than a new one, so that one on the verge does
    not flicker.

    Attributes:
        min_confidence: mean joint confidence that keeps a subject.
        acquire_margin: how much more it takes to acquire one.
        acquire_time: seconds for which a new one must be seen before it counts.
        lose_time: seconds without it after which a subject is lost.
    """

    min_confidence: float = MIN_CONFIDENCE
    acquire_margin: float = ACQUIRE_MARGIN
    acquire_time: float = 0.0
    lose_time: float = LOSE_TIME


class Tracker:
    """An estimator that looks first where the subject was a frame ago.

    Tracking costs one pass of the network instead of two and the search.  When the confidence
    falls, the subject is searched for again in the same frame.  Nothing is made up: a frame in
    which the subject is not seen well enough has no skeleton, whatever the state.

    Attributes:
        state: what is known after the latest frame.
        acquisitions: how many subjects were acquired; it tells one from the next.
    """

    def __init__(self, estimator: PoseEstimator, options: TrackerOptions | None = None) -> None:
        """Wrap an estimator; the options may be changed between two frames."""
        self.estimator, self.options = estimator, options or TrackerOptions()
        self.state: TrackingState = 'searching'
        self.acquisitions = 0
        self._place: FloatArray | None = None
        self._seen = self._since = 0.0

    def reset(self) -> None:
        """Forget where the subject was."""
        self.state, self._place = 'searching', None

    def __call__(
        self,
        depth: FloatArray,
        camera: Camera,
        stamp: float,
        reference: FloatArray | None = None,
    ) -> Estimate:
        """Estimate the skeletons in the next frame of a stream.

        Args:
            depth: [H, W] metres, 0 = no measurement.
            camera: the camera of this image.
            stamp: when it was taken, in seconds; a subject is lost when time runs backwards or
                jumps by more than the time to lose it.
            reference: [3] where somebody says that the subject is, metres; a subject farther away
                than half a cube is let go, and one is looked for here instead of everywhere.

        Returns:
            A skeleton that is followed, or none.
        """
        gone = not 0 <= stamp - self._seen <= self.options.lose_time
        if self._place is not None and (gone or not self._about(reference)):
            self.reset()
        estimate = None
        if self.state in ('acquiring', 'tracking'):
            estimate = self.estimator(depth, camera, self._place, passes=1)
        if estimate is None or not self._good(estimate):
            again = self.estimator(depth, camera, reference)
            if estimate is None or _confidence(again) > _confidence(estimate):
                estimate = again
        if self._good(estimate):
            self._see(estimate.skeletons[0], stamp)
        else:
            self._miss()
        if self.state != 'tracking':
            return Estimate((), estimate.timings)
        return estimate

    def _see(self, skeleton: SkeletonEstimate, stamp: float) -> None:
        if not self._followed(skeleton):
            self.acquisitions += 1
            self.state, self._since = 'acquiring', stamp
        self._place, self._seen = bounding_box_middle(skeleton.positions), stamp
        if self.state == 'coasting' or stamp - self._since >= self.options.acquire_time:
            self.state = 'tracking'

    def _miss(self) -> None:
        if self.state in ('tracking', 'coasting'):
            self.state = 'coasting'
        else:
            self.reset()

    def _good(self, estimate: Estimate) -> bool:
        if not estimate.skeletons:
            return False
        least = self.options.min_confidence
        if not self._followed(estimate.skeletons[0]):
            least += self.options.acquire_margin
        return _confidence(estimate) >= least

    def _followed(self, skeleton: SkeletonEstimate) -> bool:
        """Tell whether a skeleton is where the subject was."""
        return self._place is not None and self._about(bounding_box_middle(skeleton.positions))

    def _about(self, point: FloatArray | None) -> bool:
        """Tell whether a point is within half a cube of the subject; no point is everywhere."""
        if point is None or self._place is None:
            return True
        return bool(np.abs(point - self._place).max() <= self.estimator.cube_size / 2)


def _confidence(estimate: Estimate) -> float:
    return max((skeleton.confidence for skeleton in estimate.skeletons), default=0.0)
