"""One or several methods against one ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from v2v_pose_ros.evaluation.conventions import Format, Protocol, PROTOCOLS
from v2v_pose_ros.evaluation.metrics import (
    Array,
    error_by_angle,
    joint_errors,
    PITCH,
    Scores,
    viewpoint,
    YAW,
)
from v2v_pose_ros.evaluation.results import align, read_results, ResultError, Results


@dataclass(frozen=True)
class Method:
    """A method's name, file, joints [N, J, 3] in metres in the optical frame, and scores."""

    name: str
    path: Path
    joints: Array
    scores: Scores


@dataclass(frozen=True)
class Evaluation:
    """Several methods on one dataset."""

    protocol: Protocol
    truth: Results
    methods: tuple[Method, ...]

    @property
    def frames(self) -> int:
        """The number of frames N."""
        return len(self.truth.joints)

    def angle_curves(self) -> dict[str, tuple[Array, list[Array]]]:
        """Return the mean error of every method over yaw and over pitch; MSRA has these.

        Returns:
            For each angle the centres of its bins in degrees [B] and the errors [B] of every
            method in metres, NaN for empty bins.
        """
        if self.protocol.convention.name != 'msra':
            return {}
        yaw, pitch = viewpoint(self.truth.joints, self.protocol.skeleton)
        return {
            name: (
                centres.astype(float),
                [error_by_angle(method.scores.errors, angles, centres) for method in self.methods],
            )
            for name, angles, centres in (('yaw', yaw, YAW), ('pitch', pitch, PITCH))
        }


def evaluate(
    dataset: str,
    ground_truth: Path,
    predictions: Sequence[Path],
    names: Sequence[str] | None = None,
    form: Format | None = None,
    truth_form: Format | None = None,
) -> Evaluation:
    """Read result files and compare them with a ground truth.

    Args:
        dataset: one of PROTOCOLS.
        ground_truth: its file.
        predictions: a file for each method.
        names: what to call the methods; after their files by default.
        form: format of the files; the dataset's usual one by default.
        truth_form: format of the ground truth; that of the others by default.

    Raises:
        DatasetError: a file cannot be used: the file, the line and the reason.
    """
    if dataset not in PROTOCOLS:
        raise ResultError(f'there is no dataset {dataset!r}; known are {", ".join(PROTOCOLS)}')
    if names and len(names) != len(predictions):
        raise ResultError(
            f'{len(names)} names are given for {len(predictions)} files of predictions'
        )
    protocol = PROTOCOLS[dataset]
    truth = read_results(ground_truth, protocol, truth_form or form)
    methods = []
    for name, path in zip(names or method_names(predictions), predictions, strict=True):
        joints = align(read_results(path, protocol, form), truth)
        methods.append(Method(name, path, joints, Scores(joint_errors(joints, truth.joints))))
    return Evaluation(protocol, truth, tuple(methods))


def method_names(paths: Sequence[Path]) -> list[str]:
    """Name methods after their files, after folder and file where that is not enough."""
    stems = Counter(path.stem for path in paths)
    names = [
        path.stem if stems[path.stem] == 1 else f'{path.resolve().parent.name}/{path.stem}'
        for path in paths
    ]
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f'{name} ({seen[name]})'
    return names
