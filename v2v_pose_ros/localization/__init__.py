"""Where subjects may be: reference points, and the cubes about them.

`hands` and `people` propose reference points in a depth image, each in the way that fits its
subject; `cubes` cuts out what is about such a point, for the networks that refine it or read it.
"""

from __future__ import annotations

from collections.abc import Iterator

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.localization.cubes import bounding_box_middle, crop_points, refinement_crop
from v2v_pose_ros.localization.hands import find_hands, look_over_hands
from v2v_pose_ros.localization.options import LocalizerOptions
from v2v_pose_ros.localization.people import find_people

__all__ = [
    'LocalizerOptions',
    'bounding_box_middle',
    'crop_points',
    'find_candidates',
    'find_reference',
    'look_over',
    'refinement_crop',
]

_FINDERS = {'hand': find_hands, 'body': find_people}


def find_candidates(
    depth: FloatArray,
    camera: Camera,
    cube_size: float,
    options: LocalizerOptions | None = None,
    subject: str = 'hand',
) -> Iterator[FloatArray]:
    """Yield reference points [3] in metres that may be the subject's, the likeliest first.

    The pose network tells the candidates apart.

    Args:
        depth: [H, W] metres, 0 = no measurement.
        camera: the camera.
        cube_size: edge of the cube in metres.
        options: where to look.
        subject: the skeleton that is looked for, 'hand' or 'body'.
    """
    return _FINDERS[subject](depth, camera, cube_size, options or LocalizerOptions.of(subject))


def look_over(
    depth: FloatArray, camera: Camera, cube_size: float, options: LocalizerOptions, subject: str
) -> Iterator[FloatArray]:
    """Yield more places [3] where candidates have led to nothing sure; none for people.

    Arguments as of `find_candidates`.
    """
    if subject == 'hand':
        yield from look_over_hands(depth, camera, cube_size, options)


def find_reference(
    depth: FloatArray,
    camera: Camera,
    cube_size: float,
    options: LocalizerOptions | None = None,
    subject: str = 'hand',
) -> FloatArray | None:
    """Return the first of `find_candidates`, None if there is none."""
    return next(find_candidates(depth, camera, cube_size, options, subject), None)
