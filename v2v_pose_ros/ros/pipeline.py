"""What the node needs of an estimator, and the one it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.ros.parameters import NodeParameters

if TYPE_CHECKING:
    from v2v_pose_ros.estimator import Estimate, SkeletonEstimate


class Result(Protocol):
    """What an estimator returns: v2v_pose_ros.estimator.Estimate."""

    skeletons: Sequence[SkeletonEstimate]
    timings: Mapping[str, float]


class Estimator(Protocol):
    """What the node needs of an estimator."""

    model_names: Sequence[str]
    runtime_name: str

    def warm_up(self) -> None:
        """Run once, so that the first image is as fast as the others."""

    def reset(self) -> None:
        """Forget earlier images: the next one does not follow them."""

    def __call__(
        self, depth: NDArray[np.float32], camera: Camera, parameters: NodeParameters
    ) -> Result:
        """Return the skeletons in a depth image.

        Args:
            depth: [H, W] metres, 0 where nothing was measured.
            camera: the camera of this image.
            parameters: as they are now; those that are not live never change.
        """


class Pipeline:
    """The package's estimator, with or without tracking from image to image.

    Raises ValueError (of models and runtimes) with the reason when it cannot be made.
    """

    def __init__(self, parameters: NodeParameters) -> None:
        # Imported here, in the inference thread: PyTorch takes seconds, and the node can be
        # discovered and collect camera_info meanwhile.
        import torch

        from v2v_pose_ros.estimator import PoseEstimator, Tracker

        self._estimator = PoseEstimator.load(
            parameters.models,
            device=parameters.device,
            runtime=parameters.runtime,
            depth_range=parameters.depth_range,
            handedness=parameters.handedness,
            passes=parameters.passes,
            cube_size=parameters.cube_size or None,
            min_confidence=0.0,  # the node decides, live
        )
        self._tracker = (
            Tracker(self._estimator, parameters.min_confidence) if parameters.tracking else None
        )
        self.model_names = self._estimator.model_names
        self.runtime_name = self._estimator.runtime_name
        if self.runtime_name.startswith('openvino'):
            # What is left to torch is small; a second thread would only wait for the first.
            torch.set_num_threads(1)

    def warm_up(self) -> None:
        """Run every network once."""
        self._estimator.warm_up()

    def reset(self) -> None:
        """Forget where the subject was."""
        if self._tracker is not None:
            self._tracker.reset()

    def __call__(
        self, depth: NDArray[np.float32], camera: Camera, parameters: NodeParameters
    ) -> Estimate:
        """Return the skeletons in a depth image."""
        if self._estimator.localizer.depth_range != parameters.depth_range:
            self._estimator.localizer = replace(
                self._estimator.localizer, depth_range=parameters.depth_range
            )
            # A subject outside the new range is to be let go.
            self.reset()
        if self._tracker is None:
            return self._estimator(depth, camera)
        self._tracker.min_confidence = parameters.min_confidence
        return self._tracker(depth, camera)
