"""Error of a model on its synthetic benchmark, with the pipeline's own localisation.

    .venv/bin/python benchmarks/synthetic.py --model hand_lite
    .venv/bin/python benchmarks/synthetic.py --model body_lite

2,000 frames in named parts (see `benchmark.py` in `synthesis/hands` and `synthesis/people`).  The
likeliest subject is searched for in each; one that is found elsewhere counts with its error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from typing import Any

import numpy as np
from rich.progress import track

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.evaluation.metrics import body_parts
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.skeletons import BODY, Skeleton
from v2v_pose_ros.synthesis.hands import benchmark as hands
from v2v_pose_ros.synthesis.people import benchmark as people
from v2v_pose_ros.synthesis.sensors import FAMILIES

PARTS = {'hand': hands.PARTS, 'body': people.PARTS}
NEAR = {'hand': 20, 'body': 100}  # millimetres: the share of joints within is reported
VIEWS = {'front': 'everyday_front', 'top': 'everyday_top'}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', action='append', help='several make an ensemble')
    parser.add_argument('--refinement', help='a network that refines the reference point')
    parser.add_argument('--runtime', default='auto')
    parser.add_argument('--passes', type=int, default=2)
    parser.add_argument('--no-flip-test', dest='flip_test', action='store_false')
    parser.add_argument('--true-centre', action='store_true', help='without localisation')
    parser.add_argument(
        '--part',
        action='append',
    )
    parser.add_argument('--every', type=int, default=1, help='use every n-th frame alone')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    estimator = PoseEstimator.load(
        options.model or ['hand_lite'],
        refinement=options.refinement,
        runtime=options.runtime,
        passes=options.passes,
        flip_test=options.flip_test,
        min_confidence=0.0,
    )
    skeleton = estimator.skeleton
    known = {part.name: part for part in PARTS[skeleton.name]}
    if unknown := set(options.part or ()) - set(known):
        parser.error(f'no part {", ".join(unknown)}; there are {", ".join(known)}')
    parts = [part for name, part in known.items() if not options.part or name in options.part]
    names: list[str] = []
    sensors: list[str] = []
    errors: list[Any] = []
    confidences: list[float] = []
    digest = hashlib.sha256()
    for part in parts:
        # Whole rounds of the sensors, so that each has its share of what is left.
        chosen = [i for i in range(part.frames) if i // len(FAMILIES) % options.every == 0]
        for index in track(chosen, part.name, transient=True):
            family, depth, joints = part.frame(index)
            digest.update(np.rint(depth * 1000).astype('<u2').tobytes())
            middle = bounding_box_middle(joints)
            start = middle if options.true_centre else None
            found = estimator(depth, part.camera, start).skeletons
            error = np.full(len(skeleton), np.nan)
            if found:
                error = 1000 * np.linalg.norm((found[0].positions - joints).astype(float), axis=1)
            names.append(part.name)
            sensors.append(family)
            errors.append(error)
            confidences.append(found[0].confidence if found else 0.0)
    result = report(
        skeleton, np.array(names), np.array(sensors), np.array(errors), np.array(confidences)
    )
    result['frames_sha256'] = digest.hexdigest()
    print(json.dumps(result, indent=2) if options.json else table(result))


def report(
    skeleton: Skeleton, names: Any, sensors: Any, errors: Any, confidences: Any
) -> dict[str, Any]:
    """Return the figures of all frames, of every part, sensor and joint."""
    near = NEAR[skeleton.name]

    def some(chosen: Any) -> dict[str, float]:
        return figures(errors[chosen], confidences[chosen], near)

    result = {
        'all': figures(errors, confidences, near),
        'parts': {name: some(names == name) for name in dict.fromkeys(names.tolist())},
        'sensors': {name: some(sensors == name) for name in FAMILIES},
        'joints_mm': dict(
            zip(skeleton.names, np.nanmean(errors, axis=0).round(1).tolist(), strict=True)
        ),
    }
    if skeleton == BODY:
        views = {view: errors[names == part] for view, part in VIEWS.items()}
        result['map_at_10cm'] = {
            view: average_precision(chosen) for view, chosen in views.items() if len(chosen)
        }
    return result


def average_precision(errors: Any) -> dict[str, float]:
    """Return ITOP's rows in percent; people who were not found count as wrong."""
    within = 100 * (errors <= 100).mean(axis=0)
    rows = {part: round(float(within[own].mean()), 1) for part, own in body_parts(BODY).items()}
    return {**rows, 'mean': round(float(within.mean()), 1)}


def figures(errors: Any, confidences: Any, near: int) -> dict[str, float]:
    """Return the figures of some frames; errors [N, J] in mm, NaN where nothing was found."""
    seen = ~np.isnan(errors[:, 0])
    sure = seen & (confidences >= 0.5)
    return {
        'frames': len(errors),
        'found': round(float(seen.mean()), 4),
        'mean_mm': round(float(errors[seen].mean()), 2),
        'median_mm': round(float(np.median(errors[seen])), 2),
        f'within_{near}mm': round(float((errors[seen] <= near).mean()), 4),
        'confident': round(float(sure.mean()), 4),
        'confident_mean_mm': round(float(errors[sure].mean()), 2) if sure.any() else float('nan'),
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = {'all': result['all'], **result['parts'], **result['sensors']}
    keys = tuple(result['all'])
    lines = [' ' * 24 + ''.join(f'{key:>20}' for key in keys)]
    lines += [
        f'{name:24}' + ''.join(f'{row[key]:20}' for key in keys) for name, row in rows.items()
    ]
    joints = '  '.join(f'{name} {value}' for name, value in result['joints_mm'].items())
    for view, precision in result.get('map_at_10cm', {}).items():
        rows_of = '  '.join(f'{name} {value}' for name, value in precision.items())
        lines.append(f'mAP at 10 cm, {view}: {rows_of}')
    return '\n'.join([*lines, '', joints, f'frames: sha256 {result["frames_sha256"]}'])


if __name__ == '__main__':
    main()
