"""The scene of the synthetic camera: a gesturing right hand in front of its owner, at any time.

Only the hand is rendered for every frame, in the window it covers; the person behind it stands
still and is rendered once.  Sensor noise comes from tiles drawn beforehand, so that a frame costs
a few milliseconds of one core.  Everything is metres in the optical frame (x right, y down, z
forward); 0 is no measurement.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import PoseSampler
from v2v_pose_ros.synthesis.hands.scenes import RAISED
from v2v_pose_ros.synthesis.motion import Motion
from v2v_pose_ros.synthesis.primitives import superquadric_faces, superquadrics
from v2v_pose_ros.synthesis.quick_sensor import Array, SensorNoise, SHADOW
from v2v_pose_ros.synthesis.rotations import rotation_about
from v2v_pose_ros.synthesis.scanlines import scan

NEAREST, FARTHEST = 0.37, 0.58  # metres: where the middle of the hand moves
_REACH = 0.125  # metres: no joint is farther from the middle of the hand
_MIDDLE = (0.005, 0.085, -0.012)  # of an open hand, metres in the hand frame
_TURN = math.radians(50)


class HandCameraScene:
    """Depth and true joints at any time; the same seed gives the same frames in any order."""

    def __init__(
        self, camera: Camera, seed: int = 0, noise: bool = True, background: bool = True
    ) -> None:
        """Draw the hand's shape and motion from the seed and render what stands still.

        Args:
            camera: size and intrinsics of the images.
            seed: decides shape, gestures, path and noise.
            noise: whether frames are as a sensor measures them, or exact.
            background: whether there is a person and a wall behind the hand, or nothing.
        """
        self.camera, self.seed = camera, seed
        generator = torch.Generator().manual_seed(seed)
        self._model = HandModel()
        self._faces = self._model.faces.numpy()
        self._shape = _draw_shape(self._model.components, generator)
        self._motion = Motion(PoseSampler(self._model, generator))
        self._phase = torch.rand(6, generator=generator).tolist()
        still = person(camera) if background else np.zeros((camera.height, camera.width), 'f4')
        self._noise = SensorNoise(camera, seed) if noise else None
        self._backgrounds = self._noise.views(still) if self._noise else [still]

    @torch.inference_mode()
    def frame(self, time: float) -> tuple[Array, Array]:
        """Return depth [rows, columns] and joints [21, 3] at a time in seconds from the start."""
        angles = self._motion(max(time, 0.0))
        mesh = self._model(self._shape, angles)
        rotation, position = self.placement(time, angles)
        vertices = mesh.vertices[0] @ rotation.T + position
        joints = (mesh.joints[0] @ rotation.T + position).numpy()
        rows, columns = self._window(vertices)
        hand = self._render(vertices, rows, columns)
        rng = np.random.default_rng([self.seed, round(max(time, 0.0) * 1e6)])
        depth = self._backgrounds[rng.integers(len(self._backgrounds))].copy()
        window = depth[rows, columns]
        if self._noise is None:
            np.copyto(window, hand, where=hand > 0)
        else:
            self._noise.blend(window, hand, rng)
        return depth, joints

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

    def _window(self, vertices: Tensor) -> tuple[slice, slice]:
        """Return the rows and columns that the hand covers, with room for its shadow."""
        camera = self.camera
        pixels = camera.project(vertices[vertices[:, 2] > 0.05].numpy())
        low, high = pixels.min(0), pixels.max(0)
        columns = slice(max(int(low[0]) - 2, 0), min(int(high[0]) + SHADOW, camera.width))
        rows = slice(max(int(low[1]) - 2, 0), min(int(high[1]) + 3, camera.height))
        return rows, columns

    def _render(self, vertices: Tensor, rows: slice, columns: slice) -> Array:
        camera = self.camera
        intrinsics = camera.fx, camera.fy, camera.cx - columns.start, camera.cy - rows.start
        size = rows.stop - rows.start, columns.stop - columns.start
        return scan(vertices.numpy(), self._faces, intrinsics, size)


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
