"""Following subjects from frame to frame: where to look first, who is who, and who is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.defaults import (
    ACQUIRE_MARGIN,
    LOSE_TIME,
    MAX_SUBJECTS,
    MIN_CONFIDENCE,
    PREFERENCE,
)
from v2v_pose_ros.estimator import Estimate, PoseEstimator, SkeletonEstimate
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.tracking.motion import MotionDetector
from v2v_pose_ros.tracking.sides import SideEvidence
from v2v_pose_ros.tracking.tracks import Track, TrackingState

_GLANCE_PERIOD = 0.06
"""Seconds between two looks for more subjects, so that those who are followed do not wait."""

_SLACK = 0.05
"""Of the cube: the cube stays where it is while its subject is nearer to its middle."""

_ONE = 0.2
"""Of the cube: two skeletons whose middles are nearer are one subject."""

_MOVING = 3
"""Moving things that are looked at in one frame, the largest."""


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
        max_subjects: how many are followed at most.
        prefer: who is acquired first, one of `defaults.PREFERENCES`; the moving one needs a camera
            that stands still.
    """

    min_confidence: float = MIN_CONFIDENCE
    acquire_margin: float = ACQUIRE_MARGIN
    acquire_time: float = 0.0
    lose_time: float = LOSE_TIME
    max_subjects: int = MAX_SUBJECTS
    prefer: str = PREFERENCE


@dataclass(frozen=True)
class TrackerMemory:
    """All that a tracker knows from the frames before, in numbers and texts that JSON holds.

    Attributes:
        acquisitions: how many subjects were acquired.
        glanced: stamp of the last look for more of them, seconds.
        refused: places [3] where there was none, metres.
        tracks: everybody who is followed; see `tracks.Track.remembered`.
    """

    acquisitions: int = 0
    glanced: float = 0.0
    refused: Sequence[Sequence[float]] = ()
    tracks: Sequence[dict[str, Any]] = ()


class Tracker:
    """An estimator that looks first where the subjects were a frame ago.

    Following a subject costs one pass of the network instead of two and the search.  When nobody
    is seen, the whole image is searched in the same frame.  While somebody is seen and there is
    room for more, a single place is looked at now and then, so that those who are followed hardly
    wait.  Whoever is known is hidden from the search and from its neighbours.

    Nothing is made up: a frame in which a subject is not seen well enough has no skeleton of it,
    whatever the state.  A number belongs to one subject until it is lost, and comes not again.

    Attributes:
        acquisitions: how many subjects were acquired; the numbers of the skeletons.
    """

    def __init__(self, estimator: PoseEstimator, options: TrackerOptions | None = None) -> None:
        """Wrap an estimator; the options may be changed between two frames."""
        self.estimator, self.options = estimator, options or TrackerOptions()
        self.acquisitions = 0
        self._tracks: list[Track] = []
        self._refused: list[FloatArray] = []
        self._glanced = 0.0
        self._motion = MotionDetector(estimator.cube_size)

    @property
    def states(self) -> tuple[TrackingState, ...]:
        """What is known of every subject after the latest frame."""
        return tuple(track.state for track in self._tracks)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of those who are not lost."""
        return tuple(track.number for track in self._tracks)

    @property
    def state(self) -> TrackingState:
        """What is known of the subject that most is known of."""
        for state in ('tracking', 'coasting', 'acquiring'):
            if state in self.states:
                return state
        return 'searching'

    @property
    def memory(self) -> TrackerMemory:
        """All that is known; a tracker that is given it goes on as this one would.

        But for what moves: that takes a moment to be seen anew.
        """
        return TrackerMemory(
            self.acquisitions,
            self._glanced,
            [place.tolist() for place in self._refused],
            [track.remembered() for track in self._tracks],
        )

    @memory.setter
    def memory(self, memory: TrackerMemory) -> None:
        self.acquisitions, self._glanced = memory.acquisitions, memory.glanced
        self._refused = [np.array(place, np.float32) for place in memory.refused]
        self._tracks = [Track.recall(track) for track in memory.tracks]

    def reset(self) -> None:
        """Forget where the subjects were."""
        self._tracks, self._refused = [], []
        self._motion.reset()

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
            The skeletons of those that are followed and seen, the longest known first.
        """
        timings: dict[str, float] = {}
        self._let_go(stamp, reference)
        seen = self._follow(depth, camera, stamp, timings)
        moving = self._moving(depth, camera, stamp)
        new = self._look_for_more(depth, camera, stamp, reference, seen, moving, timings)
        if new is not None:
            seen[self._track_of(new, stamp, seen)] = new
        for track in self._tracks:
            if track in seen:
                track.see(seen[track].positions, stamp, self.options.acquire_time)
            elif track.state == 'tracking':
                track.state = 'coasting'
        self._tracks = [each for each in self._tracks if each in seen or each.state == 'coasting']
        skeletons = tuple(
            replace(seen[track], number=track.number)
            for track in self._tracks
            if track in seen and track.state == 'tracking'
        )
        return Estimate(skeletons, timings)

    def _let_go(self, stamp: float, reference: FloatArray | None) -> None:
        """Forget those who are lost, and those for whom there is no room any more."""
        reach = self.estimator.cube_size / 2
        self._tracks = [
            track
            for track in self._tracks
            if 0 <= stamp - track.seen <= self.options.lose_time
            and (reference is None or np.abs(reference - track.place).max() <= reach)
        ][: self.options.max_subjects]

    def _follow(
        self, depth: FloatArray, camera: Camera, stamp: float, timings: dict[str, float]
    ) -> dict[Track, SkeletonEstimate]:
        """Look at everybody where they are expected; return who is seen."""
        expected = {track: track.expected(stamp) for track in self._tracks}
        seen: dict[Track, SkeletonEstimate] = {}
        for track, joints in expected.items():
            place = bounding_box_middle(joints)
            near = {
                other: each
                for other, each in expected.items()
                if other is not track
                and np.abs(bounding_box_middle(each) - place).max() < self.estimator.cube_size
            }
            # Those who are out of sight may come out of cover anywhere: they are kept away by
            # looking at nothing but the subject itself.
            others = [each for other, each in near.items() if other.state != 'coasting']
            own = joints if near and track.state != 'coasting' else None
            scene = self.estimator.without(depth, camera, others, own)
            centre = track.centre(place, _SLACK * self.estimator.cube_size)
            found = self._look_at(track, scene, camera, centre, timings)
            if (
                found is not None
                and found.confidence >= self.options.min_confidence
                and self._is(track, found, joints)
                and not any(self._same(found, other) for other in seen.values())
            ):
                seen[track] = found
        return seen

    def _look_at(
        self,
        track: Track,
        depth: FloatArray,
        camera: Camera,
        place: FloatArray,
        timings: dict[str, float],
    ) -> SkeletonEstimate | None:
        """Return the skeleton at a subject's place, of the side that it is thought to be."""
        found: dict[str, SkeletonEstimate] = {}
        for side in track.side.to_look_at():
            estimate = self.estimator(depth, camera, place, passes=1, handedness=side)
            _add(timings, estimate)
            if estimate.skeletons:
                found[side] = estimate.skeletons[0]
        if len(found) > 1:
            track.side.see(found['right'].confidence, found['left'].confidence)
        return found.get(track.side.side)

    def _look_for_more(
        self,
        depth: FloatArray,
        camera: Camera,
        stamp: float,
        reference: FloatArray | None,
        seen: dict[Track, SkeletonEstimate],
        moving: Sequence[FloatArray] | None,
        timings: dict[str, float],
    ) -> SkeletonEstimate | None:
        """Return somebody who is not among those seen, if there is room and time for one."""
        if len(seen) >= (self.options.max_subjects if reference is None else 1):
            return None
        if not seen:
            estimate = self._search(depth, camera, stamp, reference, moving, timings)
        elif 0 <= stamp - self._glanced < _GLANCE_PERIOD:
            return None
        else:
            self._glanced = stamp
            known = [skeleton.positions for skeleton in seen.values()]
            rest = self.estimator.without(depth, camera, known)
            others = [each for each in moving or () if not self._belongs(each, seen.values())]
            if others:
                estimate = self.estimator(rest, camera, others[0], thorough=False)
            else:
                estimate, place = self.estimator.glance(rest, camera, self._refused)
                # Once everything was looked at, it is looked at again.
                self._refused = [] if place is None else [*self._refused, place]
        _add(timings, estimate)
        for skeleton in estimate.skeletons:
            if self._acquirable(skeleton, stamp, seen):
                self._refused = []
                return skeleton
        return None

    def _moving(
        self, depth: FloatArray, camera: Camera, stamp: float
    ) -> Sequence[FloatArray] | None:
        """Return where something moves, None while nobody knows; nowhere unless preferred."""
        if self.options.prefer != 'moving':
            return ()
        return self._motion.places(depth, camera, stamp, self.estimator.localizer)

    def _search(
        self,
        depth: FloatArray,
        camera: Camera,
        stamp: float,
        reference: FloatArray | None,
        moving: Sequence[FloatArray] | None,
        timings: dict[str, float],
    ) -> Estimate:
        """Return who is found where nobody is followed: where something moves first of all."""
        if reference is None:
            if moving is None and not self._tracks:
                return Estimate((), {})
            for place in (moving or ())[:_MOVING]:
                estimate = self.estimator(depth, camera, place, thorough=False)
                if any(self._acquirable(each, stamp, {}) for each in estimate.skeletons):
                    return estimate
                _add(timings, estimate)
        return self.estimator(depth, camera, reference, thorough=False)

    def _belongs(self, place: FloatArray, seen: Iterable[SkeletonEstimate]) -> bool:
        """Tell whether a place is somebody's who is seen: nearer to them than half a cube."""
        reach = self.estimator.cube_size / 2
        return any(
            bool(np.abs(place - bounding_box_middle(each.positions)).max() <= reach)
            for each in seen
        )

    def _acquirable(
        self, skeleton: SkeletonEstimate, stamp: float, seen: dict[Track, SkeletonEstimate]
    ) -> bool:
        if any(self._same(skeleton, other) for other in seen.values()):
            return False
        least = self.options.min_confidence
        if self._lost_one(skeleton, stamp, seen) is None:
            least += self.options.acquire_margin
        return skeleton.confidence >= least

    def _track_of(
        self, skeleton: SkeletonEstimate, stamp: float, seen: dict[Track, SkeletonEstimate]
    ) -> Track:
        """Return whose skeleton it is: of one who was lost from sight here, or of a new one."""
        track = self._lost_one(skeleton, stamp, seen)
        if track is not None:
            return track
        self.acquisitions += 1
        while len(self._tracks) >= self.options.max_subjects:
            self._tracks.remove(min(set(self._tracks) - seen.keys(), key=lambda each: each.seen))
        unknown = self.estimator.handedness == 'auto'
        side = SideEvidence(skeleton.handedness, unknown)
        track = Track(self.acquisitions, skeleton.positions, side, seen=stamp, since=stamp)
        self._tracks.append(track)
        return track

    def _lost_one(
        self, skeleton: SkeletonEstimate, stamp: float, seen: dict[Track, SkeletonEstimate]
    ) -> Track | None:
        """Return the nearest of those not seen who may be at a skeleton's place."""
        middle = bounding_box_middle(skeleton.positions)

        def distance(track: Track) -> float:
            return float(np.linalg.norm(bounding_box_middle(track.expected(stamp)) - middle))

        near = [
            track
            for track in self._tracks
            if track not in seen and self._is(track, skeleton, track.expected(stamp))
        ]
        return min(near, key=distance, default=None)

    def _is(self, track: Track, skeleton: SkeletonEstimate, expected: FloatArray) -> bool:
        """Tell whether a skeleton is within half a cube of where a subject is, or is expected."""
        middle = bounding_box_middle(skeleton.positions)
        reach = self.estimator.cube_size / 2
        places = (track.place, bounding_box_middle(expected))
        return any(bool(np.abs(middle - place).max() <= reach) for place in places)

    def _same(self, skeleton: SkeletonEstimate, other: SkeletonEstimate) -> bool:
        """Tell whether two skeletons are of one subject."""
        way = bounding_box_middle(skeleton.positions) - bounding_box_middle(other.positions)
        return bool(np.linalg.norm(way) < _ONE * self.estimator.cube_size)


def _add(timings: dict[str, float], estimate: Estimate) -> None:
    for stage, seconds in estimate.timings.items():
        timings[stage] = timings.get(stage, 0.0) + seconds
