"""An estimator without a network, for tests of what is around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import os
import sys
import time
from types import SimpleNamespace

import numpy as np

from v2v_pose_ros.skeletons import HAND, Skeleton


@dataclass(frozen=True)
class FakeSkeleton:
    """What a SkeletonEstimate has, without PyTorch, which takes seconds to import."""

    skeleton: Skeleton
    positions: np.ndarray
    confidences: np.ndarray
    covariances: np.ndarray
    reference_point: np.ndarray
    cube_size: float
    points: np.ndarray
    handedness: str = 'right'
    number: int = 1
    occluded: np.ndarray | None = None


class FakeEstimator:
    """Puts a stiff hand where the measurements are, all certain; ``fail`` may raise instead."""

    model_names = ('fake',)
    runtime_name = 'none'
    tracking = 'searching'
    degraded = ''
    gpu_memory = None

    def __init__(self, parameters=None, fail: Callable[[], None] = lambda: None) -> None:
        """Remember what to do."""
        self.parameters = parameters
        self.fail = fail
        self.confidence = 0.9
        self.frames = self.resets = 0
        self.stamps: list[float] = []
        self.reference = None

    def warm_up(self) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Count."""
        self.resets += 1

    def __call__(self, depth, camera, parameters, stamp, reference=None):
        """Return one hand, or none where there are no measurements."""
        self.frames += 1
        self.parameters, self.reference = parameters, reference
        self.stamps.append(stamp)
        self.fail()
        points = camera.points(np.where(depth < parameters.min_depth, 0, depth))
        if not len(points):
            return SimpleNamespace(skeletons=(), timings={})
        hand = FakeSkeleton(
            skeleton=HAND,
            positions=points.mean(0) + joint_offsets(),
            confidences=np.full(len(HAND), self.confidence, np.float32),
            covariances=np.tile(np.eye(3, dtype=np.float32) * 1e-6, (len(HAND), 1, 1)),
            reference_point=points.mean(0),
            cube_size=0.25,
            points=points,
        )
        return SimpleNamespace(skeletons=(hand,), timings={'network': 0.001})


def joint_offsets() -> np.ndarray:
    """Return a hand [21, 3] about its centre, in metres."""
    return np.random.default_rng(0).normal(scale=0.03, size=(len(HAND), 3)).astype(np.float32)


if __name__ == '__main__':
    from v2v_pose_ros.ros.node import main

    def load(parameters):
        """Load nothing, in some time if wanted, or fail as a damaged model file would."""
        time.sleep(float(os.environ.get('FAKE_LOADING', '0')))
        if os.environ.get('FAKE_FAILURE'):
            raise ValueError(os.environ['FAKE_FAILURE'])
        busy = float(os.environ.get('FAKE_BUSY', '0'))
        return FakeEstimator(parameters, fail=lambda: time.sleep(busy))

    sys.exit(main(load=load))
