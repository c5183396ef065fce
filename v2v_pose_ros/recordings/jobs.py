"""What is to be done with a recording, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TYPE_CHECKING

from v2v_pose_ros import defaults

if TYPE_CHECKING:  # it would import PyTorch
    from v2v_pose_ros.estimator import PoseEstimator
    from v2v_pose_ros.recordings.sequence import GapReport

PREFIX = '/v2v_pose'
"""Where results are put, as the node does by default."""

Stage = Literal['estimating', 'writing']


class EstimatorSource(Protocol):
    """Makes an estimator where it is needed: in this process, another one, another machine."""

    def __hash__(self) -> int:
        """Return the same for equal ones: an estimator is loaded once."""

    @property
    def device(self) -> str:
        """Where it is to run."""

    def load(self) -> PoseEstimator:
        """Make it."""

    def identity(self) -> dict[str, Any]:
        """Say what its results depend on."""

    def on(self, device: str) -> EstimatorSource:
        """Return the same for another device."""


@dataclass(frozen=True)
class EstimatorSettings:
    """The arguments of `PoseEstimator.load`."""

    models: tuple[str, ...] = (defaults.MODEL,)
    device: str = 'auto'
    runtime: str = 'auto'
    depth_range: tuple[float, float] | None = None
    handedness: defaults.Handedness = defaults.HANDEDNESS
    passes: int = defaults.PASSES
    refinement: str | None = None
    flip_test: bool = defaults.FLIP_TEST

    def load(self) -> PoseEstimator:
        """Load the models."""
        from v2v_pose_ros.estimator import PoseEstimator

        return PoseEstimator.load(
            self.models,
            device=self.device,
            runtime=self.runtime,
            depth_range=self.depth_range,
            handedness=self.handedness,
            passes=self.passes,
            refinement=self.refinement,
            flip_test=self.flip_test,
        )

    def identity(self) -> dict[str, Any]:
        """Say what the results depend on: the weights by their checksums, and the settings."""
        from v2v_pose_ros.models import find_model, read_info

        refinement = (self.refinement,) if self.refinement else ()
        return {
            'models': [read_info(find_model(name))[1] for name in (*self.models, *refinement)],
            'device': self.device.partition(':')[0],  # which of equal GPUs does not matter
            'runtime': self.runtime,
            'depth_range': list(self.depth_range or ()),
            'handedness': self.handedness,
            'passes': self.passes,
            'flip_test': self.flip_test,
        }

    def on(self, device: str) -> EstimatorSettings:
        """Return the same for another device."""
        return replace(self, device=device)


@dataclass(frozen=True)
class Options:
    """How recordings are processed.

    Attributes:
        estimator: what makes the estimator.
        depth_topic: depth images; found by their encoding if empty.
        info_topic: their camera_info; found by its name if empty.
        rectified: the images belong to P of camera_info, not to K and D.
        prefix: namespace of the topics that are added.
        subject: name of the subject; the skeleton's if empty.
        max_subjects: how many are followed at most.
        smooth: steady the joints with a One Euro filter.
        storage: 'mcap' or 'sqlite3'; as the original if empty.
        overwrite: replace what is there, and begin anew.
    """

    estimator: EstimatorSource = field(default_factory=EstimatorSettings)
    depth_topic: str = ''
    info_topic: str = ''
    rectified: bool = False
    prefix: str = PREFIX
    subject: str = ''
    max_subjects: int = defaults.MAX_SUBJECTS
    smooth: bool = False
    storage: str = ''
    overwrite: bool = False


@dataclass(frozen=True)
class Job:
    """One recording to be processed: where it is, where the result goes, and how.

    ``viewer`` is a Rerun file that is written, too.
    """

    source: Path
    target: Path
    options: Options
    viewer: Path | None = None


@dataclass(frozen=True)
class Progress:
    """How far a job is: steps of its stage that are done, and all of them."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Summary:
    """What came of a recording.

    Attributes:
        gaps: how completely the subject was seen.
        problems: why frames could not be used, and how many.
        resumed: frames that an earlier, interrupted run had estimated.
    """

    gaps: GapReport
    problems: Mapping[str, int]
    resumed: int = 0


@dataclass(frozen=True)
class Outcome:
    """The end of a job: a summary, or why there is none."""

    job: Job
    summary: Summary | None
    error: str = ''


Report = Callable[[Progress], None]
