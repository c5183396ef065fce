"""Parts of the fixed synthetic benchmarks: seeded frames of one kind.

Every frame is drawn with a seed that training does not use.  Sensors take turns: every third frame
is seen by structured light, by stereo and by time of flight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.synthesis.scenes import SubjectScenes
from v2v_pose_ros.synthesis.sensors import FAMILIES

_SEED = 77_000_077


@dataclass(frozen=True)
class Part:
    """Frames of one kind.

    Attributes:
        name: what they show.
        scenes: makes the scenes as a family of sensors sees them.
        camera: the camera.
        frames: how many.
        stream: parts of equal streams show the same subjects.
    """

    name: str
    scenes: Callable[[str], SubjectScenes]
    camera: Camera
    frames: int
    stream: int

    def frame(self, index: int) -> tuple[str, FloatArray, FloatArray]:
        """Return sensor family, depth [H, W] in metres and joints [J, 3] in metres."""
        family = FAMILIES[index % len(FAMILIES)]
        scene = self._by_family[family]
        scene.generator.manual_seed(_SEED + 100_000 * self.stream + index)
        return family, *scene.frame(self.camera)

    @cached_property
    def _by_family(self) -> dict[str, SubjectScenes]:
        return {family: self.scenes(family) for family in FAMILIES}
