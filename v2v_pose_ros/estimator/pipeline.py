"""One depth frame and its camera in, skeletons out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
import itertools

import numpy as np
import torch

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.defaults import (
    FLIP_TEST,
    HANDEDNESS,
    Handedness,
    HANDEDNESSES,
    MIN_CONFIDENCE,
    PASSES,
)
from v2v_pose_ros.estimator.device_reading import make_reader
from v2v_pose_ros.estimator.fusion import fused
from v2v_pose_ros.estimator.occlusion import occluded_joints
from v2v_pose_ros.estimator.reading import CubeReader, SkeletonEstimate
from v2v_pose_ros.estimator.separation import hide_subjects, MARGIN
from v2v_pose_ros.estimator.stopwatch import Stopwatch
from v2v_pose_ros.localization import (
    bounding_box_middle,
    find_candidates,
    LocalizerOptions,
    look_over,
    refinement_crop,
)
from v2v_pose_ros.models import load_model, Model
from v2v_pose_ros.runtimes import make_runtime, Runtime
from v2v_pose_ros.skeletons import Skeleton

__all__ = ['Estimate', 'PoseEstimator', 'SkeletonEstimate']

_CANDIDATES = 8  # reference points tried at most where a subject is searched for
_PLACES = 10  # more of them, where these have led to nothing that is likely
_SURE = 0.75  # confidence at which the search ends
_LIKELY = 0.6  # confidence without which a thorough search goes on
_HOPE = 0.2  # confidence from which on a cube follows what it shows
_SETTLED = 0.15  # of the cube: a shorter way to go is left to the second pass
_STEPS = 4  # moves of the cube from one candidate
_GLANCE_STEPS = 1  # the same, where others wait for their turn
_SAME_PLACE = 0.2  # of the cube: a candidate that is nearer to one refused is the same


@dataclass(frozen=True)
class Estimate:
    """What one frame gave: skeletons, and the seconds that each stage took."""

    skeletons: tuple[SkeletonEstimate, ...]
    timings: dict[str, float]


class PoseEstimator:
    """The pipeline of the paper: reference point, refinement, grid, network, joints.

    Several models make an ensemble: their joints are averaged (the paper's epoch ensemble).  With
    `passes` of two or more, the cube is moved to the middle of the joints found before, which
    corrects reference points that a forearm or a distraction has pulled away; what the passes say
    is averaged.

    The networks know right hands; left ones are mirrored on their way through.  With the
    handedness 'auto', what is found is looked at both ways, and the surer one counts.

    With `flip_test`, people are looked at in the mirror, too, once they are found: a search, which
    tries many places, does without.

    An estimator has no memory from frame to frame and belongs to one thread; see `tracking`.
    """

    def __init__(
        self,
        models: Sequence[Model],
        runtimes: Sequence[Runtime],
        *,
        refinement: Model | None = None,
        localizer: LocalizerOptions | None = None,
        handedness: Handedness = HANDEDNESS,
        passes: int = PASSES,
        cube_size: float | None = None,
        min_confidence: float = MIN_CONFIDENCE,
        flip_test: bool = FLIP_TEST,
    ) -> None:
        """Put the parts together; see `load` for the usual way.

        Raises:
            ModelError: no model, or models of different skeletons or cubes.
        """
        if passes < 1:
            raise ValueError(f'passes is {passes}; at least one is needed')
        if handedness not in HANDEDNESSES:
            known = ', '.join(HANDEDNESSES)
            raise ValueError(f'handedness is {handedness!r}; one of {known} is meant')
        self._reader = make_reader(models, runtimes, cube_size, flip_test=flip_test)
        mirrors = self._reader.flip_test
        self._scout = make_reader(models, runtimes, cube_size) if mirrors else self._reader
        self.localizer = localizer or LocalizerOptions.of(self.skeleton.name)
        self.min_confidence = min_confidence
        self._refinement = refinement
        self.handedness = handedness if self.skeleton.name == 'hand' else ''
        self.passes = passes

    @property
    def skeleton(self) -> Skeleton:
        """What is looked for."""
        return self._reader.skeleton

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models, as many as are averaged."""
        return self._reader.model_names

    @property
    def runtime_name(self) -> str:
        """What runs the networks."""
        return self._reader.runtime_name

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where the networks run."""
        return self._reader.devices

    @property
    def cube_size(self) -> float:
        """Edge of the cube in metres."""
        return self._reader.cube_size

    def set_cube_size(self, cube_size: float | None) -> None:
        """Change the edge of the cube in metres; None takes the models' own."""
        for reader in {self._reader, self._scout}:
            reader.set_cube_size(cube_size)

    @classmethod
    def load(
        cls,
        models: str | Sequence[str],
        *,
        skeleton: str | None = None,
        device: str = 'auto',
        runtime: str = 'auto',
        depth_range: tuple[float, float] | None = None,
        handedness: Handedness = HANDEDNESS,
        passes: int = PASSES,
        cube_size: float | None = None,
        min_confidence: float = MIN_CONFIDENCE,
        refinement: str | None = None,
        flip_test: bool = FLIP_TEST,
    ) -> PoseEstimator:
        """Load models by name or path and make them ready.

        Args:
            models: one model, or several for an ensemble.
            skeleton: refuse models of another skeleton.
            device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
            runtime: one of `defaults.RUNTIMES`.
            depth_range: nearest and farthest depth in metres where a subject is looked for;
                `defaults.DEPTH_RANGES` by default.
            handedness: which hand it is, or 'auto'.
            passes: how often the network sees the frame; from the second time on the cube is
                centred on the joints found before, and the joints are averaged.
            cube_size: edge of the cube in metres; the models' own by default.
            min_confidence: skeletons of a lower mean confidence are not reported.
            refinement: a network that refines the reference point.
            flip_test: look at people in the mirror, too, and average; hands are not symmetric.

        Raises:
            ModelError: a model file is missing, damaged or does not fit.
            RuntimeUnavailableError: a device or runtime asked for by name is not there.
        """
        names = [models] if isinstance(models, str) else list(models)
        loaded = [load_model(name, skeleton) for name in names]
        refining = None
        if refinement and loaded:
            refining = load_model(refinement, loaded[0].info.skeleton, kind='refinement')
        return cls(
            loaded,
            [make_runtime(model, runtime, device) for model in loaded],
            refinement=refining,
            localizer=LocalizerOptions(depth_range) if depth_range else None,
            handedness=handedness,
            passes=passes,
            cube_size=cube_size,
            min_confidence=min_confidence,
            flip_test=flip_test,
        )

    def warm_up(self) -> None:
        """Run every network once so that the first frame is not slower than the others."""
        for reader in {self._reader, self._scout}:
            reader.warm_up()

    def __call__(
        self,
        depth: FloatArray,
        camera: Camera,
        reference: FloatArray | None = None,
        passes: int | None = None,
        *,
        subjects: int = 1,
        handedness: str | None = None,
        thorough: bool = True,
    ) -> Estimate:
        """Estimate the skeletons in a frame.

        Args:
            depth: [H, W] metres, 0 = no measurement.
            camera: the camera of this image.
            reference: [3] where the subject is, metres; found in the image by default.
            passes: how often the network sees the frame; the estimator's own by default.
            subjects: how many are searched for at most, the nearest first; at a reference point
                there is one.
            handedness: of the subject; the estimator's own by default.
            thorough: search everywhere before nothing is found, which takes twice as long; who
                follows a stream rather looks at the next frame.

        Returns:
            The skeletons in the order in which they were found, numbered from 1 on; none where no
            subject is found.

        Raises:
            ValueError: image and camera differ in size.
        """
        if depth.shape != (camera.height, camera.width):
            raise ValueError(
                f'the depth image has {depth.shape[1]} x {depth.shape[0]} pixels; the camera has '
                f'{camera.width} x {camera.height}'
            )
        side = self.handedness if handedness is None else handedness
        watch = Stopwatch()
        found: list[SkeletonEstimate] = []
        for number in range(1, (subjects if reference is None else 1) + 1):
            rest = self.without(depth, camera, [each.positions for each in found])
            if reference is None:
                best = self._search(rest, camera, side, watch, thorough)
            else:
                best = self._pass(self._reader, rest, camera, reference, side, watch)
            best = self._settle(rest, camera, best, passes or self.passes, watch)
            if best is None or best.confidence < self.min_confidence:
                break
            found.append(replace(_with_occlusion(best), number=number))
        return Estimate(tuple(found), watch.seconds)

    def glance(
        self, depth: FloatArray, camera: Camera, refused: Sequence[FloatArray]
    ) -> tuple[Estimate, FloatArray | None]:
        """Look for a subject at a single place, in little time.

        Args:
            depth: [H, W] metres, 0 = no measurement.
            camera: the camera of this image.
            refused: [3] each, places where no subject was a moment ago.

        Returns:
            A skeleton or none, and the place that was looked at; None as place when there is none
            that was not refused.
        """
        watch = Stopwatch()
        for place in itertools.islice(self._candidates(depth, camera), _CANDIDATES):
            watch.lap('localization')
            same = _SAME_PLACE * self.cube_size
            if any(np.abs(place - other).max() < same for other in refused):
                continue
            best = self._follow(depth, camera, place, self.handedness, watch, _GLANCE_STEPS)
            if best is None or best.confidence < self.min_confidence:
                return Estimate((), watch.seconds), place
            return Estimate((_with_occlusion(best),), watch.seconds), place
        watch.lap('localization')
        return Estimate((), watch.seconds), None

    def without(
        self,
        depth: FloatArray,
        camera: Camera,
        others: Sequence[FloatArray],
        own: FloatArray | None = None,
    ) -> FloatArray:
        """Return a depth image without other subjects; see `separation.hide_subjects`."""
        margin = MARGIN * self.cube_size
        return hide_subjects(depth, camera, self.skeleton, others, margin, own)

    def _settle(
        self,
        depth: FloatArray,
        camera: Camera,
        best: SkeletonEstimate | None,
        passes: int,
        watch: Stopwatch,
    ) -> SkeletonEstimate | None:
        """Centre the cube on the joints, again and again, and take all passes together."""
        if best is None:
            return None
        looks = [best]
        for _ in range(passes - 1):
            centre = bounding_box_middle(looks[-1].positions)
            result = self._pass(self._reader, depth, camera, centre, best.handedness, watch)
            if result is None:
                break
            looks.append(result)
        return fused(looks) if len(looks) > 1 else best

    def _search(
        self, depth: FloatArray, camera: Camera, side: str, watch: Stopwatch, thorough: bool
    ) -> SkeletonEstimate | None:
        """Return the most confident of what is found from the candidates on."""
        candidates = itertools.islice(self._candidates(depth, camera), _CANDIDATES)
        best = self._best_of(candidates, None, depth, camera, side, watch)
        if not thorough:
            return best
        if best is not None and best.confidence < _SURE:  # hope or not, from where it seems to be
            middle = bounding_box_middle(best.positions)
            best = self._best_of([middle], best, depth, camera, side, watch)
        if best is None or best.confidence < _LIKELY:
            subject = self.skeleton.name
            places = look_over(depth, camera, self.cube_size, self.localizer, subject)
            places = itertools.islice(places, _PLACES)
            best = self._best_of(places, best, depth, camera, side, watch)
        return best

    def _best_of(
        self,
        candidates: Iterable[FloatArray],
        best: SkeletonEstimate | None,
        depth: FloatArray,
        camera: Camera,
        side: str,
        watch: Stopwatch,
    ) -> SkeletonEstimate | None:
        """Follow candidates until one is sure; return the surest, which may be the best before."""
        for candidate in candidates:
            watch.lap('localization')
            result = self._follow(depth, camera, candidate, side, watch, _STEPS)
            if result is not None and (best is None or result.confidence > best.confidence):
                best = result
            if best is not None and best.confidence >= _SURE:
                break
        return best

    def _follow(
        self,
        depth: FloatArray,
        camera: Camera,
        centre: FloatArray,
        side: str,
        watch: Stopwatch,
        steps: int,
    ) -> SkeletonEstimate | None:
        """Move the cube after the joints, as along an arm to its hand, while there is hope."""
        best = result = self._pass(self._scout, depth, camera, centre, side, watch)
        for _ in range(steps):
            if result is None or result.confidence < _HOPE:
                break
            middle = bounding_box_middle(result.positions)
            if np.abs(middle - result.reference_point).max() < _SETTLED * self.cube_size:
                break
            result = self._pass(self._scout, depth, camera, middle, side, watch)
            if result is not None and (best is None or result.confidence > best.confidence):
                best = result
        return best

    def _candidates(self, depth: FloatArray, camera: Camera) -> Iterator[FloatArray]:
        """Yield reference points, refined where there is a network for it."""
        subject = self.skeleton.name
        for candidate in find_candidates(depth, camera, self.cube_size, self.localizer, subject):
            yield self.refine(depth, camera, candidate) if self._refinement else candidate

    def refine(self, depth: FloatArray, camera: Camera, reference: FloatArray) -> FloatArray:
        """Return the reference point moved by the refining network."""
        assert self._refinement is not None
        cube = float(self._refinement.info.codec['cube_size'])
        crop = torch.from_numpy(refinement_crop(depth, camera, reference, cube))
        with torch.inference_mode():
            if self.handedness == 'left':
                crop = crop.flip(-1)
            offset = self._refinement.network(crop)[0].numpy() * (cube / 2)
        if self.handedness == 'left':
            offset = offset * np.array([-1, 1, 1], np.float32)
        return np.asarray(reference + offset, np.float32)

    @staticmethod
    def _pass(
        reader: CubeReader,
        depth: FloatArray,
        camera: Camera,
        centre: FloatArray,
        side: str,
        watch: Stopwatch,
    ) -> SkeletonEstimate | None:
        """Voxelise the cube about a centre and read the joints; None where it is empty."""
        read, lap = reader.read, watch.lap
        if side != 'auto':
            return read(depth, camera, centre, side, lap)
        right = read(depth, camera, centre, 'right', lap)
        if right is None or right.confidence < _HOPE:  # mirrored, it would be no hand either
            return right
        left = read(depth, camera, centre, 'left', lap, right.points)
        return left if left is not None and left.confidence > right.confidence else right


def _with_occlusion(skeleton: SkeletonEstimate) -> SkeletonEstimate:
    """Return a skeleton that says which of its joints the camera does not see."""
    hidden = occluded_joints(skeleton.positions, skeleton.points, skeleton.cube_size)
    return replace(skeleton, occluded=hidden)
