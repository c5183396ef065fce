"""One depth frame and its camera in, skeletons out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from v2v_pose_ros.estimator.reading import SkeletonEstimate
from v2v_pose_ros.estimator.search import look, Search, View
from v2v_pose_ros.estimator.separation import hide_subjects, MARGIN
from v2v_pose_ros.estimator.stopwatch import Stopwatch
from v2v_pose_ros.localization import bounding_box_middle, LocalizerOptions
from v2v_pose_ros.models import load_model, Model
from v2v_pose_ros.runtimes import make_runtime, Runtime
from v2v_pose_ros.skeletons import Skeleton

__all__ = ['Estimate', 'PoseEstimator', 'SkeletonEstimate']

_AVERAGED = ('hand',)  # people gain nothing: 81.9 % mAP from the front instead of 82.4
_GLANCE_STEPS = 1  # moves of the cube where others wait for their turn
# Half voxels by which cubes are shifted: no two of these cut a surface into the same voxels.
_SHIFTS = np.array([[1, 1, 0], [0, 1, 1]], np.float32)
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
    of a hand is averaged.

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
        self._search = Search(self._scout, refinement)
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
                centred on the joints found before, and the joints of hands are averaged.
            cube_size: edge of the cube in metres; the models' own by default.
            min_confidence: skeletons of a lower mean confidence are not reported.
            refinement: a network that refines the reference points of a search.
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
            thorough: search everywhere before nothing is found, and look at what is found by other
                voxels, too, which takes several times as long; who follows a stream rather looks
                at the next frame.

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
            view = View(rest, camera, side, watch)
            if reference is None:
                best = self._search(view, self.localizer, thorough=thorough)
            else:
                best = look(self._reader, view, reference)
            best = self._settle(view, best, passes or self.passes, thorough=thorough)
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
        view = View(depth, camera, self.handedness, Stopwatch())
        lap, seconds = view.watch.lap, view.watch.seconds
        for place in self._search.candidates(view, self.localizer):
            lap('localization')
            same = _SAME_PLACE * self.cube_size
            if any(np.abs(place - other).max() < same for other in refused):
                continue
            best = self._search.follow(view, place, _GLANCE_STEPS)
            if best is None or best.confidence < self.min_confidence:
                return Estimate((), seconds), place
            return Estimate((_with_occlusion(best),), seconds), place
        lap('localization')
        return Estimate((), seconds), None

    def refine(self, depth: FloatArray, camera: Camera, reference: FloatArray) -> FloatArray:
        """Return the reference point [3] moved by the refining network."""
        return self._search.refine(depth, camera, reference, self.handedness)

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
        self, view: View, best: SkeletonEstimate | None, passes: int, *, thorough: bool
    ) -> SkeletonEstimate | None:
        """Centre the cube on the joints, again and again, and take all passes together."""
        if best is None:
            return None
        view, looks = replace(view, side=best.handedness), [best]
        for _ in range(passes - 1):
            result = look(self._reader, view, bounding_box_middle(looks[-1].positions))
            if result is None:
                break
            looks.append(result)
        if len(looks) == 1 or self.skeleton.name not in _AVERAGED:
            return looks[-1]
        if thorough:
            shifts = _SHIFTS * (0.5 * self._reader.voxel)
            others = [look(self._reader, view, looks[-1].reference_point + by) for by in shifts]
            looks = [*(other for other in others if other is not None), *looks]
        return fused(looks)


def _with_occlusion(skeleton: SkeletonEstimate) -> SkeletonEstimate:
    """Return a skeleton that says which of its joints the camera does not see."""
    hidden = occluded_joints(skeleton.positions, skeleton.points, skeleton.cube_size)
    return replace(skeleton, occluded=hidden)
