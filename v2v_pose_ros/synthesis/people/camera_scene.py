"""The scene of the synthetic camera: a person who moves about in a room, at any time.

As `hands.camera_scene`: only the person is rendered for every frame, the room once.  Everything is
metres in the optical frame (x right, y down, z forward); 0 is no measurement.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.motion import Motion
from v2v_pose_ros.synthesis.people.model import BodyModel
from v2v_pose_ros.synthesis.people.poses import BodyPoseSampler
from v2v_pose_ros.synthesis.people.scenes import View
from v2v_pose_ros.synthesis.people.surroundings import Planes
from v2v_pose_ros.synthesis.quick_sensor import Array, SensorNoise, SHADOW
from v2v_pose_ros.synthesis.rotations import rotation_about
from v2v_pose_ros.synthesis.scanlines import scan

_HEIGHT = 1.1  # metres of the camera above the floor
_TILT = math.radians(5)  # down
_WALL = 4.6  # metres behind the camera's front
NEAREST, FARTHEST = 2.5, 3.3  # metres: where the person walks to and fro
_ASIDE = 0.35
_EDGE = 0.08  # metres between neighbouring pixels that make an edge in a room
_TURN = math.radians(50)
_SECONDS = 1.8  # from one pose to the next
_LEGS = ('standing', 'standing_wide', 'one_leg_free', 'walking', 'stepping', 'half_squatting')


class BodyCameraScene:
    """Depth and true joints at any time; the same seed gives the same frames in any order."""

    def __init__(
        self, camera: Camera, seed: int = 0, noise: bool = True, background: bool = True
    ) -> None:
        """Draw the person and the motion from the seed and render what stands still.

        Args:
            camera: size and intrinsics of the images.
            seed: decides shape, gestures, path and noise.
            noise: whether frames are as a sensor measures them, or exact.
            background: whether there is a room, or nothing.
        """
        self.camera, self.seed = camera, seed
        generator = torch.Generator().manual_seed(seed)
        self._model = BodyModel()
        self._faces = self._model.faces.numpy()
        self._shape = self._model.shapes(Draws(generator), 1)
        self._motion = Motion(BodyPoseSampler(self._model, generator, legs=_LEGS), _SECONDS)
        self._phase = torch.rand(3, generator=generator).tolist()
        x_axis, self._up, _ = torch.eye(3)
        tilt = rotation_about(x_axis, torch.tensor(_TILT))
        self._view = View(
            (tilt @ torch.diag(torch.tensor([1.0, -1.0, -1.0])))[None],
            torch.tensor([[0.0, _HEIGHT, 0.0]]),
        )
        still = self._room() if background else np.zeros((camera.height, camera.width), 'f4')
        self._noise = SensorNoise(camera, seed, edge_step=_EDGE) if noise else None
        self._backgrounds = self._noise.views(still) if self._noise else [still]

    @torch.inference_mode()
    def frame(self, time: float) -> tuple[Array, Array]:
        """Return depth [rows, columns] and joints [15, 3] at a time in seconds from the start."""
        vertices, joints = self._person(max(time, 0.0))
        rows, columns = self._window(vertices)
        camera = self.camera
        intrinsics = camera.fx, camera.fy, camera.cx - columns.start, camera.cy - rows.start
        size = rows.stop - rows.start, columns.stop - columns.start
        person = scan(vertices.numpy(), self._faces, intrinsics, size)
        rng = np.random.default_rng([self.seed, round(max(time, 0.0) * 1e6)])
        depth = self._backgrounds[rng.integers(len(self._backgrounds))].copy()
        window = depth[rows, columns]
        if self._noise is None:
            np.copyto(window, person, where=(person > 0) & ((window == 0) | (person < window)))
        else:
            self._noise.blend(window, person, rng)
        return depth, joints.numpy()

    def _person(self, time: float) -> tuple[Tensor, Tensor]:
        """Return vertices [V, 3] and joints [15, 3] at a time, optical frame."""

        def wave(axis: int, period: float) -> float:
            return math.sin(math.tau * (time / period + self._phase[axis]))

        mesh = self._model(self._shape, self._motion(time))
        turn = rotation_about(self._up, torch.tensor(_TURN * wave(0, 11.3)))
        vertices, joints = mesh.vertices @ turn.T, mesh.joints @ turn.T
        away = NEAREST + (FARTHEST - NEAREST) * (wave(1, 9.1) + 1) / 2
        floor = float(vertices[..., 1].min())
        place = torch.tensor([_ASIDE * wave(2, 7.7), -floor, -away])
        return self._view(vertices + place)[0], self._view(joints + place)[0]

    def _window(self, vertices: Tensor) -> tuple[slice, slice]:
        """Return the rows and columns that the person covers, with room for their shadow."""
        camera = self.camera
        pixels = camera.project(vertices.numpy())
        low, high = pixels.min(0), pixels.max(0)
        columns = slice(max(int(low[0]) - 2, 0), min(int(high[0]) + SHADOW, camera.width))
        rows = slice(max(int(low[1]) - 2, 0), min(int(high[1]) + 3, camera.height))
        return rows, columns

    def _room(self) -> Array:
        """Render floor and walls, [rows, columns]."""
        camera = self.camera
        normals = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.3]]])
        normals = normals / normals.norm(dim=-1, keepdim=True)
        planes = Planes(normals, torch.tensor([[0.0, -_WALL, -2.6]]))
        intrinsics = torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]])
        empty = torch.zeros(1, camera.height, camera.width)
        seen = planes.seen_from(self._view.rotation, self._view.position)
        return seen.behind(empty, intrinsics)[0].numpy()
