"""The fixed synthetic benchmark of hands: 2,000 frames in named parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.scenes import HandScenes, SceneOptions
from v2v_pose_ros.synthesis.parts import Part

EVERYDAY = SceneOptions(raised=0.6, held=0.15, cut=0.0)
_GRASPS = ('cylinder', 'sphere', 'card', 'tripod', 'pinch', 'hook')


def _scenes(options: SceneOptions) -> Callable[[str], HandScenes]:
    return lambda family: HandScenes(options=replace(options, family=family))


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
    parts = [Part('everyday', _scenes(EVERYDAY), vga, 600, 0)]
    for name, changes in table.items():
        options = replace(EVERYDAY, **changes)  # type: ignore[arg-type]
        parts.append(Part(name, _scenes(options), vga, 100, len(parts)))
    stream = len(parts)
    parts.append(Part('480_lines', _scenes(EVERYDAY), vga, 100, stream))
    parts.append(Part('240_lines', _scenes(EVERYDAY), qvga, 100, stream))
    return tuple(parts)


PARTS = _parts()
"""600 everyday frames and fourteen parts of 100 frames that are hard or special in one way."""
