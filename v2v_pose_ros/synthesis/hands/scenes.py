"""Labelled depth windows of hands in their surroundings, drawn in batches on any device."""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import GESTURES, HandPoseSampler
from v2v_pose_ros.synthesis.hands.surroundings import beside, clutter, held, wall
from v2v_pose_ros.synthesis.primitives import superquadric_faces
from v2v_pose_ros.synthesis.rasterizer import rasterize
from v2v_pose_ros.synthesis.rotations import rotation_about
from v2v_pose_ros.synthesis.scenes import CommonOptions, intrinsics_of, SubjectScenes
from v2v_pose_ros.synthesis.windows import cut_by_border, middle_of, Scene

# The hand frame (y to the fingers, x out of the back, z to the thumb) for a raised right hand that
# shows its palm: columns are the images of x, y, z in the optical frame.
RAISED = torch.tensor([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
_OBJECTS = 4
_SPREAD = math.radians(15)  # standard deviation about a named view
_FOCAL = (210.0, 650.0)  # pixels
_WINDOW = 0.28  # metres across at the hand: a pixel of a window is finer than any voxel
_HALF_HAND = 0.1  # metres from the middle of a hand to where most of it ends

# Turns about the optical axes and about the hand's own length, in degrees, from a raised right
# hand that shows its palm.
VIEWS: dict[str, tuple[tuple[float, float, float], float]] = {
    'palm': ((0, 0, 0), 0),
    'back': ((0, 0, 0), 180),
    'thumb_edge': ((0, 0, 0), -90),
    'little_finger_edge': ((0, 0, 0), 90),
    'down': ((0, 0, 180), 0),
    'towards': ((90, 0, 0), 0),
}
"""Named views: palm or back or an edge to the camera, fingers down, fingers to the camera."""


@dataclass(frozen=True)
class SceneOptions(CommonOptions):
    """What is in view of a hand, as shares of the scenes, and where the hand is.

    Attributes:
        raised: share of hands within about 70 degrees of upright; the others point anywhere.
        clutter: share with small things beside the hand.
        other_hand: share with a left hand close by.
        sleeve: share with a sleeve.
        closed: share of hands that close to a fist or grip, over and above those of other poses.
        gestures: the gestures, some of `poses.GESTURES`; all and free poses too by default.
        views: the views, some of `VIEWS`; those that `raised` tells by default.
    """

    distance: tuple[float, float] = (0.25, 1.1)
    raised: float = 0.5
    clutter: float = 0.35
    other_hand: float = 0.1
    sleeve: float = 0.4
    closed: float = 0.0
    gestures: tuple[str, ...] = ()
    views: tuple[str, ...] = ()

    choices = {'gestures': GESTURES, 'views': VIEWS}  # noqa: RUF012 - a class variable


class HandScenes(SubjectScenes):
    """Draws scenes of a right hand; equal seeds on equal devices give equal scenes."""

    options: SceneOptions

    def __init__(
        self,
        device: torch.device | str = 'cpu',
        seed: int = 0,
        options: SceneOptions | None = None,
        window: int = 160,
    ) -> None:
        """Create the generator of windows of S x S pixels."""
        self.model = HandModel(device)
        super().__init__(self.model.device, seed, options or SceneOptions(), window)
        self.poses = HandPoseSampler(
            self.model, self.generator, self.options.gestures, self.options.closed
        )
        objects = superquadric_faces(self.device)
        self._object_faces = torch.cat(
            [objects + k * (int(objects.max()) + 1) for k in range(_OBJECTS)]
        )
        self._views = [_view(name).to(self.device) for name in self.options.views]

    def sample(self, batch: int) -> Scene:
        """See the base class."""
        place = self._places(batch)
        vertices, faces, joints = self._meshes(place)
        astray = self.draws.chance(self.options.astray, batch)
        away = self.draws.unit(batch) * self.draws.uniform(batch, 1, low=0.15, high=0.3)
        intrinsics = self._windows(place + astray[:, None] * away, _FOCAL, _WINDOW)
        depth = rasterize(vertices, faces, intrinsics, (self.window, self.window))
        return Scene(
            cut_by_border(self.draws, self._measured(depth, intrinsics), self.options.cut),
            intrinsics,
            joints,
            astray,
        )

    def frame(self, camera: Camera) -> tuple[FloatArray, FloatArray]:
        """See the base class."""
        vertices, faces, joints = self._meshes(self._places_in(camera))
        intrinsics = intrinsics_of(camera, self.device)
        depth = rasterize(vertices, faces, intrinsics, (camera.height, camera.width))
        depth = self._measured(depth, intrinsics)
        return depth[0].cpu().numpy(), joints[0].cpu().numpy()

    def _meshes(self, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vertices and faces of hand and surroundings, and the joints."""
        batch = len(place)
        mesh = self.model(self.shapes(batch), self.poses.sample(batch))
        rotation = self.orientations(batch)
        vertices = mesh.vertices @ rotation.transpose(1, 2)
        joints = mesh.joints @ rotation.transpose(1, 2)
        shift = place - middle_of(joints)
        vertices, joints = vertices + shift[:, None], joints + shift[:, None]
        other = self._other_hand(joints, place)
        things = self._surroundings(joints, place)
        size = vertices.shape[1]
        faces = torch.cat([mesh.faces, mesh.faces.flip(1) + size, self._object_faces + 2 * size])
        return torch.cat([vertices, other, things.flatten(1, 2)], 1), faces, joints

    def shapes(self, batch: int) -> HandShape:
        """Draw hands: children to large adults, long and short, thick and thin fingers."""
        adult = 1.03 + 0.07 * self.draws.normal(batch)
        scale = torch.where(
            self.draws.chance(0.12, batch), self.draws.uniform(batch, low=0.72, high=0.95), adult
        ).clamp(0.7, 1.25)
        lengths = 1 + 0.04 * self.draws.normal(batch, 15) + 0.03 * self.draws.normal(batch, 1)
        thickness = 1 + 0.07 * self.draws.normal(batch, 1) + 0.03 * self.draws.normal(batch, 15)
        rings = torch.linspace(0, 1, 8, device=self.device)
        start = self.draws.uniform(batch, 1, low=-0.2, high=0.9)
        loose = self.draws.uniform(batch, 1, low=0.05, high=0.6)
        sleeved = self.draws.chance(self.options.sleeve, batch, 1).float()
        folds = 1 + 0.05 * self.draws.normal(batch, 8)
        sleeve = 1 + sleeved * (rings > start).float() * loose * folds
        sleeve = sleeve * (1 + 0.08 * self.draws.normal(batch, 1))
        return HandShape(
            self.draws.normal(batch, self.model.components).clamp(-2.5, 2.5),
            scale,
            lengths.clamp(0.85, 1.15),
            thickness.clamp(0.8, 1.25),
            sleeve,
        )

    def orientations(self, batch: int) -> Tensor:
        """Draw rotations [B, 3, 3] from the hand frame to the optical frame."""
        draws = self.draws
        if self._views:
            view = torch.stack(self._views)[draws.choice(len(self._views), batch)]
            return rotation_about(draws.unit(batch), _SPREAD * draws.normal(batch)) @ view
        axis = draws.unit(batch) * torch.tensor([1.0, 0.15, 1.0], device=self.device)
        axis = axis / axis.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        tilt = rotation_about(axis, math.radians(38) * draws.normal(batch).clamp(-2, 2))
        y_axis = torch.tensor([0.0, 1.0, 0.0], device=self.device)
        spin = draws.uniform(batch, low=-math.pi, high=math.pi)
        spin = torch.where(draws.chance(0.5, batch), math.radians(40) * draws.normal(batch), spin)
        raised = tilt @ RAISED.to(self.device) @ rotation_about(y_axis, spin)
        choose = draws.chance(self.options.raised, batch, 1, 1)
        return torch.where(choose, raised, draws.rotations(batch))

    def _places(self, batch: int) -> Tensor:
        """Draw where the middle of the hand is [B, 3], in a field of view of 70 x 55 degrees."""
        z = self._distances(batch)
        x = self.draws.uniform(batch, low=-0.6, high=0.6) * z
        y = self.draws.uniform(batch, low=-0.45, high=0.45) * z
        return torch.stack([x, y, z], 1)

    def _distances(self, batch: int) -> Tensor:
        low, high = self.options.distance
        return low * (high / low) ** self.draws.uniform(batch)

    def _places_in(self, camera: Camera) -> Tensor:
        """Draw where the middle of a hand is [1, 3] that the image shows whole, or cuts."""
        z = self._distances(1)
        size = torch.tensor([camera.width, camera.height], device=self.device)
        focal = torch.tensor([camera.fx, camera.fy], device=self.device)
        middle = torch.tensor([camera.cx, camera.cy], device=self.device)
        low, high = -middle / focal * z, (size - 1 - middle) / focal * z
        room = torch.minimum(low.new_tensor(_HALF_HAND), 0.5 * (high - low))
        place = low + room + (high - low - 2 * room) * self.draws.uniform(2)
        border = torch.stack([low, high]) + self.draws.uniform(1, low=0.03, high=0.08) * (
            torch.tensor([[1.0], [-1.0]], device=self.device)
        )
        side, axis = self.draws.choice(2, 1), self.draws.choice(2, 1)
        cut = self.draws.chance(self.options.cut, 1) & (
            torch.arange(2, device=self.device) == axis
        )
        place = torch.where(cut, border[side[0]], place)
        return torch.cat([place, z])[None]

    def _surroundings(self, joints: Tensor, place: Tensor) -> Tensor:
        """Place a wall, two things and something held; return vertices [B, 4, V, 3]."""
        draws, options = self.draws, self.options
        things = [
            self._where(options.wall, *wall(draws, place)),
            self._where(options.clutter, *clutter(draws, joints, place)),
            self._where(options.clutter, *clutter(draws, joints, place)),
            self._where(options.held, *held(draws, joints)),
        ]
        return torch.stack(things, 1)

    def _other_hand(self, joints: Tensor, place: Tensor) -> Tensor:
        """Place a left hand somewhere about the hand; return vertices [B, V, 3]."""
        mesh = self.model(self.shapes(len(place)), self.poses.draw(len(place)))
        left = mesh.vertices * torch.tensor([1.0, 1.0, -1.0], device=self.device)
        return self._where(self.options.other_hand, *beside(self.draws, left, joints, place))


def _view(name: str) -> Tensor:
    """Return the rotation [3, 3] of a named view."""
    turns, spin = VIEWS[name]
    eye = torch.eye(3)
    view = RAISED @ rotation_about(eye[1], torch.tensor(math.radians(spin)))
    for axis, turn in zip(eye, turns, strict=True):
        view = rotation_about(axis, torch.tensor(math.radians(turn))) @ view
    return view
