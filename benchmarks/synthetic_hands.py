"""Error of a hand model on the synthetic benchmark, with the pipeline's own localisation.

    .venv/bin/python benchmarks/synthetic_hands.py --model hand_lite

2,000 frames in named parts (see `synthesis/hands/benchmark.py`).  The nearest hand-like
thing is searched for in each; a hand that is found elsewhere counts with its error.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from typing import Any

import numpy as np
from rich.progress import track

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.hands.benchmark import PARTS
from v2v_pose_ros.synthesis.sensors import FAMILIES


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', action='append', help='several make an ensemble')
    parser.add_argument('--refinement', help='a network that refines the reference point')
    parser.add_argument('--runtime', default='auto')
    parser.add_argument('--passes', type=int, default=2)
    parser.add_argument('--true-centre', action='store_true', help='without localisation')
    parser.add_argument('--part', action='append', choices=[part.name for part in PARTS])
    parser.add_argument('--every', type=int, default=1, help='use every n-th frame alone')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    estimator = PoseEstimator.load(
        options.model or ['hand_lite'],
        refinement=options.refinement,
        runtime=options.runtime,
        passes=options.passes,
        min_confidence=0.0,
    )
    parts = [part for part in PARTS if not options.part or part.name in options.part]
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
            error = np.full(len(HAND), np.nan)
            if found:
                error = 1000 * np.linalg.norm((found[0].positions - joints).astype(float), axis=1)
            names.append(part.name)
            sensors.append(family)
            errors.append(error)
            confidences.append(found[0].confidence if found else 0.0)
    result = report(np.array(names), np.array(sensors), np.array(errors), np.array(confidences))
    result['frames_sha256'] = digest.hexdigest()
    print(json.dumps(result, indent=2) if options.json else table(result))


def report(names: Any, sensors: Any, errors: Any, confidences: Any) -> dict[str, Any]:
    """Return the figures of all frames, of every part, sensor and joint."""
    return {
        'all': figures(errors, confidences),
        'parts': {
            name: figures(errors[names == name], confidences[names == name])
            for name in dict.fromkeys(names.tolist())
        },
        'sensors': {
            name: figures(errors[sensors == name], confidences[sensors == name])
            for name in FAMILIES
        },
        'joints_mm': dict(
            zip(HAND.names, np.nanmean(errors, axis=0).round(1).tolist(), strict=True)
        ),
    }


def figures(errors: Any, confidences: Any) -> dict[str, float]:
    """Return the figures of some frames; errors [N, 21] in mm, NaN where nothing was found."""
    seen = ~np.isnan(errors[:, 0])
    sure = confidences >= 0.5
    return {
        'frames': len(errors),
        'found': round(float(seen.mean()), 4),
        'mean_mm': round(float(errors[seen].mean()), 2),
        'median_mm': round(float(np.median(errors[seen])), 2),
        'joints_within_20mm': round(float((errors[seen] <= 20).mean()), 4),
        'confident': round(float(sure.mean()), 4),
        'confident_mean_mm': round(float(errors[sure].mean()), 2) if sure.any() else float('nan'),
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = {'all': result['all'], **result['parts'], **result['sensors']}
    keys = tuple(result['all'])
    lines = [' ' * 18 + ''.join(f'{key:>20}' for key in keys)]
    lines += [
        f'{name:18}' + ''.join(f'{row[key]:20}' for key in keys) for name, row in rows.items()
    ]
    joints = '  '.join(f'{name} {value}' for name, value in result['joints_mm'].items())
    return '\n'.join([*lines, '', joints, f'frames: sha256 {result["frames_sha256"]}'])


if __name__ == '__main__':
    main()
