"""The fixed synthetic benchmark of hands: 2,000 seeded frames in named parts.

Every frame shows a hand of its own, drawn with a seed that training does not use.  Sensors take
turns: every third frame is seen by structured light, by stereo and by time of flight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.scenes import HandScenes, SceneOptions
from v2v_pose_ros.synthesis.sensors import FAMILIES

_SEED = 77_000_077
_EVERYDAY = SceneOptions(raised=0.6, held=0.15, cut=0.0)
_GRASPS = ('cylinder', 'sphere', 'card', 'tripod', 'pinch', 'hook')


@dataclass(frozen=True)
class Part:
    """Frames of one kind.

    Attributes:
        name: what they show.
        options: the scenes.
        camera: the camera.
        frames: how many.
        stream: parts of equal streams show the same hands.
    """

    name: str
    options: SceneOptions
    camera: Camera
    frames: int
    stream: int

    def frame(self, index: int) -> tuple[str, FloatArray, FloatArray]:
        """Return sensor family, depth [H, W] in metres and joints [21, 3] in metres."""
        family = FAMILIES[index % len(FAMILIES)]
        scene = self._scenes[family]
        scene.generator.manual_seed(_SEED + 100_000 * self.stream + index)
        return family, *scene.frame(self.camera)

    @cached_property
    def _scenes(self) -> dict[str, HandScenes]:
        return {
            family: HandScenes(options=replace(self.options, family=family)) for family in FAMILIES
        }


def _parts() -> tuple[Part, ...]:
    table: dict[str, dict[str, object]] = {
        'holding': {'held': 1.0, 'gestures': _GRASPS},
        'fist_front': {'gestures': ('fist',), 'views': ('palm',)},
        'fist_behind': {'gestures': ('fist',), 'views': ('back',)},
        'edge_on': {'views': ('thumb_edge', 'little_finger_edge')},
        'pointing_down': {'views': ('down',)},
        'fingers_hidden': {'views': ('towards',)},
        'stretched': {'gestures': ('open',)},
        'cut_by_border': {'cut': 1.0},
        'bare_wrist': {'sleeve': 0.0},
        'sleeve': {'sleeve': 1.0},
        'near': {'distance': (0.25, 0.3)},
        'far': {'distance': (0.95, 1.05)},
    }
    vga, qvga = sr305(), sr305(320, 240)
    parts = [Part('everyday', _EVERYDAY, vga, 600, 0)]
    for name, changes in table.items():
        options = replace(_EVERYDAY, **changes)  # type: ignore[arg-type]
        parts.append(Part(name, options, vga, 100, len(parts)))
    stream = len(parts)
    parts.append(Part('480_lines', _EVERYDAY, vga, 100, stream))
    parts.append(Part('240_lines', _EVERYDAY, qvga, 100, stream))
    return tuple(parts)


PARTS = _parts()
"""600 everyday frames and fourteen parts of 100 frames that are hard or special in one way."""
