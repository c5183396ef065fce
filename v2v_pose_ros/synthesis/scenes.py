"""Labelled depth windows of hands in their surroundings, drawn in batches on any device."""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.synthesis.hand import HandModel, HandShape, rotation_about
from v2v_pose_ros.synthesis.poses import PoseSampler
from v2v_pose_ros.synthesis.primitives import superquadric_faces, superquadrics
from v2v_pose_ros.synthesis.rasterizer import rasterize
from v2v_pose_ros.synthesis.sensors import observe, SensorSettings

# The hand frame (y to the fingers, x out of the back, z to the thumb) for a raised right hand that
# shows its palm: columns are the images of x, y, z in the optical frame.
RAISED = torch.tensor([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
_OBJECTS = 4


@dataclass(frozen=True)
class SceneOptions:
    """What is in view, as shares of the frames, and where the hand is.

    Attributes:
        distance: nearest and farthest hand in metres.
        raised: share of hands within about 70 degrees of upright; the others point anywhere.
        wall: share with a large surface (torso, wall, table) behind the hand.
        clutter: share with small things beside the hand.
        held: share that hold something.
        cut: share cut by the image border.
        sleeve: share with a sleeve.
        noise: whether the sensor models are applied.
    """

    distance: tuple[float, float] = (0.25, 1.1)
    raised: float = 0.5
    wall: float = 0.5
    clutter: float = 0.35
    held: float = 0.15
    cut: float = 0.06
    sleeve: float = 0.4
    noise: bool = True


@dataclass(frozen=True)
class Scene:
    """B labelled depth windows.

    Attributes:
        depth: [B, S, S] metres, 0 = no measurement.
        intrinsics: [B, 4] fx, fy, cx, cy of the windows in pixels.
        joints: [B, 21, 3] metres, optical frame.
    """

    depth: Tensor
    intrinsics: Tensor
    joints: Tensor

    def points(self) -> tuple[Tensor, Tensor]:
        """Return points [B, S * S, 3] and which of them are measurements [B, S * S]."""
        rows, columns = self.depth.shape[1:]
        u = torch.arange(columns, device=self.depth.device)
        v = torch.arange(rows, device=self.depth.device)[:, None]
        fx, fy, cx, cy = self.intrinsics[:, :, None, None].unbind(1)
        x, y = (u - cx) / fx * self.depth, (v - cy) / fy * self.depth
        return torch.stack([x, y, self.depth], -1).flatten(1, 2), (self.depth > 0).flatten(1)


class HandScenes:
    """Draws scenes of a right hand; equal seeds on equal devices give equal scenes."""

    def __init__(
        self,
        device: torch.device | str = 'cpu',
        seed: int = 0,
        options: SceneOptions | None = None,
        window: int = 160,
    ) -> None:
        """Create the generator of windows of S x S pixels."""
        self.model = HandModel(device)
        self.options = options or SceneOptions()
        self.window = window
        self.device = self.model.device
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.poses = PoseSampler(self.model, self.generator)
        objects = superquadric_faces(self.device)
        self._object_faces = torch.cat(
            [objects + k * (int(objects.max()) + 1) for k in range(_OBJECTS)]
        )

    def _uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        draw = torch.rand(*shape, generator=self.generator, device=self.device)
        return low + (high - low) * draw

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def _unit(self, *shape: int) -> Tensor:
        vector = self._normal(*shape, 3)
        return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-6)

    def sample(self, batch: int) -> Scene:
        """Draw B scenes as windows about the hand."""
        place = self._places(batch)
        vertices, faces, joints = self._meshes(place)
        intrinsics = self._intrinsics(place)
        depth = rasterize(vertices, faces, intrinsics, (self.window, self.window))
        return Scene(self._cut(self._observe(depth, intrinsics)), intrinsics, joints)

    def frame(self, camera: Camera) -> tuple[FloatArray, FloatArray]:
        """Draw one scene as a whole image of a camera without distortion.

        Returns:
            Depth [H, W] in metres, 0 = no measurement, and joints [21, 3] in metres.
        """
        vertices, faces, joints = self._meshes(self._places(1))
        intrinsics = torch.tensor(
            [[camera.fx, camera.fy, camera.cx, camera.cy]], device=self.device
        )
        depth = rasterize(vertices, faces, intrinsics, (camera.height, camera.width))
        depth = self._observe(depth, intrinsics)
        return depth[0].cpu().numpy(), joints[0].cpu().numpy()

    def _meshes(self, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vertices and faces of hand and surroundings, and the joints."""
        batch = len(place)
        mesh = self.model(self.shapes(batch), self.poses.sample(batch))
        rotation = self.orientations(batch)
        vertices = mesh.vertices @ rotation.transpose(1, 2)
        joints = mesh.joints @ rotation.transpose(1, 2)
        shift = place - 0.5 * (joints.amin(1) + joints.amax(1))
        vertices, joints = vertices + shift[:, None], joints + shift[:, None]
        things = self._surroundings(joints, place)
        faces = torch.cat([mesh.faces, self._object_faces + vertices.shape[1]])
        return torch.cat([vertices, things.flatten(1, 2)], 1), faces, joints

    def _observe(self, depth: Tensor, intrinsics: Tensor) -> Tensor:
        if not self.options.noise:
            return depth
        settings = SensorSettings.sample(len(depth), self.generator)
        return observe(depth, intrinsics[:, 0], settings, self.generator)

    def shapes(self, batch: int) -> HandShape:
        """Draw hands: children to large adults, long and short, thick and thin fingers."""
        adult = 1.03 + 0.07 * self._normal(batch)
        scale = torch.where(
            self._uniform(batch) < 0.12, self._uniform(batch, low=0.72, high=0.95), adult
        ).clamp(0.7, 1.25)
        lengths = 1 + 0.04 * self._normal(batch, 15) + 0.03 * self._normal(batch, 1)
        thickness = 1 + 0.07 * self._normal(batch, 1) + 0.03 * self._normal(batch, 15)
        rings = torch.linspace(0, 1, 8, device=self.device)
        start = self._uniform(batch, 1, low=-0.2, high=0.9)
        loose = self._uniform(batch, 1, low=0.05, high=0.6)
        sleeved = (self._uniform(batch, 1) < self.options.sleeve).float()
        folds = 1 + 0.05 * self._normal(batch, 8)
        sleeve = 1 + sleeved * (rings > start).float() * loose * folds
        sleeve = sleeve * (1 + 0.08 * self._normal(batch, 1))
        return HandShape(
            self._normal(batch, self.model.components).clamp(-2.5, 2.5),
            scale,
            lengths.clamp(0.85, 1.15),
            thickness.clamp(0.8, 1.25),
            sleeve,
        )

    def orientations(self, batch: int) -> Tensor:
        """Draw rotations [B, 3, 3] from the hand frame to the optical frame."""
        turn = torch.linalg.qr(self._normal(batch, 3, 3))[0]
        anywhere = turn * torch.linalg.det(turn).sign()[:, None, None]
        axis = self._unit(batch) * torch.tensor([1.0, 0.15, 1.0], device=self.device)
        axis = axis / axis.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        tilt = rotation_about(axis, math.radians(38) * self._normal(batch).clamp(-2, 2))
        y_axis = torch.tensor([0.0, 1.0, 0.0], device=self.device)
        spin = self._uniform(batch, low=-math.pi, high=math.pi)
        palm = math.radians(40) * self._normal(batch)
        spin = torch.where(self._uniform(batch) < 0.5, palm, spin)
        raised = tilt @ RAISED.to(self.device) @ rotation_about(y_axis, spin)
        choose = self._uniform(batch, 1, 1) < self.options.raised
        return torch.where(choose, raised, anywhere)

    def _places(self, batch: int) -> Tensor:
        """Draw where the middle of the hand is [B, 3], in a field of view of 70 x 55 degrees."""
        low, high = self.options.distance
        z = low * (high / low) ** self._uniform(batch)
        x = self._uniform(batch, low=-0.6, high=0.6) * z
        y = self._uniform(batch, low=-0.45, high=0.45) * z
        return torch.stack([x, y, z], 1)

    def _intrinsics(self, place: Tensor) -> Tensor:
        """Draw focal lengths and place the window about the hand.

        The window is what a camera of 210 to 650 pixels focal length sees, thinned where needed
        to at most one pixel per 280 mm / S at the hand, finer than any voxel.
        """
        batch, size = len(place), self.window
        z = place[:, 2]
        native = self._uniform(batch, low=210.0, high=650.0)
        focal = torch.minimum(native, z * size / 0.28)
        centre = (size - 1) / 2 - place[:, :2] / z[:, None] * focal[:, None]
        return torch.cat([focal[:, None], focal[:, None], centre], 1)

    def _surroundings(self, joints: Tensor, place: Tensor) -> Tensor:
        """Place a wall, two things and something held; return vertices [B, 4, V, 3]."""
        batch = len(joints)
        wall = self._wall(place)
        beside = [self._clutter(joints, place) for _ in range(2)]
        held = self._held(joints)
        away = torch.tensor([0.0, 0.0, -10.0], device=self.device)
        shares = (self.options.wall, self.options.clutter, self.options.clutter, self.options.held)
        things = []
        for (vertices, allowed), share in zip((wall, *beside, held), shares, strict=True):
            present = allowed & (self._uniform(batch) < share)
            things.append(torch.where(present[:, None, None], vertices, away))
        return torch.stack(things, 1)

    def _turned(self, vertices: Tensor) -> Tensor:
        turn = torch.linalg.qr(self._normal(len(vertices), 3, 3))[0]
        turn = turn * torch.linalg.det(turn).sign()[:, None, None]
        return vertices @ turn.transpose(1, 2)

    def _wall(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return something large whose near side is 9 to 60 cm behind the middle of the hand."""
        batch = len(place)
        size = torch.stack(
            [
                self._uniform(batch, low=0.1, high=0.45),
                self._uniform(batch, low=0.1, high=0.5),
                self._uniform(batch, low=0.06, high=0.2),
            ],
            1,
        )
        shape = self._uniform(batch, 2, low=0.25, high=1.0)
        tilt = rotation_about(self._unit(batch), 0.5 * self._normal(batch))
        vertices = superquadrics(size, shape) @ tilt.transpose(1, 2)
        near = vertices[..., 2].amin(1)
        behind = 0.09 + 0.5 * self._uniform(batch) ** 2
        offset = torch.cat([0.15 * self._normal(batch, 2), (behind - near)[:, None]], 1)
        return vertices + (place + offset)[:, None], torch.ones_like(near, dtype=torch.bool)

    def _clutter(self, joints: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return something of 2 to 9 cm near the hand; not where it would touch the hand."""
        batch = len(place)
        size = self._uniform(batch, 3, low=0.015, high=0.09)
        vertices = self._turned(superquadrics(size, self._uniform(batch, 2, low=0.2, high=1.0)))
        away = self._uniform(batch, 1, low=0.07, high=0.2)
        centre = place + self._unit(batch) * away
        vertices = vertices + centre[:, None]
        # Free of the hand, and not before it as the camera sees it.
        gap = torch.cdist(joints, vertices).amin((1, 2))
        inside = (joints - centre[:, None]).norm(dim=-1).amin(1) < size.amax(1) + 0.012
        before = vertices[..., 2].amin(1) < joints[..., 2].amin(1) - 0.01
        return vertices, (gap > 0.018) & ~inside & ~before

    def _held(self, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Return a cylinder, ball or box in the grasp, as thick as the fingers leave room."""
        batch = len(joints)
        knuckles, wrist = joints[:, 2:6], joints[:, 0]
        tips = joints[:, [11, 14, 17, 20]]
        across = knuckles[:, 0] - knuckles[:, 3]
        across = across / across.norm(dim=-1, keepdim=True)
        centre = 0.45 * knuckles.mean(1) + 0.45 * tips.mean(1) + 0.1 * wrist
        centre = centre + 0.006 * self._normal(batch, 3)
        relative = joints - centre[:, None]
        # The sum spelt out: summing a broadcast product of three is what einsum is slow at.
        along = (relative * across[:, None]).sum(-1, keepdim=True)
        distance = (relative - along * across[:, None]).norm(dim=-1).amin(1)
        radius = (distance - 0.008).clamp(max=0.05)
        length = torch.where(
            self._uniform(batch) < 0.4, radius, self._uniform(batch, low=0.03, high=0.13)
        )
        size = torch.stack([radius, radius, length], 1).clamp(min=1e-3)
        around = torch.where(self._uniform(batch) < 0.7, 1.0, self._uniform(batch, low=0.2))
        ends = self._uniform(batch, low=0.15, high=1.0)
        vertices = superquadrics(size, torch.stack([ends, around], 1))
        helper = self._unit(batch)
        first = torch.linalg.cross(across, helper)
        first = first / first.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        frame = torch.stack([first, torch.linalg.cross(across, first), across], -1)
        return vertices @ frame.transpose(1, 2) + centre[:, None], radius > 0.008

    def _cut(self, depth: Tensor) -> Tensor:
        """Cut some windows by a straight image border through the outer third."""
        batch, size = len(depth), self.window
        cut = self._uniform(batch) < self.options.cut
        side = torch.randint(4, (batch,), generator=self.generator, device=self.device)
        place = (self._uniform(batch, low=0.15, high=0.36) * size)[:, None, None]
        axis = torch.arange(size, device=self.device)
        row, column = axis[None, :, None], axis[None, None, :]
        outside = torch.stack(
            [
                (row < place).expand_as(depth),
                (row > size - place).expand_as(depth),
                (column < place).expand_as(depth),
                (column > size - place).expand_as(depth),
            ]
        )[side, torch.arange(batch, device=self.device)]
        return torch.where(outside & cut[:, None, None], 0.0, depth)


def reference_points(scene: Scene, cube_size: float, generator: torch.Generator) -> Tensor:
    """Draw the cubes' centres [B, 3] as the pipeline finds them.

    Half the time what tracking and refinement give: the middle of the joints' bounding box, a
    little off.  Otherwise what detection gives: a centre of mass of the points about the hand,
    which the forearm pulls towards the wrist.
    """
    joints = scene.joints
    batch, device = len(joints), joints.device

    def normal(sigma: float) -> Tensor:
        return sigma * torch.randn(batch, 3, generator=generator, device=device)

    middle = 0.5 * (joints.amin(1) + joints.amax(1))
    points, valid = scene.points()
    mass = middle + normal(0.02)
    for _ in range(2):
        near = valid & ((points - mass[:, None]).abs().amax(-1) < cube_size / 2)
        weight = near.float() / near.sum(1, keepdim=True).clamp(min=1)
        moved = (points * weight[..., None]).sum(1)
        mass = torch.where(near.any(1, keepdim=True), moved, mass)
    choice = torch.rand(batch, 1, generator=generator, device=device)
    found = torch.where(choice < 0.5, middle + normal(0.012), mass + normal(0.012))
    return torch.where(choice > 0.85, middle + normal(0.028), found)
