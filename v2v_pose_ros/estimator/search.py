"""Finding a subject in an image: likely places, what the network sees there, where it leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
import itertools

import numpy as np
import torch

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.estimator.reading import CubeReader, SkeletonEstimate
from v2v_pose_ros.estimator.stopwatch import Stopwatch
from v2v_pose_ros.localization import (
    bounding_box_middle,
    find_candidates,
    LocalizerOptions,
    look_over,
    refinement_crop,
)
from v2v_pose_ros.models import Model

_CANDIDATES = 8  # reference points tried at most where a subject is searched for
_PLACES = 10  # more of them, where these have led to nothing that is likely
_SURE = 0.8  # merit at which the search of a hand ends
_SURE_OF_PEOPLE = 0.75
_LIKELY = 0.75  # merit without which a thorough search goes on
_HOPE = 0.2  # confidence from which on a cube follows what it shows
_SETTLED = 0.15  # of the cube: a shorter way to go is left to the second pass
_DOUBT = 2.0  # what the lead in confidence of the other hand takes from the one looked for
_DOUBTED = 0.5  # merit of a hand that no doubt takes: what is no hand at all has less
_OTHER_SIDE = {'right': 'left', 'left': 'right'}
_STEPS = 4  # moves of the cube from one candidate


@dataclass(frozen=True)
class View:
    """An image that is looked at, and how.

    Attributes:
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera.
        side: of the hand, 'right', 'left' or 'auto'; empty for a body.
        watch: takes the time.
    """

    depth: FloatArray
    camera: Camera
    side: str
    watch: Stopwatch


def look(reader: CubeReader, view: View, centre: FloatArray) -> SkeletonEstimate | None:
    """Voxelise the cube about a centre and read the joints; None where it is empty."""
    read, depth, camera, lap = reader.read, view.depth, view.camera, view.watch.lap
    if view.side != 'auto':
        return read(depth, camera, centre, view.side, lap)
    right = read(depth, camera, centre, 'right', lap)
    if right is None or right.confidence < _HOPE:  # mirrored, it would be no hand either
        return right
    left = read(depth, camera, centre, 'left', lap, right.points)
    return left if left is not None and left.confidence > right.confidence else right


@dataclass(frozen=True)
class _Found:
    """What was found at a place, and what it is worth in the choice among places."""

    estimate: SkeletonEstimate
    merit: float


class Search:
    """Looks where a subject may be, and follows what it sees to where it is."""

    def __init__(self, reader: CubeReader, refinement: Model | None) -> None:
        """Search by a network that reads cubes, and one that moves them, if any."""
        self._reader, self._refinement = reader, refinement
        self._sure = _SURE_OF_PEOPLE if reader.skeleton.symmetric else _SURE

    def __call__(
        self, view: View, localizer: LocalizerOptions, *, thorough: bool
    ) -> SkeletonEstimate | None:
        """Return the best of what is found: the most confident that is not doubted.

        Args:
            view: the image.
            localizer: where to look.
            thorough: look everywhere before nothing is found.
        """
        best = self._best_of(self.candidates(view, localizer), None, view)
        if not thorough:
            return best.estimate if best else None
        if best is not None and best.merit < self._sure:  # hope or not, from where it seems to be
            best = self._best_of([bounding_box_middle(best.estimate.positions)], best, view)
        if best is None or best.merit < _LIKELY:
            cube_size, subject = self._reader.cube_size, self._reader.skeleton.name
            places = look_over(view.depth, view.camera, cube_size, localizer, subject)
            places = itertools.islice(self._refined(places, view), _PLACES)
            best = self._best_of(places, best, view)
        return best.estimate if best else None

    def candidates(self, view: View, localizer: LocalizerOptions) -> Iterator[FloatArray]:
        """Yield the places [3] that are looked at first, the likeliest first of all."""
        cube_size, subject = self._reader.cube_size, self._reader.skeleton.name
        places = find_candidates(view.depth, view.camera, cube_size, localizer, subject)
        return itertools.islice(self._refined(places, view), _CANDIDATES)

    def follow(
        self, view: View, centre: FloatArray, steps: int = _STEPS
    ) -> SkeletonEstimate | None:
        """Move the cube after the joints, as along an arm to its hand, while there is hope."""
        best = result = look(self._reader, view, centre)
        for _ in range(steps):
            if result is None or result.confidence < _HOPE:
                break
            middle = bounding_box_middle(result.positions)
            way = np.abs(middle - result.reference_point).max()
            if way < _SETTLED * self._reader.cube_size:
                break
            result = look(self._reader, view, middle)
            if result is not None and (best is None or result.confidence > best.confidence):
                best = result
        return best

    def refine(
        self, depth: FloatArray, camera: Camera, reference: FloatArray, side: str
    ) -> FloatArray:
        """Return the reference point [3] moved by the refining network."""
        assert self._refinement is not None
        cube = float(self._refinement.info.codec['cube_size'])
        crop = torch.from_numpy(refinement_crop(depth, camera, reference, cube))
        with torch.inference_mode():
            if side == 'left':
                crop = crop.flip(-1)
            offset = self._refinement.network(crop)[0].numpy() * (cube / 2)
        if side == 'left':
            offset = offset * np.array([-1, 1, 1], np.float32)
        return np.asarray(reference + offset, np.float32)

    def _refined(self, places: Iterable[FloatArray], view: View) -> Iterator[FloatArray]:
        if self._refinement is None:
            yield from places
            return
        for place in places:
            yield self.refine(view.depth, view.camera, place, view.side)

    def _best_of(
        self, places: Iterable[FloatArray], best: _Found | None, view: View
    ) -> _Found | None:
        """Follow places until one is sure; return what has most merit, or the best before."""
        for place in places:
            view.watch.lap('localization')
            result = self.follow(view, place)
            if result is None:
                continue
            if best is None or result.confidence > best.merit:
                merit = self._merit(result, view)
                if best is None or merit > best.merit:
                    best = _Found(result, merit)
            if best.merit >= self._sure:
                break
        return best

    def _merit(self, result: SkeletonEstimate, view: View) -> float:
        """Return the confidence, or less where the other hand would be surer.

        So a left hand is not taken for the right one that is in the image, too.
        """
        confidence = result.confidence
        if view.side not in _OTHER_SIDE or confidence < _HOPE:
            return confidence
        read, lap = self._reader.read, view.watch.lap
        side, centre = _OTHER_SIDE[view.side], result.reference_point
        mirrored = read(view.depth, view.camera, centre, side, lap, result.points)
        lead = mirrored.confidence - confidence if mirrored is not None else 0.0
        return max(confidence - _DOUBT * max(0.0, lead), min(confidence, _DOUBTED))
