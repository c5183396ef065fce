"""Where the subject is, on rendered and hand-made scenes."""

import numpy as np
import pytest

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.localization import (
    crop_points,
    find_reference,
    LocalizerOptions,
    look_over,
    refinement_crop,
)
from v2v_pose_ros.localization.planes import on_planes
from v2v_pose_ros.localization.thinned import thin

CAMERA = Camera(320, 240, 240.0, 240.0, 159.5, 119.5)
CUBE = 0.25


def scene(*boxes):
    """A depth image with flat rectangles: (left, top, right, bottom in metres, depth)."""
    depth = np.zeros((240, 320), np.float32)
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    for left, top, right, bottom, z in sorted(boxes, key=lambda box: -box[-1]):
        x, y = (columns - 159.5) / 240 * z, (rows - 119.5) / 240 * z
        depth[(x >= left) & (x < right) & (y >= top) & (y < bottom)] = z
    return depth


HAND = (0.05, -0.05, 0.15, 0.05, 0.5)
WALL = (-1, -1, 1, 1, 1.2)


def test_the_nearest_thing_is_found_before_a_wall():
    reference = find_reference(scene(WALL, HAND), CAMERA, CUBE)
    np.testing.assert_allclose(reference, [0.1, 0.0, 0.5], atol=0.006)


def test_specks_nearer_than_the_hand_do_not_distract():
    depth = scene(WALL, HAND)
    depth[20:23, 40:44] = 0.25
    np.testing.assert_allclose(find_reference(depth, CAMERA, CUBE), [0.1, 0.0, 0.5], atol=0.006)


def test_the_range_decides_what_is_looked_at():
    near = (-0.2, -0.05, -0.1, 0.05, 0.3)
    depth = scene(WALL, HAND, near)
    options = LocalizerOptions(depth_range=(0.4, 1.0))
    np.testing.assert_allclose(
        find_reference(depth, CAMERA, CUBE, options), [0.1, 0, 0.5], atol=0.006
    )
    assert find_reference(depth, CAMERA, CUBE, LocalizerOptions(depth_range=(0.7, 1.0))) is None


@pytest.mark.parametrize('value', [0.0, 5.0])
def test_nothing_in_range_gives_none(value):
    assert find_reference(np.full((240, 320), value, np.float32), CAMERA, CUBE) is None


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match='depth_range'):
        LocalizerOptions(depth_range=(1.0, 0.5))


@pytest.mark.parametrize('reference', [(0.1, 0.0, 0.5), (-0.3, 0.2, 0.6), (0.0, 0.0, 0.15)])
def test_cropping_equals_a_search_through_all_points(reference):
    depth = np.random.default_rng(0).uniform(0.05, 1.0, (240, 320)).astype(np.float32)
    depth[::2] = 0
    reference = np.array(reference, np.float32)
    points = crop_points(depth, CAMERA, reference, CUBE)
    everything = CAMERA.points(depth)
    inside = (np.abs(everything - reference) < CUBE / 2 - 1e-6).all(axis=1)
    assert abs(len(points) - inside.sum()) <= 2  # points on a face
    assert {tuple(p) for p in everything[inside]} <= {tuple(p) for p in points}


def test_a_cube_outside_the_image_is_empty():
    points = crop_points(scene(WALL), CAMERA, np.array([9, 9, 1.2], np.float32), CUBE)
    assert points.shape == (0, 3)


def test_the_refinement_crop_is_metric_and_centred():
    crop = refinement_crop(scene(HAND), CAMERA, np.array([0.1, 0, 0.5], np.float32), CUBE)[0, 0]
    inside = crop < 0.5
    rows, columns = np.nonzero(inside)
    assert inside.mean() == pytest.approx((0.1 / CUBE) ** 2, rel=0.05)
    assert rows.mean() == pytest.approx(63.5, abs=1)
    assert columns.mean() == pytest.approx(63.5, abs=1)
    assert np.abs(crop[inside]).max() < 1e-6
    assert (crop[~inside] == 1).all()


ROOM = LocalizerOptions((0.5, 6.0))
RAYS = np.stack([np.broadcast_to(ray, (240, 320)) for ray in CAMERA.rays], axis=-1)


def corner(noise):
    """Floor 1 m below the camera and a wall 3 m before it; noise grows with the square of z."""
    down = np.where(RAYS[..., 1] > 0, RAYS[..., 1], 1e-6)
    depth = np.minimum(1.0 / down, 3.0)
    depth += np.random.default_rng(0).normal(0, noise, depth.shape) * depth**2
    return depth.astype(np.float32)


@pytest.mark.parametrize('noise', [0.0, 0.0015], ids=['exact', 'as a Kinect'])
def test_floor_and_wall_are_taken_out_and_who_stands_there_is_not(noise):
    """Somebody 0.5 m wide and 1.6 m high, flatter than anybody, 0.6 m before the wall."""
    x, y = RAYS[..., 0] * 2.4, RAYS[..., 1] * 2.4
    stands = (np.abs(x) < 0.25) & (y < 1.0) & (y > -0.6)
    image = thin(np.where(stands, np.float32(2.4), corner(noise)), CAMERA, ROOM)
    person = thin(np.where(stands, np.float32(2.4), np.float32(0)), CAMERA, ROOM).valid
    flat = on_planes(image, image.valid, 1.0)
    assert flat[image.valid & ~person].mean() > 0.95
    assert flat[person].mean() < 0.12  # the feet belong to the floor


def test_a_plane_leaves_what_crosses_it():
    """A ball of 0.6 m, the front half of it before a wall: its rim alone is near the wall."""
    x, y = RAYS[..., 0] * 2.7, RAYS[..., 1] * 2.7
    inside = np.hypot(x, y) < 0.3
    front = 3.0 - np.sqrt(np.maximum(0.3**2 - x**2 - y**2, 0))
    depth = np.where(inside, front, 3.0).astype(np.float32)
    image = thin(depth, CAMERA, ROOM)
    ball = thin(np.where(inside, depth, 0).astype(np.float32), CAMERA, ROOM).valid
    flat = on_planes(image, image.valid, 1.0)
    assert flat[image.valid & ~ball].all()
    assert flat[ball].mean() < 0.3


def test_planes_of_people_s_size_are_no_rooms():
    depth = scene((-0.3, -0.8, 0.3, 0.8, 2.5))  # 0.96 square metres
    image = thin(depth, CAMERA, ROOM)
    assert not on_planes(image, image.valid, 1.1).any()
    assert on_planes(image, image.valid, 0.6)[image.valid].mean() > 0.9


def test_only_the_pixels_asked_for_are_taken_out():
    image = thin(corner(0.0), CAMERA, ROOM)
    left = image.valid.copy()
    left[:, left.shape[1] // 2 :] = False
    flat = on_planes(image, left, 1.0)
    assert flat[left].mean() > 0.95
    assert not flat[~left].any()


def test_looking_over_goes_everywhere_on_what_is_near_and_there_alone():
    board = (-0.3, -0.22, 0.3, 0.22, 0.6)
    places = np.array(
        list(look_over(scene(WALL, board), CAMERA, CUBE, LocalizerOptions(), 'hand'))
    )
    columns, rows = np.meshgrid(np.linspace(-0.29, 0.29, 9), np.linspace(-0.21, 0.21, 7))
    for x, y in zip(columns.ravel(), rows.ravel(), strict=True):
        assert np.abs(places - [x, y, 0.6]).max(axis=1).min() < 0.6 * CUBE
    assert np.abs(places[:, 2] - 0.6).max() < 0.05, 'the wall is farther away than two cubes'
    assert len(places) < 60


def test_looking_over_nothing_or_for_people_gives_nothing():
    nothing, options = np.zeros((240, 320), np.float32), LocalizerOptions()
    assert list(look_over(nothing, CAMERA, CUBE, options, 'hand')) == []
    assert list(look_over(scene(WALL, HAND), CAMERA, 2.0, options, 'body')) == []
