"""Where the subject is, on rendered and hand-made scenes."""

import numpy as np
import pytest

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.localization import (
    crop_points,
    find_reference,
    LocalizerOptions,
    refinement_crop,
)

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
