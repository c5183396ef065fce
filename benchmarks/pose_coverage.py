"""How much of what real hands do the pose sampler draws: distances of real poses to sampled ones.

    .venv/bin/python benchmarks/pose_coverage.py test_groundtruth_label.txt

For every pose of NYU's test set (pixels and millimetres, 14 joints a line) the nearest of 50,000
sampled hands is searched for, after the similarity alignment that brings the two closest (turn,
shift and scale).  Joints that both define are compared: fingertips and PIPs, the thumb's tip, IP
and MCP, and the wrist, which is the middle of NYU's two.  Candidates come from the distances
between joints, which no alignment changes; the best of them are aligned.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.evaluation.conventions import PROTOCOLS
from v2v_pose_ros.evaluation.results import read_results
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.hands.scenes import HandScenes

_OURS = HAND.indices(
    [
        *(
            f'{finger}_{part}'
            for finger in ('pinky', 'ring', 'middle', 'index')
            for part in ('tip', 'pip')
        ),
        'thumb_tip',
        'thumb_dip',
        'thumb_pip',
        'wrist',
    ]
)
_CANDIDATES = 100
_CHUNK = 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('poses', type=Path)
    parser.add_argument('--samples', type=int, default=50_000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    real = real_poses(options.poses)
    sampled = sampled_poses(options.samples, options.seed)
    distance = nearest(real, sampled)
    report = {
        'real_poses': len(real),
        'sampled_poses': len(sampled),
        'mean_mm': round(float(distance.mean()), 2),
        **{
            f'percentile_{q}_mm': round(float(np.percentile(distance, q)), 2)
            for q in (50, 75, 90, 95, 99)
        },
        'within_10mm': round(float((distance <= 10).float().mean()), 4),
        'within_20mm': round(float((distance <= 20).float().mean()), 4),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for key, value in report.items():
        print(f'{key}: {value}')


def real_poses(path: Path) -> Tensor:
    """Return NYU's poses [N, 12, 3] in millimetres as right hands."""
    positions = torch.from_numpy(read_results(path, PROTOCOLS['nyu']).joints).float() * 1000
    wrist = positions[:, 11:13].mean(1, keepdim=True)
    return torch.cat([positions[:, :11], wrist], 1)


def sampled_poses(count: int, seed: int) -> Tensor:
    """Return poses [N, 12, 3] of the scene generator in millimetres."""
    scenes = HandScenes(seed=seed)
    batches = [
        scenes.model(scenes.shapes(size), scenes.poses.sample(size)).joints
        for size in [_CHUNK] * (count // _CHUNK) + [count % _CHUNK] * (count % _CHUNK > 0)
    ]
    return torch.cat(batches)[:, _OURS] * 1000


def nearest(real: Tensor, sampled: Tensor) -> Tensor:
    """Return the mean joint distance [N] of each real pose to the sampled one that fits best."""
    known = _shape(sampled)
    square = known.square().sum(1)
    best = []
    for poses in real.split(_CHUNK):
        shape = _shape(poses)
        candidates = (square - 2 * shape @ known.T).topk(_CANDIDATES, largest=False).indices
        best.append(_aligned_distance(poses, sampled[candidates]).amin(1))
    return torch.cat(best)


def _shape(poses: Tensor) -> Tensor:
    """Return the distances between joints [N, J (J - 1) / 2], relative to the pose's size."""
    rows, columns = torch.triu_indices(poses.shape[1], poses.shape[1], 1)
    distances = torch.cdist(poses, poses)[:, rows, columns]
    return distances / distances.square().mean(1, keepdim=True).sqrt()


def _aligned_distance(real: Tensor, sampled: Tensor) -> Tensor:
    """Return mean distances [N, K] of poses [N, J, 3] to [N, K, J, 3] once aligned (Umeyama)."""
    y = real - real.mean(1, keepdim=True)
    x = sampled - sampled.mean(2, keepdim=True)
    u, s, vt = torch.linalg.svd(torch.einsum('nji,nkjl->nkil', y, x))
    sign = torch.ones_like(s)
    sign[..., 2] = torch.linalg.det(u) * torch.linalg.det(vt)
    turn = (u * sign[..., None, :]) @ vt
    scale = (s * sign).sum(-1) / x.square().sum((-1, -2))
    moved = scale[..., None, None] * (x @ turn.transpose(-1, -2))
    return (moved - y[:, None]).norm(dim=-1).mean(-1)


if __name__ == '__main__':
    main()
