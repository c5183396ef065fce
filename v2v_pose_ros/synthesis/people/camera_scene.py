"""The scene of the synthetic camera: a person who moves about in a room, at any time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.live import LiveScene
from v2v_pose_ros.synthesis.people.model import BodyModel
from v2v_pose_ros.synthesis.people.poses import BodyPoseSampler
from v2v_pose_ros.synthesis.people.scenes import View
from v2v_pose_ros.synthesis.people.surroundings import Planes
from v2v_pose_ros.synthesis.poses import Motion
from v2v_pose_ros.synthesis.quick_sensor import Array
from v2v_pose_ros.synthesis.rotations import rotation_about

_HEIGHT = 1.1  # metres of the camera above the floor
_TILT = math.radians(5)  # down
_WALL = 4.6  # metres behind the camera's front
NEAREST, FARTHEST = 2.5, 3.3  # metres: where the person walks to and fro
_ASIDE = 0.35
_TURN = math.radians(50)
_SECONDS = 1.8  # from one pose to the next
_LEGS = ('standing', 'standing_wide', 'one_leg_free', 'walking', 'stepping', 'half_squatting')


class BodyCameraScene(LiveScene):
    """A person in a room; frames have 15 joints."""

    edge_step = 0.08

    def _draw(self, generator: torch.Generator) -> Tensor:
        self._model = BodyModel()
        self._shape = self._model.shapes(Draws(generator), 1)
        self._motion = Motion(BodyPoseSampler(self._model, generator, legs=_LEGS), _SECONDS)
        self._phase = torch.rand(3, generator=generator).tolist()
        x_axis, self._up, _ = torch.eye(3)
        tilt = rotation_about(x_axis, torch.tensor(_TILT))
        self._view = View(
            (tilt @ torch.diag(torch.tensor([1.0, -1.0, -1.0])))[None],
            torch.tensor([[0.0, _HEIGHT, 0.0]]),
        )
        return self._model.faces

    def _subject(self, time: float) -> tuple[Tensor, Tensor]:
        def wave(axis: int, period: float) -> float:
            return math.sin(math.tau * (time / period + self._phase[axis]))

        mesh = self._model(self._shape, self._motion(time))
        turn = rotation_about(self._up, torch.tensor(_TURN * wave(0, 11.3)))
        vertices, joints = mesh.vertices @ turn.T, mesh.joints @ turn.T
        away = NEAREST + (FARTHEST - NEAREST) * (wave(1, 9.1) + 1) / 2
        floor = float(vertices[..., 1].min())
        place = torch.tensor([_ASIDE * wave(2, 7.7), -floor, -away])
        return self._view(vertices + place)[0], self._view(joints + place)[0]

    def _still(self) -> Array:
        camera = self.camera
        normals = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.3]]])
        normals = normals / normals.norm(dim=-1, keepdim=True)
        planes = Planes(normals, torch.tensor([[0.0, -_WALL, -2.6]]))
        intrinsics = torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]])
        empty = torch.zeros(1, camera.height, camera.width)
        seen = planes.seen_from(self._view.rotation, self._view.position)
        return seen.behind(empty, intrinsics)[0].numpy()
