"""Overlays are legible at the sizes that cameras have, and on any colour."""

import numpy as np
import pytest

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import SkeletonEstimate
from v2v_pose_ros.overlay import add_status, color_depth, draw_skeletons
from v2v_pose_ros.skeletons import BODY, HAND

SIZES = [(424, 240), (640, 480), (1280, 720)]


def camera_of(size: tuple[int, int]) -> Camera:
    width, height = size
    return Camera(width, height, width / 2, width / 2, width / 2, height / 2)


def estimate(skeleton, confidence: float) -> SkeletonEstimate:
    """Return joints on a circle, a metre away."""
    joints = len(skeleton)
    turn = 2 * np.pi * np.arange(joints) / joints
    positions = np.stack([0.3 * np.cos(turn), 0.3 * np.sin(turn), np.ones(joints)], 1)
    return SkeletonEstimate(
        skeleton=skeleton,
        positions=positions.astype(np.float32),
        confidences=np.full(joints, confidence, np.float32),
        covariances=np.zeros((joints, 3, 3), np.float32),
        reference_point=np.array([0, 0, 1], np.float32),
        cube_size=0.8,
        points=np.zeros((0, 3), np.float32),
    )


def extent(picture) -> tuple[int, int]:
    """Return the first column to the right of everything that is lit, and the rows it has."""
    lit = (picture > 100).all(axis=2)
    return np.flatnonzero(lit.any(axis=0))[-1] + 1, np.ptp(np.flatnonzero(lit.any(axis=1))) + 1


@pytest.mark.parametrize('size', SIZES)
def test_a_usual_status_is_as_high_as_letters_on_a_screen(size):
    width, height = size
    right, rows = extent(add_status(np.zeros((height, width, 3), np.uint8), 'hand 0.93'))
    assert rows >= max(8, height / 45)
    assert rows < height / 15
    assert right < width / 2


@pytest.mark.parametrize('size', SIZES)
def test_a_long_status_stays_in_the_picture_and_legible(size):
    width, height = size
    text = ', '.join(f'hand_{number} 0.93' for number in range(12))
    right, rows = extent(add_status(np.zeros((height, width, 3), np.uint8), text))
    assert 0.9 * width < right < width - 4
    assert rows >= 8


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('skeleton', [HAND, BODY], ids=lambda each: each.name)
def test_every_bone_is_seen_on_its_own_colour(size, skeleton):
    camera, subject = camera_of(size), estimate(skeleton, 0.9)
    pixels = camera.project(subject.positions)
    for parent, child in skeleton.bones:
        color = [round(255 * value) for value in reversed(skeleton.joints[child].color)]
        image = np.full((camera.height, camera.width, 3), color, np.uint8)
        u, v = ((pixels[parent] + pixels[child]) / 2).round().astype(int)
        drawn = draw_skeletons(image, camera, [subject], cube=False)
        around = drawn[v - 8 : v + 9, u - 8 : u + 9].astype(int) - color
        assert np.abs(around).max() > 60


@pytest.mark.parametrize('size', SIZES)
def test_uncertain_joints_are_hollow(size):
    camera = camera_of(size)
    black = np.zeros((camera.height, camera.width, 3), np.uint8)
    drawn = [
        draw_skeletons(black, camera, [estimate(HAND, confidence)], cube=False)
        for confidence in (0.9, 0.1)
    ]
    for (u, v), joint in zip(
        camera.project(estimate(HAND, 0.9).positions).round().astype(int),
        HAND.joints,
        strict=True,
    ):
        color = [round(255 * value) for value in reversed(joint.color)]
        assert np.abs(drawn[0][v, u].astype(int) - color).max() < 30
        assert drawn[1][v, u].max() < 100


def test_what_is_near_is_red_what_is_far_blue_and_nothing_black():
    depth = np.linspace(0.3, 2.0, 100, dtype=np.float32).reshape(10, 10)
    depth[5, 5] = 0
    blue, _, red = np.moveaxis(color_depth(depth).astype(int), 2, 0)
    assert red[0, 0] > blue[0, 0]
    assert blue[-1, -1] > red[-1, -1]
    assert not color_depth(depth)[5, 5].any()
    assert not color_depth(np.zeros((4, 4), np.float32)).any()
