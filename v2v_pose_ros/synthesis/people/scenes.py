"""Labelled depth windows of people in rooms, drawn in batches on any device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
import math
from typing import ClassVar

import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.people import surroundings
from v2v_pose_ros.synthesis.people.model import BodyModel
from v2v_pose_ros.synthesis.people.poses import ARMS, BodyPoseSampler, LEGS
from v2v_pose_ros.synthesis.primitives import superquadric_faces
from v2v_pose_ros.synthesis.rasterizer import rasterize
from v2v_pose_ros.synthesis.rotations import rotation_about
from v2v_pose_ros.synthesis.sensors import FAMILIES, observe, SensorSettings
from v2v_pose_ros.synthesis.windows import cut_by_border, middle_of, Scene

# The room's frame (y up, z towards the camera) in the optical frame of a level camera.
_LEVEL = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
_UP = torch.tensor([0.0, 1.0, 0.0])
_WINDOW = 2.6  # metres across at the person
_EDGE_STEP = 0.06  # metres between neighbouring pixels that make an edge of a person
_OBJECTS = 7
_ATTEMPTS = 24  # cameras drawn for one image until it shows what it is to show
_APART = 0.3  # metres between two people's joints, seen from above


@dataclass(frozen=True)
class PeopleOptions:
    """What there is beside the person, as shares of the scenes, and how it is seen.

    Attributes:
        distance: nearest and farthest horizontal distance in metres, seen from the front.
        top: seen from above, as ITOP's second camera does.
        facing: people who face the camera, more or less; the others stand any way round.
        turn: the way round in degrees, 0 facing the camera, give or take; any by default.
        floor: a floor.
        wall: a wall behind the person, and a third as often one at the side.
        furniture: boxes on the floor, each of two.
        table: a table or desk in front of the person.
        before: something between camera and legs.
        held: something in the hands.
        others: another person.
        cut: parts of the person beyond the image's border.
        astray: windows that look at something else than the person.
        noise: whether depth is as a sensor measures it.
        family: the sensor, one of `sensors.FAMILIES`; any by default.
        arms: what arms do, some of `poses.ARMS`; anything by default.
        legs: what legs do, some of `poses.LEGS`; anything by default.
    """

    distance: tuple[float, float] = (1.3, 4.5)
    top: float = 0.2
    facing: float = 0.5
    turn: float | None = None
    floor: float = 0.7
    wall: float = 0.5
    furniture: float = 0.3
    table: float = 0.12
    before: float = 0.08
    held: float = 0.12
    others: float = 0.15
    cut: float = 0.15
    astray: float = 0.05
    noise: bool = True
    family: str | None = None
    arms: tuple[str, ...] = ()
    legs: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[dict[str, str]] = {'extra': 'forbid'}  # in experiments' files

    def __post_init__(self) -> None:
        """Refuse impossible shares and distances, and sensors and poses unknown."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != 'turn' and isinstance(value, float) and not 0 <= value <= 1:
                raise ValueError(f'{field.name} is {value}; a share from 0 to 1 is meant')
        near, far = self.distance
        if not 0.5 <= near <= far < math.inf:
            raise ValueError(
                f'distance is {near} to {far} m; 0.5 m or more is meant, the nearest first'
            )
        named: tuple[tuple[str, tuple[str, ...], Iterable[str]], ...] = (
            ('family', (self.family,) if self.family else (), FAMILIES),
            ('arms', self.arms, ARMS),
            ('legs', self.legs, LEGS),
        )
        for name, values, known in named:
            if unknown := set(values) - set(known):
                raise ValueError(
                    f'{name}: {", ".join(sorted(unknown))} unknown; known: {", ".join(known)}'
                )


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


class PeopleScenes:
    """Draws scenes of people; equal seeds on equal devices give equal scenes."""

    def __init__(
        self,
        device: torch.device | str = 'cpu',
        seed: int = 0,
        options: PeopleOptions | None = None,
        window: int = 160,
    ) -> None:
        """Create the generator of windows of S x S pixels."""
        self.model = BodyModel(device)
        self.options = options or PeopleOptions()
        self.window = window
        self.device = self.model.device
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.draws = Draws(self.generator)
        self.poses = BodyPoseSampler(
            self.model, self.generator, self.options.arms, self.options.legs
        )
        self._others = BodyPoseSampler(self.model, self.generator)
        people, size = self.model.faces, int(self.model.faces.max()) + 1
        box = superquadric_faces(self.device)
        boxes = [box + 2 * size + k * (int(box.max()) + 1) for k in range(_OBJECTS)]
        self._faces = torch.cat([people, people + size, *boxes])

    def sample(self, batch: int) -> Scene:
        """Draw B scenes as windows about the person, or about something else near."""
        place, view = self._standpoints(batch)
        rooms = self._rooms(place)
        joints = view(rooms.joints)
        astray = self.draws.chance(self.options.astray, batch)
        away = self.draws.unit(batch) * self.draws.uniform(batch, 1, low=1.2, high=2.4)
        middle = middle_of(joints)
        intrinsics = self._intrinsics(middle + (astray[:, None] * away).clamp(max=2.0))
        depth = self._render(rooms, view, intrinsics, (self.window, self.window))
        depth = cut_by_border(self.draws, depth, self.options.cut)
        return Scene(depth, intrinsics, joints, astray)

    def frame(self, camera: Camera) -> tuple[FloatArray, FloatArray]:
        """Draw one scene as a whole image of a camera without distortion.

        The person is in the image as a whole where that can be, but for the share that is cut.

        Returns:
            Depth [H, W] in metres, 0 = no measurement, and joints [15, 3] in metres.
        """
        place, view = self._standpoints(1)
        rooms = self._rooms(place)
        intrinsics = torch.tensor(
            [[camera.fx, camera.fy, camera.cx, camera.cy]], device=self.device
        )
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
        """Return the share of joints [15, 3] well within an image, after 8 % of its width."""
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
            self._where(options.furniture, *surroundings.furniture(draws, joints)),
            self._where(options.furniture, *surroundings.furniture(draws, joints)),
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

    def _where(self, share: float, vertices: Tensor, allowed: Tensor) -> Tensor:
        """Put things out of view but for a share of the scenes that have a place for them."""
        present = allowed & self.draws.chance(share, len(vertices))
        return torch.where(present[:, None, None], vertices, torch.nan)

    def _intrinsics(self, middle: Tensor) -> Tensor:
        """Draw focal lengths and place windows about points [B, 3].

        A window is what a camera of 250 to 600 pixels focal length sees, thinned where needed to
        2.6 m across at the person.
        """
        batch, size = len(middle), self.window
        z = middle[:, 2].clamp(min=0.5)
        native = self.draws.uniform(batch, low=250.0, high=600.0)
        focal = torch.minimum(native, z * size / _WINDOW)
        centre = (size - 1) / 2 - middle[:, :2] / z[:, None] * focal[:, None]
        return torch.cat([focal[:, None], focal[:, None], centre], 1)

    def _render(
        self, rooms: _Rooms, view: View, intrinsics: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return depth [B, rows, columns] as a sensor measures it."""
        depth = rasterize(view(rooms.vertices), self._faces, intrinsics, size)
        depth = rooms.planes.seen_from(view.rotation, view.position).behind(depth, intrinsics)
        if not self.options.noise:
            return depth
        family = None
        if self.options.family is not None:
            index = FAMILIES.index(self.options.family)
            family = torch.full((len(depth),), index, device=self.device)
        settings = SensorSettings.sample(len(depth), self.generator, family)
        return observe(depth, intrinsics[:, 0], settings, self.generator, _EDGE_STEP)
