"""The background model: rooms are taken away, people stay."""

import numpy as np
import pytest

from v2v_pose_ros.background import Background
from v2v_pose_ros.localization import bounding_box_middle, find_candidates
from v2v_pose_ros.synthesis.cameras import kinect
from v2v_pose_ros.synthesis.people.camera_scene import BodyCameraScene

pytestmark = pytest.mark.usefixtures('one_thread')


def test_what_stands_before_the_room_is_left_alone() -> None:
    room = np.full((4, 6), 3.0, np.float32)
    room[0] = 0.0  # nothing was measured there
    background = Background()
    background.learn(room)
    scene = room.copy()
    scene[2, 2] = 2.0
    scene[0, 1] = 4.0
    scene[3, 3] = 2.9  # within the noise of a wall 3 m away
    expected = np.zeros_like(scene)
    expected[2, 2], expected[0, 1] = 2.0, 4.0
    np.testing.assert_array_equal(background.remove_from(scene), expected)


def test_a_pixel_that_sometimes_measures_nothing_is_still_the_room() -> None:
    background = Background()
    for value in (0.0, 3.0, 0.0):
        background.learn(np.full((2, 2), value, np.float32))
    assert background.images == 3
    assert not background.remove_from(np.full((2, 2), 3.0, np.float32)).any()


def test_it_refuses_to_guess() -> None:
    background = Background()
    image = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match='no image of the empty room'):
        background.remove_from(image)
    background.learn(image)
    for refused in (background.learn, background.remove_from):
        with pytest.raises(ValueError, match=r'3 x 2 pixels; .* learn it again'):
            refused(np.ones((2, 3), np.float32))


def test_a_person_in_a_learned_room_is_the_only_candidate_of_substance() -> None:
    camera = kinect(320, 240)
    scene = BodyCameraScene(camera, seed=2)
    background = Background()
    for room in scene._backgrounds:
        background.learn(room)
    for time in (0.4, 5.0, 11.0):
        depth, joints = scene.frame(time)
        left = background.remove_from(depth)
        first = next(find_candidates(left, camera, 2.0, subject='body'))
        assert np.abs(first - bounding_box_middle(joints)).max() < 0.3
