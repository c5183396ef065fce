"""The kinds of subjects that can be rendered, and what renders each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.skeletons import BODY, HAND, Skeleton
from v2v_pose_ros.synthesis.cameras import kinect, sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.synthesis.hands.scenes import HandScenes
from v2v_pose_ros.synthesis.people.camera_scene import BodyCameraScene
from v2v_pose_ros.synthesis.people.scenes import PeopleScenes


@dataclass(frozen=True)
class Kind:
    """One kind of subject.

    Attributes:
        skeleton: its joints.
        camera: a camera that suits it, from columns and rows of its image.
        scenes: draws single frames, every one another scene.
        live: a scene that moves before a camera.
        cube_size: edge in metres of a cube that holds the subject.
    """

    skeleton: Skeleton
    camera: Callable[[int, int], Camera]
    scenes: type[HandScenes | PeopleScenes]
    live: type[HandCameraScene | BodyCameraScene]
    cube_size: float


KINDS = {
    'hand': Kind(HAND, sr305, HandScenes, HandCameraScene, 0.2),
    'body': Kind(BODY, kinect, PeopleScenes, BodyCameraScene, 2.0),
}
"""By the names of the skeletons."""
