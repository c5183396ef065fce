"""What the node needs of an estimator, and the one it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.filters import OneEuroFilter, OneEuroOptions
from v2v_pose_ros.ros.parameters import NodeParameters

if TYPE_CHECKING:
    from v2v_pose_ros.estimator import Estimate, PoseEstimator, SkeletonEstimate


_GPU_CHANCES = 3
"""A GPU that fails so many times in a row is left alone."""


class Result(Protocol):
    """What an estimator returns: v2v_pose_ros.estimator.Estimate."""

    skeletons: Sequence[SkeletonEstimate]
    timings: Mapping[str, float]


class Estimator(Protocol):
    """What the node needs of an estimator."""

    model_names: Sequence[str]
    runtime_name: str

    @property
    def tracking(self) -> str:
        """What is known of the subject (tracking.TrackingState); empty if none is followed."""

    @property
    def degraded(self) -> str:
        """Why it runs otherwise than it should, empty if it does not."""

    @property
    def gpu_memory(self) -> tuple[int, int] | None:
        """Bytes in use and in all on the GPU, None where the network runs on none."""

    def warm_up(self) -> None:
        """Run once, so that the first image is as fast as the others."""

    def reset(self) -> None:
        """Forget earlier images: the next one does not follow them."""

    def __call__(
        self,
        depth: NDArray[np.float32],
        camera: Camera,
        parameters: NodeParameters,
        stamp: float,
        reference: NDArray[np.float32] | None = None,
    ) -> Result:
        """Return the skeletons in a depth image.

        Args:
            depth: [H, W] metres, 0 where nothing was measured.
            camera: the camera of this image.
            parameters: as they are now; those that are not live never change.
            stamp: of the image, in seconds.
            reference: [3] where somebody says that the subject is, metres.
        """


class Pipeline:
    """The package's estimator, with tracking and filtering from image to image.

    Raises ValueError (of models and runtimes) with the reason when it cannot be made.
    """

    def __init__(self, parameters: NodeParameters) -> None:
        # Imported here, in the inference thread: PyTorch takes seconds, and the node can be
        # discovered and collect camera_info meanwhile.
        import torch

        from v2v_pose_ros.estimator import PoseEstimator
        from v2v_pose_ros.tracking import Tracker

        self._load = PoseEstimator.load
        self._estimator = self._make(parameters, parameters.device, parameters.runtime)
        self._gpu_failures = 0
        self.degraded = ''
        self._tracker = Tracker(self._estimator)
        self._filters: dict[int, OneEuroFilter] = {}  # by number of the subject
        self._applied = parameters
        self._configure(parameters)
        self.model_names = self._estimator.model_names
        if self.runtime_name.startswith('openvino'):
            # What is left to torch is small; a second thread would only wait for the first.
            torch.set_num_threads(1)

    def _make(self, parameters: NodeParameters, device: str, runtime: str) -> PoseEstimator:
        return self._load(
            parameters.models,
            device=device,
            runtime=runtime,
            depth_range=parameters.depth_range,
            handedness=parameters.handedness,
            passes=parameters.passes,
            refinement=parameters.refinement or None,
            cube_size=parameters.cube_size or None,
            min_confidence=0.0,  # the node decides, live
            flip_test=parameters.flip_test,
        )

    @property
    def runtime_name(self) -> str:
        """What runs the network, on what and in which precision."""
        return self._estimator.runtime_name

    @property
    def gpu_memory(self) -> tuple[int, int] | None:
        """Bytes in use and in all on the GPU, None where there is none or it does not tell."""
        import torch

        for device in self._estimator.devices:
            if device.type == 'cuda':
                try:
                    free, total = torch.cuda.mem_get_info(device)
                except RuntimeError:  # of a GPU that failed
                    return None
                return total - free, total
        return None

    @property
    def tracking(self) -> str:
        """What is known of the subject, or of how many what is known."""
        if not self._applied.tracking:
            return ''
        states = self._tracker.states
        if self._applied.max_subjects == 1 or not states:
            return self._tracker.state
        return ', '.join(f'{states.count(each)} {each}' for each in dict.fromkeys(states))

    def warm_up(self) -> None:
        """Run every network once."""
        self._estimator.warm_up()

    def reset(self) -> None:
        """Forget where the subjects were and how they moved."""
        self._tracker.reset()
        self._filters = {}

    def __call__(
        self,
        depth: NDArray[np.float32],
        camera: Camera,
        parameters: NodeParameters,
        stamp: float,
        reference: NDArray[np.float32] | None = None,
    ) -> Estimate:
        """Return the skeletons in a depth image."""
        self._apply(parameters)
        try:
            if parameters.tracking:
                estimate = self._tracker(depth, camera, stamp, reference)
            else:
                estimate = self._estimator(
                    depth, camera, reference, subjects=parameters.max_subjects, thorough=False
                )
        except RuntimeError as error:  # running out of memory is one, like every error of CUDA
            self._recover(error)
            raise
        self._gpu_failures = 0
        return self._steady(estimate, stamp) if parameters.filter else estimate

    def _recover(self, error: RuntimeError) -> None:
        """Leave a GPU that failed several times in a row, for good: the CPU does its work."""
        if all(device.type != 'cuda' for device in self._estimator.devices):
            return
        self._gpu_failures += 1
        if self._gpu_failures < _GPU_CHANCES:
            return
        self._estimator = self._make(self._applied, 'cpu', 'auto')
        self._estimator.warm_up()
        self._tracker.estimator = self._estimator
        self.reset()
        self.degraded = (
            f'the GPU failed {self._gpu_failures} times in a row ({error}), so the network runs '
            'on the CPU: configure or start the node again to use the GPU'
        )

    def _apply(self, parameters: NodeParameters) -> None:
        """Take over what has changed since the image before."""
        before, self._applied = self._applied, parameters
        if parameters is before:
            return
        if parameters.depth_range != before.depth_range:
            self._estimator.localizer = replace(
                self._estimator.localizer, depth_range=parameters.depth_range
            )
            # A subject outside the new range is to be let go.
            self.reset()
        if parameters.cube_size != before.cube_size:
            self._estimator.set_cube_size(parameters.cube_size or None)
        if parameters.tracking != before.tracking or parameters.filter != before.filter:
            self.reset()
        self._estimator.passes = parameters.passes
        self._configure(parameters)

    def _configure(self, parameters: NodeParameters) -> None:
        from v2v_pose_ros.tracking import TrackerOptions

        self._tracker.options = TrackerOptions(
            parameters.min_confidence,
            parameters.acquire_margin,
            parameters.acquire_time,
            parameters.lose_time,
            parameters.max_subjects,
            parameters.prefer,
        )

    def _steady(self, estimate: Estimate, stamp: float) -> Estimate:
        """Filter everybody's joints; those of a new subject pass as they are."""
        alone = {1} if self._applied.max_subjects == 1 else set()
        followed = self._tracker.numbers if self._applied.tracking else alone
        self._filters = {
            number: self._filters.get(number) or OneEuroFilter() for number in followed
        }
        steadied = tuple(self._steadied(each, stamp) for each in estimate.skeletons)
        return replace(estimate, skeletons=steadied)

    def _steadied(self, skeleton: SkeletonEstimate, stamp: float) -> SkeletonEstimate:
        steady, applied = self._filters.get(skeleton.number), self._applied
        # Without tracking, nobody knows which of several subjects is which.
        if steady is None or not np.isfinite(skeleton.positions).all():
            return skeleton
        steady.options = OneEuroOptions(applied.filter_min_cutoff, applied.filter_beta)
        steady.longest_gap = applied.lose_time
        positions = steady(skeleton.positions, stamp, skeleton.covariances)
        return replace(skeleton, positions=positions)


def is_found(estimate: SkeletonEstimate, parameters: NodeParameters) -> bool:
    """Tell whether a skeleton is good enough to be published."""
    if not np.isfinite(estimate.positions).all():
        return False
    return float(np.mean(estimate.confidences)) >= parameters.min_confidence
