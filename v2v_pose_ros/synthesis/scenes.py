"""What scenes of every kind of subject have in common: their options, windows and sensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields
import math
from typing import ClassVar

import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.sensors import EDGE, FAMILIES, observe, SensorSettings
from v2v_pose_ros.synthesis.windows import Scene


@dataclass(frozen=True)
class CommonOptions:
    """What is in view of whoever the subject is, as shares of the scenes, and how it is seen.

    Attributes:
        distance: nearest and farthest subject in metres.
        wall: something large behind the subject.
        held: something in the hands.
        cut: parts of the subject beyond the image's border.
        astray: windows that look at something else than the subject.
        noise: whether depth is as a sensor measures it.
        family: the kind of sensor, one of `sensors.FAMILIES`; all of them by default.
    """

    distance: tuple[float, float]
    wall: float = 0.5
    held: float = 0.25
    cut: float = 0.06
    astray: float = 0.06
    noise: bool = True
    family: str | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = {'extra': 'forbid'}  # in experiments' files
    nearest: ClassVar[float] = 0.1
    """Metres: subjects are no nearer."""
    choices: ClassVar[dict[str, Iterable[str]]] = {}
    """Options that choose from names, and the names."""
    no_shares: ClassVar[tuple[str, ...]] = ()
    """Numbers that are no shares."""

    def __post_init__(self) -> None:
        """Refuse impossible shares and distances, and names that are not known."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in self.no_shares or not isinstance(value, float):
                continue
            if not 0 <= value <= 1:
                raise ValueError(f'{field.name} is {value}; a share from 0 to 1 is meant')
        near, far = self.distance
        if not self.nearest <= near <= far < math.inf:
            raise ValueError(
                f'distance is {near} to {far} m; {self.nearest} m or more is meant, the nearest '
                'first'
            )
        family = (self.family,) if self.family else ()
        _check_names('family', family, FAMILIES)
        for name, known in self.choices.items():
            _check_names(name, getattr(self, name), known)


def _check_names(option: str, names: Iterable[str], known: Iterable[str]) -> None:
    if unknown := set(names) - set(known):
        raise ValueError(
            f'{option}: {", ".join(sorted(unknown))} unknown; known: {", ".join(known)}'
        )


class SubjectScenes(ABC):
    """Draws scenes of a subject; equal seeds on equal devices give equal scenes."""

    edge_step: ClassVar[float] = EDGE
    """Metres: a larger step between neighbouring pixels is the edge of an object."""

    def __init__(
        self, device: torch.device, seed: int, options: CommonOptions, window: int
    ) -> None:
        """Draw from a seed on a device, windows of S x S pixels."""
        self.device, self.window = device, window
        self.generator = torch.Generator(device).manual_seed(seed)
        self.draws = Draws(self.generator)
        self.options = options

    @abstractmethod
    def sample(self, batch: int) -> Scene:
        """Draw B scenes as windows about the subject, or about something else near it."""

    @abstractmethod
    def frame(self, camera: Camera) -> tuple[FloatArray, FloatArray]:
        """Draw one scene as a whole image of a camera without distortion.

        The subject is in the image as a whole where that can be, but for the share that is cut.

        Returns:
            Depth [H, W] in metres, 0 = no measurement, and joints [J, 3] in metres.
        """

    def _measured(self, depth: Tensor, intrinsics: Tensor) -> Tensor:
        """Return depth [B, rows, columns] as a sensor measures it, if that is wanted."""
        options = self.options
        if not options.noise:
            return depth
        family = None
        if options.family is not None:
            index = FAMILIES.index(options.family)
            family = torch.full((len(depth),), index, device=self.device)
        settings = SensorSettings.sample(len(depth), self.generator, family)
        return observe(depth, intrinsics[:, 0], settings, self.generator, self.edge_step)

    def _windows(
        self, middle: Tensor, focal: tuple[float, float], width: float, nearest: float = 0.0
    ) -> Tensor:
        """Draw focal lengths and place windows; return intrinsics [B, 4].

        A window is what a camera sees, thinned where needed to a width at the subject.

        Args:
            middle: [B, 3] what the windows look at, metres.
            focal: least and greatest focal length of the cameras in pixels.
            width: of the windows in metres at the subject.
            nearest: metres: what is nearer counts as if it were so far away.
        """
        size = self.window
        z = middle[:, 2].clamp(min=nearest)
        native = self.draws.uniform(len(middle), low=focal[0], high=focal[1])
        pixels = torch.minimum(native, z * size / width)
        centre = (size - 1) / 2 - middle[:, :2] / z[:, None] * pixels[:, None]
        return torch.cat([pixels[:, None], pixels[:, None], centre], 1)

    def _where(self, share: float, vertices: Tensor, allowed: Tensor) -> Tensor:
        """Leave things out but for a share of the scenes that have a place for them."""
        present = allowed & self.draws.chance(share, len(vertices))
        return torch.where(present[:, None, None], vertices, torch.nan)


def intrinsics_of(camera: Camera, device: torch.device) -> Tensor:
    """Return fx, fy, cx, cy [1, 4] of a camera."""
    return torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]], device=device)
