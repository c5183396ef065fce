"""The fixed synthetic benchmark of people: 2,000 frames in named parts, front and top apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from v2v_pose_ros.synthesis.cameras import kinect
from v2v_pose_ros.synthesis.parts import Part
from v2v_pose_ros.synthesis.people.poses import SITTING
from v2v_pose_ros.synthesis.people.scenes import PeopleOptions, PeopleScenes

_FRONT = PeopleOptions(top=0.0, cut=0.0, distance=(2.0, 4.0), facing=0.7)
_TOP = PeopleOptions(top=1.0, cut=0.0)
_STANDING = ('standing', 'standing_wide', 'one_leg_free', 'walking')


def _scenes(options: PeopleOptions) -> Callable[[str], PeopleScenes]:
    return lambda family: PeopleScenes(options=replace(options, family=family))


def _parts() -> tuple[Part, ...]:
    table: dict[str, dict[str, object]] = {
        'back_to_camera': {'turn': 180.0},
        'arms_behind_back': {'arms': ('behind_the_back',), 'legs': _STANDING},
        'at_a_desk': {'legs': SITTING, 'table': 1.0, 'distance': (1.6, 3.0)},
        'sitting': {'legs': SITTING},
        'half_out_of_the_image': {'cut': 1.0, 'distance': (1.3, 2.5)},
        'several_people': {'others': 1.0},
        'legs_hidden': {'before': 1.0, 'legs': _STANDING},
        'holding_something': {'held': 1.0},
        'bending_and_squatting': {'legs': ('bending', 'bowing', 'squatting', 'kneeling')},
        'far': {'distance': (4.0, 5.0)},
    }
    qvga = kinect(320, 240)
    parts = [
        Part('everyday_front', _scenes(_FRONT), qvga, 600, 0),
        Part('everyday_top', _scenes(_TOP), qvga, 400, 1),
    ]
    for name, changes in table.items():
        options = replace(_FRONT, **changes)  # type: ignore[arg-type]
        parts.append(Part(name, _scenes(options), qvga, 100, len(parts)))
    return tuple(parts)


PARTS = _parts()
"""Everyday frames from the front and from the top, and ten parts that are hard in one way."""
