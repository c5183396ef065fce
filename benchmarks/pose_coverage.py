"""How much of what real subjects do the samplers draw: distances of real poses to sampled ones.

    .venv/bin/python benchmarks/pose_coverage.py test_groundtruth_label.txt
    .venv/bin/python benchmarks/pose_coverage.py --subject body groundtruth_world.txt

For every pose of NYU's test set (pixels and millimetres, 14 joints a line) the nearest of 50,000
sampled hands is searched for, after the similarity alignment that brings the two closest (turn,
shift and scale).  Joints that both define are compared: fingertips and PIPs, the thumb's tip, IP
and MCP, and the wrist, which is the middle of NYU's two.

For every pose of ITOP's front test set (metres, y up, 15 joints a line) it is the nearest of
50,000 people as a camera in front of them sees them, after a shift and a turn about the vertical.
What is due to size and to where datasets put their joints is told apart: the same with people who
may be scaled to fit, and without the mean offset of every joint in the person's frame.

Candidates come from the distances between joints, which no alignment changes; the best of them are
aligned.
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
from v2v_pose_ros.skeletons import BODY, HAND
from v2v_pose_ros.synthesis.hands.scenes import HandScenes
from v2v_pose_ros.synthesis.people.scenes import PeopleOptions, PeopleScenes

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
    parser.add_argument('--subject', default='hand', choices=('hand', 'body'))
    parser.add_argument('--samples', type=int, default=50_000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    if options.subject == 'hand':
        real, near = real_hands(options.poses), (10, 20)
        distance = nearest(real, sampled_hands(options.samples, options.seed), similar=True)
        apart = {}
    else:
        real, near = real_people(options.poses), (60, 100)
        sampled = sampled_people(options.samples, options.seed)
        distance = nearest(real, sampled, similar=False)
        apart = told_apart(real, sampled)
    report = {
        'real_poses': len(real),
        'sampled_poses': options.samples,
        'mean_mm': round(float(distance.mean()), 2),
        **{
            f'percentile_{q}_mm': round(float(np.percentile(distance, q)), 2)
            for q in (50, 75, 90, 95, 99)
        },
        **{f'within_{mm}mm': round(float((distance <= mm).float().mean()), 4) for mm in near},
        **apart,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for key, value in report.items():
        print(f'{key}: {value}')


def real_hands(path: Path) -> Tensor:
    """Return NYU's poses [N, 12, 3] in millimetres as right hands."""
    positions = torch.from_numpy(read_results(path, PROTOCOLS['nyu']).joints).float() * 1000
    wrist = positions[:, 11:13].mean(1, keepdim=True)
    return torch.cat([positions[:, :11], wrist], 1)


def sampled_hands(count: int, seed: int) -> Tensor:
    """Return poses [N, 12, 3] of the scene generator in millimetres."""
    scenes = HandScenes(seed=seed)
    batches = [
        scenes.model(scenes.shapes(size), scenes.poses.sample(size)).joints
        for size in _batches(count)
    ]
    return torch.cat(batches)[:, _OURS] * 1000


def real_people(path: Path) -> Tensor:
    """Return ITOP's poses [N, 15, 3] in millimetres, x right, y up, z towards the camera."""
    positions = torch.from_numpy(np.loadtxt(path, dtype=np.float32)).view(-1, len(BODY), 3)
    return 1000 * positions * torch.tensor([1.0, 1.0, -1.0])


def sampled_people(count: int, seed: int) -> Tensor:
    """Return poses [N, 15, 3] of the scene generator in millimetres, in the same axes."""
    scenes = PeopleScenes(seed=seed, options=PeopleOptions(top=0.0))
    batches = [scenes.poses_in_view(size) for size in _batches(count)]
    return 1000 * torch.cat(batches) * torch.tensor([1.0, -1.0, -1.0])


def _batches(count: int) -> list[int]:
    return [_CHUNK] * (count // _CHUNK) + [count % _CHUNK] * (count % _CHUNK > 0)


def nearest(real: Tensor, sampled: Tensor, similar: bool) -> Tensor:
    """Return the mean joint distance [N] of each real pose to the sampled one that fits best.

    Args:
        real: [N, J, 3].
        sampled: [M, J, 3].
        similar: whether poses are turned every way and scaled to fit, or turned about y alone.
    """
    known = _shape(sampled, similar)
    square = known.square().sum(1)
    align = _similar_distance if similar else _turned_distance
    best = []
    for poses in real.split(_CHUNK):
        shape = _shape(poses, similar)
        candidates = (square - 2 * shape @ known.T).topk(_CANDIDATES, largest=False).indices
        best.append(align(poses, sampled[candidates]).amin(1))
    return torch.cat(best)


def told_apart(real: Tensor, sampled: Tensor) -> dict[str, object]:
    """Return what of the distance (mm) is due to size, and to where joints are put."""
    known = _shape(sampled, similar=True)
    square = known.square().sum(1)
    offsets, scales = [], []
    for poses in real.split(_CHUNK):
        shape = _shape(poses, similar=True)
        candidates = (square - 2 * shape @ known.T).topk(_CANDIDATES, largest=False).indices
        y, moved = _turned(poses, sampled[candidates])
        scale = (moved * y).sum((-1, -2)) / moved.square().sum((-1, -2))
        moved = scale[..., None, None] * moved
        best = (moved - y).norm(dim=-1).mean(-1).argmin(1)
        rows = torch.arange(len(best))
        offsets.append(_in_body_frame(y[:, 0], y[:, 0] - moved[rows, best]))
        scales.append(scale[rows, best])
    offset = torch.cat(offsets)
    centred = offset - offset.mean(0)
    joints = offset.norm(dim=-1).mean(0).tolist()
    return {
        'scaled_median_mm': round(float(offset.norm(dim=-1).mean(1).median()), 2),
        'scale_median': round(float(torch.cat(scales).median()), 3),
        'scaled_without_mean_offsets_median_mm': round(
            float(centred.norm(dim=-1).mean(1).median()), 2
        ),
        'scaled_joints_mm': dict(zip(BODY.names, (round(each) for each in joints), strict=True)),
    }


def _in_body_frame(poses: Tensor, vectors: Tensor) -> Tensor:
    """Return vectors [N, J, 3] in people's frames: to their left, up, to their front."""
    right, left = BODY.indices(['right_shoulder', 'left_shoulder'])
    across = (poses[:, left] - poses[:, right]) * poses.new_tensor([1.0, 0.0, 1.0])
    across = across / across.norm(dim=1, keepdim=True).clamp(min=1e-6)
    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(across)
    frame = torch.stack([across, up, torch.linalg.cross(across, up)], 1)
    return vectors @ frame.transpose(1, 2)


def _shape(poses: Tensor, similar: bool) -> Tensor:
    """Return the distances between joints [N, J (J - 1) / 2], relative to the size on request."""
    rows, columns = torch.triu_indices(poses.shape[1], poses.shape[1], 1)
    distances = torch.cdist(poses, poses)[:, rows, columns]
    if not similar:
        return distances
    return distances / distances.square().mean(1, keepdim=True).sqrt()


def _turned_distance(real: Tensor, sampled: Tensor) -> Tensor:
    """Return mean distances [N, K] of poses [N, J, 3] to [N, K, J, 3] turned best about y."""
    y, moved = _turned(real, sampled)
    return (moved - y).norm(dim=-1).mean(-1)


def _turned(real: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
    """Return poses [N, 1, J, 3] and [N, K, J, 3] about their means, turned best about y."""
    y = (real - real.mean(1, keepdim=True))[:, None]
    x = sampled - sampled.mean(2, keepdim=True)
    sine = (x[..., 2] * y[..., 0] - x[..., 0] * y[..., 2]).sum(-1)
    cosine = (x[..., 0] * y[..., 0] + x[..., 2] * y[..., 2]).sum(-1)
    angle = torch.atan2(sine, cosine)[..., None]
    turned_x = angle.cos() * x[..., 0] + angle.sin() * x[..., 2]
    turned_z = angle.cos() * x[..., 2] - angle.sin() * x[..., 0]
    return y, torch.stack([turned_x, x[..., 1], turned_z], -1)


def _similar_distance(real: Tensor, sampled: Tensor) -> Tensor:
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
