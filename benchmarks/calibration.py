"""How often joints are in their stated 90 % regions, and what makes that 90 %.

    .venv/bin/python benchmarks/calibration.py --model hand_lite --write --real FOLDER

Draws frames like those of the synthetic benchmark with seeds of its own, compares the model's
covariances with its errors on one half, fits a calibration (see `calibration.py`) and reports the
other half, before and after.  --write puts the calibration into the model file, whose weights stay
what they are.  FOLDER holds marked real frames of hands (see real_fingertips.py): a check alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from v2v_pose_ros.calibration import (
    Calibration,
    fit_calibration,
    QUANTILE_90,
    squared_distances,
)
from v2v_pose_ros.camera import Camera
from v2v_pose_ros.defaults import MIN_CONFIDENCE
from v2v_pose_ros.estimator import PoseEstimator, SkeletonEstimate
from v2v_pose_ros.frames import read_depth_png
from v2v_pose_ros.models import load_model, Model, replace_info
from v2v_pose_ros.runtimes import make_runtime
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.hands import benchmark as hands
from v2v_pose_ros.synthesis.people import benchmark as people
from v2v_pose_ros.synthesis.scenes import SubjectScenes
from v2v_pose_ros.synthesis.sensors import FAMILIES

SEED = 55_000_055  # neither training's nor the benchmark's
PARTS = {'hand': hands.PARTS, 'body': people.PARTS}
FLOORS = np.arange(0.0, 0.013, 0.002)  # of the cube; up to 3 mm for a hand
HIDDEN = 0.1  # of the cube: what is measured so far before a joint is not the joint's own surface
LABEL = 0.005  # metres along an axis: what marks on real frames are good to


@dataclass(frozen=True)
class Sample:
    """N hands that were found: what is known of their J joints.

    Attributes:
        errors: [N, J, 3] metres, found less true.
        covariances: [N, J, 3, 3] square metres, not calibrated.
        confidences: [N, J].
        hidden: [N, J] whether something is before the joint.
        sensors: [N] the kind of sensor.
    """

    errors: NDArray[Any]
    covariances: NDArray[Any]
    confidences: NDArray[Any]
    hidden: NDArray[Any]
    sensors: NDArray[Any]

    def part(self, chosen: Any) -> Sample:
        """Return some of the hands."""
        return Sample(*(getattr(self, name)[chosen] for name in vars(self)))


def main() -> None:
    """Measure, fit, report and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='hand_lite')
    parser.add_argument('--frames', type=int, default=1500)
    parser.add_argument('--runtime', default='auto')
    parser.add_argument('--write', action='store_true', help='put the fit into the model file')
    parser.add_argument('--real', type=Path, metavar='FOLDER', help='marked real frames')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    model = load_model(options.model)
    plain = Model(model.network, replace(model.info, calibration={}), model.path)
    estimator = PoseEstimator([plain], [make_runtime(plain, options.runtime, 'auto')])
    names = estimator.skeleton.names
    sample = collect(estimator, options.frames)
    half = np.random.default_rng(SEED).permutation(len(sample.errors)) % 2 == 0
    fitted, rest = sample.part(half), sample.part(~half)
    floors = (estimator.cube_size * FLOORS).tolist()
    calibration = fit_calibration(fitted.errors, fitted.covariances, fitted.confidences, floors)
    report: dict[str, Any] = {
        'subjects': len(sample.errors),
        'floor_mm': 1000 * calibration.floor,
        'doubt': calibration.doubt,
        'scales': dict(zip(names, calibration.scales, strict=True)),
        'before': coverage(rest, names, None),
        'after': coverage(rest, names, calibration),
    }
    if options.real:
        report['real'] = real_coverage(estimator, options.real, calibration)
    if options.write:
        replace_info(model.path, replace(model.info, calibration=asdict(calibration)))
    print(json.dumps(report, indent=2) if options.json else text(report))


def collect(estimator: PoseEstimator, frames: int) -> Sample:
    """Return what is found in frames of all parts of the benchmark, in turn."""
    rows = []
    hidden = HIDDEN * estimator.cube_size
    images = drawn(estimator.skeleton.name, frames)
    for family, camera, depth, joints in track(images, total=frames, transient=True):
        for found in estimator(depth, camera).skeletons:
            if found.confidence >= MIN_CONFIDENCE:
                rows.append(
                    (
                        (found.positions - joints).astype(float),
                        found.covariances.astype(float),
                        found.confidences,
                        in_front(depth, camera, joints) > hidden,
                        family,
                    )
                )
    return Sample(*(np.array(column) for column in zip(*rows, strict=True)))


def drawn(skeleton: str, frames: int) -> Iterator[tuple[str, Camera, Any, Any]]:
    """Yield sensor, camera, depth and joints; parts have the shares that the benchmark gives."""
    scenes: dict[tuple[str, str], SubjectScenes] = {}
    rounds = [part for part in PARTS[skeleton] for _ in range(part.frames // 100)]
    for index in range(frames):
        part = rounds[index % len(rounds)]
        family = FAMILIES[(index + index // len(rounds)) % len(FAMILIES)]
        key = part.name, family
        if key not in scenes:
            scenes[key] = part.scenes(family)
        scenes[key].generator.manual_seed(SEED + index)
        yield family, part.camera, *scenes[key].frame(part.camera)


def in_front(depth: Any, camera: Camera, joints: Any) -> NDArray[Any]:
    """Return how far before the joints [J] something is measured; NaN where nothing is."""
    pixels = np.rint(camera.project(joints)).astype(int)
    distances = np.full(len(joints), np.nan)
    for index, (column, row) in enumerate(pixels):
        near = depth[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        if (near > 0).any():
            distances[index] = joints[index, 2] - np.median(near[near > 0])
    return distances


def coverage(
    sample: Sample, names: Sequence[str], calibration: Calibration | None
) -> dict[str, Any]:
    """Return how many joints are in their 90 % regions, and how large these are."""
    covariances = sample.covariances
    if calibration is not None:
        covariances = calibration.apply(covariances, sample.confidences)
    inside = squared_distances(sample.errors, covariances) <= QUANTILE_90
    radius = 1000 * np.sqrt(QUANTILE_90 * np.trace(covariances, axis1=-2, axis2=-1) / 3)
    hidden = sample.hidden
    sure = sample.confidences >= np.median(sample.confidences)
    parts = {'all': np.ones_like(inside), 'in sight': ~hidden, 'hidden': hidden}
    parts.update({'surer half': sure, 'less sure half': ~sure})
    for family in FAMILIES:
        parts[family] = np.broadcast_to((sample.sensors == family)[:, None], inside.shape)
    for index, name in enumerate(names):
        parts[name] = np.broadcast_to(np.arange(len(names)) == index, inside.shape)
    return {
        name: {
            'inside': round(float(inside[part].mean()), 3),
            'radius_mm': round(float(np.median(radius[part])), 1),
            'confidence': round(float(sample.confidences[part].mean()), 2),
        }
        for name, part in parts.items()
    }


def real_coverage(
    estimator: PoseEstimator, folder: Path, calibration: Calibration
) -> dict[str, Any]:
    """Return the same for marked fingertips, whose marks lie on the skin and are uncertain."""
    camera = Camera.from_yaml(folder / 'camera.yaml')
    labels = json.loads((folder / 'fingertips.json').read_text())
    errors, covariances = [], []
    for name, tips in labels.items():
        found: tuple[SkeletonEstimate, ...]
        found = estimator(read_depth_png(folder / name, camera), camera).skeletons
        joints = HAND.indices(list(tips))
        truth = np.array([tip['position_m'] for tip in tips.values()])
        for skeleton in found:
            errors.append(skeleton.positions[joints] - truth)
            calibrated = calibration.apply(skeleton.covariances, skeleton.confidences)
            covariances.append(calibrated[joints])
    error, covariance = np.concatenate(errors), np.concatenate(covariances)
    common = error.mean(axis=0)
    marks = LABEL**2 * np.eye(3)
    return {
        'fingertips': len(error),
        'inside': share(error, covariance),
        'inside, marks uncertain': share(error, covariance + marks),
        'inside, marks uncertain, less the common offset': share(
            error - common, covariance + marks
        ),
    }


def share(errors: NDArray[Any], covariances: NDArray[Any]) -> float:
    """Return the share of errors [N, 3] in the 90 % regions."""
    return round(float((squared_distances(errors, covariances) <= QUANTILE_90).mean()), 3)


def text(report: dict[str, Any]) -> str:
    """Return the report as a table."""
    scales = report['scales'].values()
    lines = [
        f'{report["subjects"]} subjects, half of them for the fit: floor '
        f'{report["floor_mm"]:.1f} mm, doubt {report["doubt"]:g}, '
        f'scales {min(scales):.2f} to {max(scales):.2f}',
        f'{"":18}{"inside before":>15}{"after":>8}{"radius mm before":>18}{"after":>8}'
        f'{"confidence":>12}',
    ]
    for name, after in report['after'].items():
        before = report['before'][name]
        lines.append(
            f'{name:18}{before["inside"]:15.1%}{after["inside"]:8.1%}'
            f'{before["radius_mm"]:18.1f}{after["radius_mm"]:8.1f}{after["confidence"]:12.2f}'
        )
    real = report.get('real', {})
    lines += [f'real, {name}: {value}' for name, value in real.items()]
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
