"""Labelled depth windows of people in rooms, drawn in batches on any device."""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.synthesis.people import surroundings
from v2v_pose_ros.synthesis.people.model import BodyModel
from v2v_pose_ros.synthesis.people.poses import ARMS, BodyPoseSampler, LEGS
from v2v_pose_ros.synthesis.primitives import superquadric_faces
from v2v_pose_ros.synthesis.rasterizer import rasterize
from v2v_pose_ros.synthesis.rotations import rotation_about
from v2v_pose_ros.synthesis.scenes import CommonOptions, intrinsics_of, SubjectScenes
from v2v_pose_ros.synthesis.windows import cut_by_border, middle_of, Scene

# The room's frame (y up, z towards the camera) in the optical frame of a level camera.
_LEVEL = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
_UP = torch.tensor([0.0, 1.0, 0.0])
_WINDOW = 2.6  # metres across at the person
_FOCAL = (250.0, 600.0)  # pixels
_NEAREST = 0.5  # metres
_BOXES = 4
_OBJECTS = 5 + _BOXES
_ATTEMPTS = 24  # cameras drawn for one image until it shows what it is to show
_APART = 0.3  # metres between two people's joints, seen from above


@dataclass(frozen=True)
class PeopleOptions(CommonOptions):
    """What there is beside the person, as shares of the scenes, and how it is seen.

    `distance` is along the floor, seen from the front.  Half as often as behind the person there
    is a wall at each side.

    Attributes:
        top: seen from above, as ITOP's second camera does.
        facing: people who face the camera, more or less; the others stand any way round.
        turn: the way round in degrees, 0 facing the camera, give or take; any by default.
        floor: a floor.
        furniture: boxes on the floor, each of four.
        table: a table or desk in front of the person.
        before: something between camera and legs.
        others: another person.
        arms: what arms do, some of `poses.ARMS`; anything by default.
        legs: what legs do, some of `poses.LEGS`; anything by default.
    """

    distance: tuple[float, float] = (1.3, 4.5)
    held: float = 0.12
    cut: float = 0.15
    astray: float = 0.05
    top: float = 0.2
    facing: float = 0.5
    turn: float | None = None
    floor: float = 0.7
    furniture: float = 0.35
    table: float = 0.12
    before: float = 0.1
    others: float = 0.15
    arms: tuple[str, ...] = ()
    legs: tuple[str, ...] = ()

    nearest = 0.5
    choices = {'arms': ARMS, 'legs': LEGS}  # noqa: RUF012 - a class variable
    no_shares = ('turn',)


@dataclass(frozen=True)
class View:
    """Where B cameras are: rotation [B, 3, 3] from room to optical frame, position [B, 3]."""

    rotation: Tensor
    position: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Return points [B, N, 3] of the room in the optical frame."""
        return (points - self.position[:, None]) @ self.rotation.transpose(1, 2)


@dataclass(frozen=True)
class _Rooms:
    """B rooms: vertices [B, V, 3] and joints [B, 15, 3] in the room's frame, and the planes."""

    vertices: Tensor
    joints: Tensor
    planes: surroundings.Planes


class PeopleScenes(SubjectScenes):
    """Draws scenes of people; equal seeds on equal devices give equal scenes."""

    options: PeopleOptions

    edge_step = 0.06

    def __init__(
        self,
        device: torch.device | str = 'cpu',
        seed: int = 0,
        options: PeopleOptions | None = None,
        window: int = 160,
    ) -> None:
        """Create the generator of windows of S x S pixels."""
        self.model = BodyModel(device)
        super().__init__(self.model.device, seed, options or PeopleOptions(), window)
        self.poses = BodyPoseSampler(
            self.model, self.generator, self.options.arms, self.options.legs
        )
        self._others = BodyPoseSampler(self.model, self.generator)
        people, size = self.model.faces, int(self.model.faces.max()) + 1
        box = superquadric_faces(self.device)
        boxes = [box + 2 * size + k * (int(box.max()) + 1) for k in range(_OBJECTS)]
        self._faces = torch.cat([people, people + size, *boxes])

    def sample(self, batch: int) -> Scene:
        """See the base class."""
        place, view = self._standpoints(batch)
        rooms = self._rooms(place)
        joints = view(rooms.joints)
        astray = self.draws.chance(self.options.astray, batch)
        away = self.draws.unit(batch) * self.draws.uniform(batch, 1, low=1.2, high=2.4)
        middle = middle_of(joints)
        looked_at = middle + astray[:, None] * away
        intrinsics = self._windows(looked_at, _FOCAL, _WINDOW, _NEAREST)
        depth = self._render(rooms, view, intrinsics, (self.window, self.window))
        depth = cut_by_border(self.draws, depth, self.options.cut)
        return Scene(depth, intrinsics, joints, astray)

    def frame(self, camera: Camera) -> tuple[FloatArray, FloatArray]:
        """See the base class."""
        place, view = self._standpoints(1)
        rooms = self._rooms(place)
        intrinsics = intrinsics_of(camera, self.device)
        cut = bool(self.draws.chance(self.options.cut, 1))
        from_above = bool(view.rotation[0, 2, 1] < -0.75)
        best, best_score = view, -1.0
        for _ in range(_ATTEMPTS):
            seen = self._share_seen(view(rooms.joints)[0], camera)
            score = -abs(seen - 0.55) + 1 if cut else seen
            if score > best_score:
                best, best_score = view, score
            if score == 1 or (cut and score > 0.9):
                break
            view = self._views(place, torch.tensor([from_above], device=self.device))
        size = camera.height, camera.width
        depth = self._render(rooms, best, intrinsics, size)
        return depth[0].cpu().numpy(), best(rooms.joints)[0].cpu().numpy()

    def poses_in_view(self, batch: int) -> Tensor:
        """Draw the joints [B, 15, 3] of people alone, in metres, optical frame."""
        place, view = self._standpoints(batch)
        _, joints = self._person(self.poses.sample(batch), place, self._turns(place))
        return view(joints)

    @staticmethod
    def _share_seen(joints: Tensor, camera: Camera) -> float:
        """Return the share of joints [15, 3] within an image, 3 % of its width from the border."""
        z = joints[:, 2].clamp(min=0.05)
        u = joints[:, 0] / z * camera.fx + camera.cx
        v = joints[:, 1] / z * camera.fy + camera.cy
        margin = 0.03 * camera.width
        inside = (u > margin) & (u < camera.width - margin) & (joints[:, 2] > 0.4)
        inside &= (v > margin) & (v < camera.height - margin)
        return float(inside.float().mean())

    def _standpoints(self, batch: int) -> tuple[Tensor, View]:
        """Draw where people stand in their rooms [B, 3], the camera above the origin."""
        top = self.draws.chance(self.options.top, batch)
        low, high = self.options.distance
        far = low * (high / low) ** self.draws.uniform(batch)
        near = self.draws.uniform(batch, high=1.4)
        bearing = self.draws.uniform(batch, low=-0.5, high=0.5)
        bearing = torch.where(top, math.pi * self.draws.uniform(batch, low=-1.0), bearing)
        away = torch.where(top, near, far)
        place = torch.stack(
            [away * bearing.sin(), torch.zeros_like(away), -away * bearing.cos()], 1
        )
        return place, self._views(place, top)

    def _views(self, place: Tensor, top: Tensor) -> View:
        """Draw cameras that look towards people at place [B, 3]: from above, or from the front.

        Cameras stand on tripods, shelves and robots, or hang under the ceiling.
        """
        batch, draws = len(place), self.draws
        stand, robot = draws.uniform(batch, low=0.9, high=1.8), draws.uniform(batch, low=0.2)
        shelf = draws.uniform(batch, low=1.8, high=2.6)
        kind = draws.uniform(batch)
        height = torch.where(kind < 0.6, stand, torch.where(kind < 0.88, robot, shelf))
        height = torch.where(top, draws.uniform(batch, low=2.3, high=3.4), height)
        away = place[:, [0, 2]].norm(dim=1)
        # Down to the middle of a standing person, and somewhat beside it.
        pitch = torch.atan2(height - 0.9, away) + math.radians(9) * draws.normal(batch)
        down = draws.uniform(batch, low=1.15, high=1.65)
        pitch = torch.where(top, torch.maximum(pitch, down).clamp(max=1.75), pitch)
        yaw = math.radians(12) * draws.normal(batch) * (~top).float()
        roll = math.radians(2.5) * draws.normal(batch)
        x, y, z = torch.eye(3, device=self.device)
        rotation = rotation_about(z, roll) @ rotation_about(x, pitch) @ rotation_about(y, yaw)
        position = torch.zeros_like(place)
        position[:, 1] = height
        return View(rotation @ _LEVEL.to(self.device), position)

    def _rooms(self, place: Tensor) -> _Rooms:
        """Put people at place [B, 3] into rooms with all that is in them."""
        options, draws = self.options, self.draws
        yaw = self._turns(place)
        vertices, joints = self._person(self.poses.sample(len(place)), place, yaw)
        other, allowed = self._other_person(joints, place)
        things = [
            self._where(1.0, *surroundings.seat(draws, joints, yaw)),
            self._where(0.5, *surroundings.back_rest(draws, joints, yaw)),
            self._where(options.table, *surroundings.table(draws, joints, yaw)),
            *(
                self._where(options.furniture, *surroundings.furniture(draws, joints))
                for _ in range(_BOXES)
            ),
            self._where(options.before, *surroundings.before(draws, joints)),
            self._where(options.held, *surroundings.held(draws, joints)),
        ]
        everything = [vertices, self._where(options.others, other, allowed), *things]
        planes = surroundings.room(draws, place, options.floor, options.wall)
        return _Rooms(torch.cat(everything, 1), joints, planes)

    def _turns(self, place: Tensor) -> Tensor:
        """Draw which way round people at place [B, 3] stand, [B] radians; 0 is to the camera."""
        batch = len(place)
        towards = torch.atan2(-place[:, 0], -place[:, 2])
        if self.options.turn is not None:
            spread = math.radians(15) * self.draws.normal(batch)
            return towards + math.radians(self.options.turn) + spread
        any_way = self.draws.uniform(batch, low=-math.pi, high=math.pi)
        facing = self.draws.chance(self.options.facing, batch)
        return towards + torch.where(facing, math.radians(30) * self.draws.normal(batch), any_way)

    def _person(self, angles: Tensor, place: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
        """Stand people on the floor at place [B, 3], turned by yaw [B]."""
        mesh = self.model(self.model.shapes(self.draws, len(angles)), angles)
        turn = rotation_about(_UP.to(self.device), yaw).transpose(1, 2)
        vertices, joints = mesh.vertices @ turn, mesh.joints @ turn
        shift = place - vertices.amin(1) * vertices.new_tensor([0.0, 1.0, 0.0])
        return vertices + shift[:, None], joints + shift[:, None]

    def _other_person(self, joints: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return somebody else near by [B, V, 3], and where there is room for them."""
        batch, draws = len(place), self.draws
        bearing = draws.uniform(batch, high=math.tau)
        away = draws.uniform(batch, low=0.4, high=1.6)
        offset = torch.stack([bearing.sin(), torch.zeros_like(away), bearing.cos()], 1)
        yaw = draws.uniform(batch, low=-math.pi, high=math.pi)
        other = place + away[:, None] * offset
        vertices, own = self._person(self._others.draw(batch), other, yaw)
        gap = torch.cdist(own[..., [0, 2]], joints[..., [0, 2]]).amin((1, 2))
        return vertices, gap > _APART

    def _render(
        self, rooms: _Rooms, view: View, intrinsics: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return depth [B, rows, columns] as a sensor measures it."""
        depth = rasterize(view(rooms.vertices), self._faces, intrinsics, size)
        depth = rooms.planes.seen_from(view.rotation, view.position).behind(depth, intrinsics)
        return self._measured(depth, intrinsics)
