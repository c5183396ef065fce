"""One cube of a depth image: its points in, the joints in it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
import torch

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.localization import crop_points
from v2v_pose_ros.models import Model, ModelError
from v2v_pose_ros.runtimes import Runtime
from v2v_pose_ros.runtimes.flip_test import FlipTestRuntime
from v2v_pose_ros.skeletons import Skeleton

FEW_POINTS = 50
"""Fewer than this in the cube are no subject."""


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
        handedness: 'right' or 'left' for a hand, empty for what is no hand.
        number: tells one subject from another: from 1 on, for as long as one is followed.
        occluded: [J] whether the camera does not see a joint; None where nobody looked.
    """

    skeleton: Skeleton
    positions: FloatArray
    confidences: FloatArray
    covariances: FloatArray
    reference_point: FloatArray
    cube_size: float
    points: FloatArray
    handedness: str = ''
    number: int = 1
    occluded: NDArray[np.bool_] | None = None

    @property
    def confidence(self) -> float:
        """Mean confidence of the joints."""
        return float(self.confidences.mean())


class CubeReader:
    """The networks, and what makes their input of points and joints of their output.

    Several models make an ensemble: their joints are averaged.  With `flip_test`, networks of
    subjects that are symmetric see every cube in the mirror, too.
    """

    def __init__(
        self,
        models: Sequence[Model],
        runtimes: Sequence[Runtime],
        cube_size: float | None = None,
        *,
        flip_test: bool = False,
    ) -> None:
        """Put models and what runs them together.

        Raises:
            ModelError: no model, or models of different skeletons.
        """
        if not models or len(models) != len(runtimes):
            raise ModelError('an estimator needs at least one model, and one runtime for each')
        for model in models[1:]:
            if model.info.skeleton != models[0].info.skeleton:
                raise ModelError(
                    f'models {models[0].info.name} and {model.info.name} have different '
                    'skeletons; an ensemble averages the joints of one skeleton'
                )
        self.skeleton = models[0].info.get_skeleton()
        self.model_names = tuple(model.info.name for model in models)
        self.runtime_name = ', '.join(dict.fromkeys(runtime.name for runtime in runtimes))
        self._trained = [model.info.make_codec() for model in models]
        self._calibrations = [model.info.make_calibration() for model in models]
        self.flip_test = flip_test and self.skeleton.symmetric
        self._runtimes = list(runtimes)
        if self.flip_test:
            mirrored = self.skeleton.mirrored
            self._runtimes = [FlipTestRuntime(runtime, mirrored) for runtime in runtimes]
        self.set_cube_size(cube_size)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where the networks run."""
        return tuple(runtime.device for runtime in self._runtimes)

    def set_cube_size(self, cube_size: float | None) -> None:
        """Change the edge of the cube in metres; None takes the models' own."""
        codecs = self._trained
        if cube_size:
            codecs = [replace(codec, cube_size=float(cube_size)) for codec in codecs]
        self._codecs = codecs
        self.cube_size = max(codec.cube_size for codec in codecs)
        self.voxel = min(codec.cube_size / codec.input_size for codec in codecs)

    def warm_up(self) -> None:
        """Run every network once."""
        for codec, runtime in zip(self._codecs, self._runtimes, strict=True):
            size = codec.input_size
            runtime(torch.zeros(1, 1, size, size, size))

    def read(
        self,
        depth: FloatArray,
        camera: Camera,
        centre: FloatArray,
        side: str,
        lap: Callable[[str], None],
        points: FloatArray | None = None,
    ) -> SkeletonEstimate | None:
        """Return the joints in a cube, None where it is as good as empty.

        Args:
            depth: [H, W] metres, 0 = no measurement.
            camera: the camera.
            centre: [3] of the cube, metres.
            side: 'left' mirrors the points on their way in and the joints on their way out.
            lap: told the name of every stage that is over.
            points: [N, 3] those in the cube, where they are known.
        """
        if points is None:
            points = crop_points(depth, camera, centre, self.cube_size)
            lap('crop')
        if len(points) < FEW_POINTS:
            return None
        mirror = np.array([-1 if side == 'left' else 1, 1, 1], np.float32)
        local = (points - centre) * mirror
        origin = np.zeros(3, np.float32)
        positions, confidences, covariances = [], [], []
        for codec, runtime, calibration in zip(
            self._codecs, self._runtimes, self._calibrations, strict=True
        ):
            grid = torch.from_numpy(codec.occupancy_numpy(local, origin))
            lap('voxels')
            output = runtime(grid)[0].float().cpu().numpy()
            lap('network')
            position, confidence, covariance = codec.decode_numpy(output, origin)
            if calibration is not None:
                covariance = calibration.apply(covariance, confidence)
            positions.append(position)
            confidences.append(confidence)
            covariances.append(covariance)
            lap('decoding')
        return SkeletonEstimate(
            skeleton=self.skeleton,
            positions=(np.mean(positions, axis=0) * mirror + centre).astype(np.float32),
            confidences=np.mean(confidences, axis=0, dtype=np.float32),
            covariances=np.mean(covariances, axis=0, dtype=np.float32) * np.outer(mirror, mirror),
            reference_point=np.asarray(centre, np.float32),
            cube_size=self.cube_size,
            points=points,
            handedness=side,
        )
