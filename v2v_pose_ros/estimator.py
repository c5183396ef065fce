"""One depth frame and its camera in, skeletons out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
import itertools
import time

import numpy as np
from numpy.typing import NDArray
import torch

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.defaults import (
    DEPTH_RANGE,
    HANDEDNESS,
    Handedness,
    HANDEDNESSES,
    MIN_CONFIDENCE,
    PASSES,
)
from v2v_pose_ros.localization import (
    bounding_box_middle,
    crop_points,
    find_candidates,
    LocalizerOptions,
    refinement_crop,
)
from v2v_pose_ros.models import load_model, Model, ModelError
from v2v_pose_ros.runtimes import make_runtime, Runtime
from v2v_pose_ros.skeletons import Skeleton

_FEW_POINTS = 50  # fewer than this in the cube are no subject
_CANDIDATES = 8  # reference points tried at most where a subject is searched for
_SURE = 0.75  # confidence at which the search ends
_HOPE = 0.2  # confidence from which on a cube follows what it shows
_SETTLED = 0.15  # of the cube: a shorter way to go is left to the second pass
_STEPS = 4  # moves of the cube from one candidate


@dataclass(frozen=True)
class SkeletonEstimate:
    """One subject's skeleton, metres in the optical frame.

    Attributes:
        skeleton: names and tree of the J joints.
        positions: [J, 3].
        confidences: [J] in 0..1; see `voxels.Decoded`.
        covariances: [J, 3, 3] square metres.
        reference_point: [3] centre of the cube.
        cube_size: edge of the cube.
        points: [N, 3] the measured points in the cube.
    """

    skeleton: Skeleton
    positions: FloatArray
    confidences: FloatArray
    covariances: FloatArray
    reference_point: FloatArray
    cube_size: float
    points: FloatArray

    @property
    def confidence(self) -> float:
        """Mean confidence of the joints."""
        return float(self.confidences.mean())


@dataclass(frozen=True)
class Estimate:
    """What one frame gave: skeletons, and the seconds that each stage took."""

    skeletons: tuple[SkeletonEstimate, ...]
    timings: dict[str, float]


class _Stopwatch:
    """Seconds per stage; stages met again add up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


class PoseEstimator:
    """The pipeline of the paper: reference point, refinement, grid, network, joints.

    Several models make an ensemble: their joints are averaged (the paper's epoch ensemble).  With
    `passes` of two or more, the cube is moved to the middle of the joints found before, which
    corrects reference points that a forearm or a distraction has pulled away.

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
    ) -> None:
        """Put the parts together; see `load` for the usual way.

        Raises:
            ModelError: no model, or models of different skeletons or cubes.
        """
        if not models or len(models) != len(runtimes):
            raise ModelError('an estimator needs at least one model, and one runtime for each')
        for model in models[1:]:
            if model.info.skeleton != models[0].info.skeleton:
                raise ModelError(
                    f'models {models[0].info.name} and {model.info.name} have different '
                    'skeletons; an ensemble averages the joints of one skeleton'
                )
        if passes < 1:
            raise ValueError(f'passes is {passes}; at least one is needed')
        if handedness not in HANDEDNESSES:
            raise ValueError(f"handedness is {handedness!r}; 'right' or 'left' is meant")
        self.skeleton = models[0].info.get_skeleton()
        self.model_names = tuple(model.info.name for model in models)
        self.runtime_name = ', '.join(dict.fromkeys(runtime.name for runtime in runtimes))
        self._trained = [model.info.make_codec() for model in models]
        self._runtimes = list(runtimes)
        self.set_cube_size(cube_size)
        self.localizer = localizer or LocalizerOptions()
        self.min_confidence = min_confidence
        self._refinement = refinement
        self._mirror = handedness == 'left' and self.skeleton.name == 'hand'
        self.passes = passes

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where the networks run."""
        return tuple(runtime.device for runtime in self._runtimes)

    def set_cube_size(self, cube_size: float | None) -> None:
        """Change the edge of the cube in metres; None takes the models' own."""
        codecs = self._trained
        if cube_size:
            codecs = [replace(codec, cube_size=float(cube_size)) for codec in codecs]
        self._networks = list(zip(codecs, self._runtimes, strict=True))
        self.cube_size = max(codec.cube_size for codec in codecs)

    @classmethod
    def load(
        cls,
        models: str | Sequence[str],
        *,
        skeleton: str | None = None,
        device: str = 'auto',
        runtime: str = 'auto',
        depth_range: tuple[float, float] = DEPTH_RANGE,
        handedness: Handedness = HANDEDNESS,
        passes: int = PASSES,
        cube_size: float | None = None,
        min_confidence: float = MIN_CONFIDENCE,
        refinement: str | None = None,
    ) -> PoseEstimator:
        """Load models by name or path and make them ready.

        Args:
            models: one model, or several for an ensemble.
            skeleton: refuse models of another skeleton.
            device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
            runtime: one of `defaults.RUNTIMES`.
            depth_range: nearest and farthest depth in metres where a subject is looked for.
            handedness: which hand; a left hand is mirrored on its way through.
            passes: how often the network sees the frame; from the second time on the cube is
                centred on the joints found before.
            cube_size: edge of the cube in metres; the models' own by default.
            min_confidence: skeletons of a lower mean confidence are not reported.
            refinement: a network that refines the reference point.

        Raises:
            ModelError: a model file is missing, damaged or does not fit.
            RuntimeUnavailableError: a device or runtime asked for by name is not there.
        """
        names = [models] if isinstance(models, str) else list(models)
        loaded = [load_model(name, skeleton) for name in names]
        return cls(
            loaded,
            [make_runtime(model, runtime, device) for model in loaded],
            refinement=load_model(refinement, kind='refinement') if refinement else None,
            localizer=LocalizerOptions(depth_range=depth_range),
            handedness=handedness,
            passes=passes,
            cube_size=cube_size,
            min_confidence=min_confidence,
        )

    def warm_up(self) -> None:
        """Run every network once so that the first frame is not slower than the others."""
        for codec, runtime in self._networks:
            size = codec.input_size
            runtime(torch.zeros(1, 1, size, size, size))

    def __call__(
        self,
        depth: FloatArray,
        camera: Camera,
        reference: FloatArray | None = None,
        passes: int | None = None,
    ) -> Estimate:
        """Estimate the skeletons in a frame.

        Args:
            depth: [H, W] metres, 0 = no measurement.
            camera: the camera of this image.
            reference: [3] where the subject is, metres; found in the image by default.
            passes: how often the network sees the frame; the estimator's own by default.

        Returns:
            At most one skeleton, none where no subject is found.

        Raises:
            ValueError: image and camera differ in size.
        """
        if depth.shape != (camera.height, camera.width):
            raise ValueError(
                f'the depth image has {depth.shape[1]} x {depth.shape[0]} pixels; the camera has '
                f'{camera.width} x {camera.height}'
            )
        watch = _Stopwatch()
        if reference is None:
            best = self._search(depth, camera, watch)
        else:
            best = self._pass(depth, camera, reference, watch)
        for _ in range((passes or self.passes) - 1 if best is not None else 0):
            assert best is not None
            result = self._pass(depth, camera, bounding_box_middle(best.positions), watch)
            if result is None:
                break
            best = result
        if best is None or best.confidence < self.min_confidence:
            return Estimate((), watch.seconds)
        return Estimate((best,), watch.seconds)

    def _search(
        self, depth: FloatArray, camera: Camera, watch: _Stopwatch
    ) -> SkeletonEstimate | None:
        """Return the most confident of what is found from the candidates on."""
        best: SkeletonEstimate | None = None
        for candidate in itertools.islice(self._candidates(depth, camera), _CANDIDATES):
            watch.lap('localization')
            result = self._follow(depth, camera, candidate, watch)
            if result is not None and (best is None or result.confidence > best.confidence):
                best = result
            if best is not None and best.confidence >= _SURE:
                break
        return best

    def _follow(
        self, depth: FloatArray, camera: Camera, centre: FloatArray, watch: _Stopwatch
    ) -> SkeletonEstimate | None:
        """Move the cube after the joints, as along an arm to its hand, while there is hope."""
        best = result = self._pass(depth, camera, centre, watch)
        for _ in range(_STEPS):
            if result is None or result.confidence < _HOPE:
                break
            middle = bounding_box_middle(result.positions)
            if np.abs(middle - result.reference_point).max() < _SETTLED * self.cube_size:
                break
            result = self._pass(depth, camera, middle, watch)
            if result is not None and (best is None or result.confidence > best.confidence):
                best = result
        return best

    def _candidates(self, depth: FloatArray, camera: Camera) -> Iterator[FloatArray]:
        """Yield reference points, refined where there is a network for it."""
        for candidate in find_candidates(depth, camera, self.cube_size, self.localizer):
            yield self.refine(depth, camera, candidate) if self._refinement else candidate

    def refine(self, depth: FloatArray, camera: Camera, reference: FloatArray) -> FloatArray:
        """Return the reference point moved by the refining network."""
        assert self._refinement is not None
        cube = float(self._refinement.info.codec['cube_size'])
        crop = torch.from_numpy(refinement_crop(depth, camera, reference, cube))
        with torch.inference_mode():
            if self._mirror:
                crop = crop.flip(-1)
            offset = self._refinement.network(crop)[0].numpy() * (cube / 2)
        if self._mirror:
            offset = offset * np.array([-1, 1, 1], np.float32)
        return np.asarray(reference + offset, np.float32)

    def _pass(
        self, depth: FloatArray, camera: Camera, centre: FloatArray, watch: _Stopwatch
    ) -> SkeletonEstimate | None:
        """Voxelise the cube about a centre and read the joints; None where it is empty."""
        points = crop_points(depth, camera, centre, self.cube_size)
        watch.lap('crop')
        if len(points) < _FEW_POINTS:
            return None
        local = (points - centre) * self._mirroring
        origin = np.zeros(3, np.float32)
        positions, confidences, covariances = [], [], []
        for codec, runtime in self._networks:
            grid = torch.from_numpy(codec.occupancy_numpy(local, origin))
            watch.lap('voxels')
            output = runtime(grid)
            watch.lap('network')
            decoded = codec.decode(output, torch.zeros(1, 3, device=output.device))
            positions.append(decoded.positions[0].cpu().numpy())
            confidences.append(decoded.confidences[0].cpu().numpy())
            covariances.append(decoded.covariances[0].cpu().numpy())
            watch.lap('decoding')
        mirror = self._mirroring
        return SkeletonEstimate(
            skeleton=self.skeleton,
            positions=(np.mean(positions, axis=0) * mirror + centre).astype(np.float32),
            confidences=np.mean(confidences, axis=0, dtype=np.float32),
            covariances=np.mean(covariances, axis=0, dtype=np.float32) * np.outer(mirror, mirror),
            reference_point=np.asarray(centre, np.float32),
            cube_size=self.cube_size,
            points=points,
        )

    @property
    def _mirroring(self) -> NDArray[np.float32]:
        return np.array([-1 if self._mirror else 1, 1, 1], np.float32)
