"""Error of a hand model on whole synthetic frames, with the pipeline's own localisation.

    .venv/bin/python benchmarks/synthetic_hands.py --model hand_lite --count 500

Frames are 640 x 480 as `v2v-pose synth` writes them, of hands, sensors and surroundings drawn with
a seed that training does not use.  The nearest hand-like thing is searched for in each; a hand
that is found elsewhere counts with its error.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.export import CAMERA
from v2v_pose_ros.synthesis.scenes import HandScenes

SEED = 77_000_077


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', action='append', help='default: hand_lite')
    parser.add_argument('--count', type=int, default=500)
    parser.add_argument('--passes', type=int, default=2)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    estimator = PoseEstimator.load(
        options.model or ['hand_lite'], passes=options.passes, min_confidence=0.0
    )
    scenes = HandScenes()
    errors = np.full((options.count, len(HAND)), np.nan)
    confidences = np.zeros(options.count)
    for index in range(options.count):
        scenes.generator.manual_seed(SEED + index)
        depth, joints = scenes.frame(CAMERA)
        for skeleton in estimator(depth, CAMERA).skeletons:
            errors[index] = 1000 * np.linalg.norm(skeleton.positions - joints, axis=1)
            confidences[index] = skeleton.confidence
    seen = ~np.isnan(errors[:, 0])
    sure = seen & (confidences >= 0.5)
    report = {
        'frames': options.count,
        'mean_mm': round(float(np.nanmean(errors)), 2),
        'median_mm': round(float(np.nanmedian(errors)), 2),
        'joints_within_20mm': round(float((errors[seen] <= 20).mean()), 4),
        'confident_frames': round(float(sure.mean()), 4),
        'confident_mean_mm': round(float(errors[sure].mean()), 2),
        'hand_missed': round(float((np.nan_to_num(errors.min(axis=1), nan=1e9) > 50).mean()), 4),
        'per_joint_mm': dict(
            zip(HAND.names, errors[sure].mean(axis=0).round(1).tolist(), strict=True)
        ),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for key, value in report.items():
        print(f'{key}: {value}')


if __name__ == '__main__':
    main()
