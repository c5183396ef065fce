"""The scene of the synthetic camera: a gesturing right hand in front of its owner, at any time."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import HandPoseSampler
from v2v_pose_ros.synthesis.hands.scenes import RAISED
from v2v_pose_ros.synthesis.live import LiveScene
from v2v_pose_ros.synthesis.poses import Motion
from v2v_pose_ros.synthesis.primitives import superquadric_faces, superquadrics
from v2v_pose_ros.synthesis.quick_sensor import Array
from v2v_pose_ros.synthesis.rotations import rotation_about
from v2v_pose_ros.synthesis.scanlines import scan

NEAREST, FARTHEST = 0.37, 0.58  # metres: where the middle of the hand moves
_REACH = 0.125  # metres: no joint is farther from the middle of the hand
_MIDDLE = (0.005, 0.085, -0.012)  # of an open hand, metres in the hand frame
_TURN = math.radians(50)


class HandCameraScene(LiveScene):
    """A right hand before its owner; frames have 21 joints."""

    def _draw(self, generator: torch.Generator) -> Tensor:
        self._model = HandModel()
        self._shape = _draw_shape(self._model.components, generator)
        self._motion = Motion(HandPoseSampler(self._model, generator))
        self._phase = torch.rand(6, generator=generator).tolist()
        return self._model.faces

    def _subject(self, time: float) -> tuple[Tensor, Tensor]:
        angles = self._motion(time)
        mesh = self._model(self._shape, angles)
        rotation, position = self.placement(time, angles)
        return mesh.vertices[0] @ rotation.T + position, mesh.joints[0] @ rotation.T + position

    def _still(self) -> Array:
        return person(self.camera)

    def placement(self, time: float, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hand's rotation [3, 3] and its wrist's position [3] at a time."""
        camera = self.camera

        def wave(axis: int, period: float) -> float:
            return math.sin(math.tau * (time / period + self._phase[axis]))

        # The path is narrower where the hand is close: it stays inside the image.
        z = NEAREST + (FARTHEST - NEAREST) * (wave(2, 8.3) + 1) / 2
        right = min(camera.cx, camera.width - 1 - camera.cx) / camera.fx * z - _REACH
        down = min(camera.cy, camera.height - 1 - camera.cy) / camera.fy * z - _REACH
        middle = torch.tensor([max(right, 0) * wave(0, 6.1), max(down, 0) * wave(1, 4.7), z])
        # The forearm comes from below and from behind the hand, as it does when somebody shows a
        # hand to a camera; it turns about its own axis, and the wrist bends on top of that.
        pitch = _TURN * (wave(3, 7.1) + 1) / 2
        turns = torch.tensor([pitch, _TURN * wave(4, 9.7), 0.7 * _TURN * wave(5, 5.3)])
        about_x, about_y, about_z = rotation_about(torch.eye(3), turns)
        raised = about_z @ about_x @ about_y @ RAISED
        rotation = raised @ _forearm_to_hand(angles)
        return rotation, middle - rotation @ torch.tensor(_MIDDLE)


def _forearm_to_hand(angles: Tensor) -> Tensor:
    """Return the rotation [3, 3] of the hand against the forearm for joint angles [1, 22]."""
    flexion, deviation = angles[0, :2]
    x_axis, _, z_axis = torch.eye(3)
    return rotation_about(z_axis, flexion) @ rotation_about(x_axis, -deviation)


def _draw_shape(components: int, generator: torch.Generator) -> HandShape:
    """Draw one adult hand, not far from the mean."""
    mean = HandShape.mean(1, components)
    return HandShape(
        0.7 * torch.randn(1, components, generator=generator),
        mean.scale * (1 + 0.03 * torch.randn(1, generator=generator)).clamp(0.94, 1.06),
        mean.lengths,
        mean.thickness,
        mean.sleeve,
    )


# Ellipsoids from one end to the other (metres), half-widths to the side and in depth, and how
# square they are (1 is round).  The person's right shoulder is on the image's left.
_PERSON = (
    ((0.12, -0.27, 1.02), (0.12, -0.03, 0.99), 0.075, 0.095, 1.0),  # head
    ((0.12, -0.08, 1.03), (0.12, 0.10, 1.05), 0.055, 0.055, 0.6),  # neck
    ((0.12, 0.03, 1.05), (0.12, 0.75, 1.05), 0.185, 0.115, 0.6),  # trunk
    ((-0.08, 0.11, 1.05), (0.32, 0.11, 1.05), 0.065, 0.075, 0.8),  # shoulders
    ((0.34, 0.08, 1.04), (0.38, 0.42, 1.06), 0.05, 0.055, 0.7),  # left upper arm
    ((-0.10, 0.08, 1.04), (-0.13, 0.40, 0.92), 0.05, 0.055, 0.7),  # right upper arm
)


def person(camera: Camera) -> Array:
    """Render the person behind the hand and the wall behind the person, [rows, columns]."""
    bodies = [_ellipsoid(*(row[:2]), *row[2:]) for row in _PERSON]
    count = bodies[0].shape[0]
    single = superquadric_faces()
    faces = torch.cat([single + k * count for k in range(len(bodies))])
    intrinsics = camera.fx, camera.fy, camera.cx, camera.cy
    size = camera.height, camera.width
    body = scan(torch.cat(bodies).numpy(), faces.numpy(), intrinsics, size)
    column = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    # The plane z = 1.75 + 0.25 x, along the ray x = column * z.
    wall = np.broadcast_to(1.75 / (1 - 0.25 * column), size)
    return np.asarray(np.where(body > 0, body, wall), np.float32)


def _ellipsoid(
    start: tuple[float, ...], end: tuple[float, ...], side: float, depth: float, square: float
) -> Tensor:
    """Return the vertices [V, 3] of an ellipsoid between two points."""
    a, b = torch.tensor(start), torch.tensor(end)
    along = (b - a) / (b - a).norm()
    # Any direction that is not along the body gives the sideways axis.
    helper = torch.tensor([0.0, 0.0, 1.0])
    across = torch.linalg.cross(helper, along)
    across = across / across.norm()
    axes = torch.stack([across, torch.linalg.cross(along, across), along], 1)
    size = torch.tensor([side, depth, float((b - a).norm()) / 2])
    return superquadrics(size, torch.tensor([square, 1.0])) @ axes.T + (a + b) / 2
