"""Rendering row by row agrees with rendering by candidates, and with geometry."""

import numpy as np
import pytest
import torch

from v2v_pose_ros.synthesis.primitives import superquadric_faces, superquadrics
from v2v_pose_ros.synthesis.rasterizer import rasterize
from v2v_pose_ros.synthesis.scanlines import scan

CAMERA = (120.0, 130.0, 31.3, 22.7)
SIZE = (48, 64)


@pytest.mark.parametrize('seed', range(30))
def test_it_agrees_with_the_rasterizer(seed):
    rng = np.random.default_rng(seed)
    centre = rng.uniform((-0.2, -0.15, 0.35), (0.2, 0.15, 0.8), (30, 1, 3))
    vertices = (centre + rng.normal(0, 0.06, (30, 3, 3))).reshape(-1, 3).astype(np.float32)
    faces = np.arange(90).reshape(30, 3)
    mine = scan(vertices, faces, CAMERA, SIZE)
    theirs = rasterize(
        torch.from_numpy(vertices)[None], torch.from_numpy(faces), torch.tensor([CAMERA]), SIZE
    )[0].numpy()
    # float32 and float64 may disagree on pixels that an edge runs through.
    agree = np.isclose(mine, theirs, atol=1e-4)
    assert (~agree).sum() <= 3
    assert (mine > 0).any()


def test_a_sphere_has_the_depth_of_a_sphere():
    radius, distance = 0.1, 0.5
    vertices = superquadrics(torch.full((3,), radius), torch.ones(2)).numpy()
    vertices = vertices + np.array([0, 0, distance], np.float32)
    depth = scan(vertices, superquadric_faces().numpy(), CAMERA, SIZE)
    assert depth[23, 31] == pytest.approx(distance - radius, abs=0.006)
    # The outline of a sphere: sin(angle) = radius / distance; the mesh is inside it.
    covered = (depth > 0).sum() / (120 * 130)
    tangent = np.tan(np.arcsin(radius / distance))
    assert covered == pytest.approx(np.pi * tangent**2, rel=0.12)


def test_back_faces_and_what_is_too_near_are_left_out():
    front = np.array([[-0.1, -0.1, 0.5], [0.0, 0.1, 0.5], [0.1, -0.1, 0.5]], np.float32)
    assert (scan(front, np.array([[0, 1, 2]]), CAMERA, SIZE) > 0).any()
    assert not scan(front, np.array([[0, 2, 1]]), CAMERA, SIZE).any()
    near = front * np.array([1, 1, 0.02], np.float32)
    assert not scan(near, np.array([[0, 1, 2]]), CAMERA, SIZE).any()


def test_a_triangle_larger_than_the_image_fills_it():
    huge = np.array([[-9, -9, 0.5], [0, 20, 0.5], [9, -9, 0.5]], np.float32)
    np.testing.assert_allclose(scan(huge, np.array([[0, 1, 2]]), CAMERA, SIZE), 0.5, rtol=1e-6)


def test_edges_shared_by_triangles_have_no_gap():
    """Level, upright and slanted edges right through the middles of pixels."""
    grid = np.array([[x, y, 1.0] for y in range(5) for x in range(5)], np.float32)
    grid[:, :2] = grid[:, :2] * 10 + 2
    faces = []
    for y in range(4):
        for x in range(4):
            a = 5 * y + x
            faces += [[a, a + 5, a + 1], [a + 1, a + 5, a + 6]]
    depth = scan(grid, np.array(faces), (1.0, 1.0, 0.0, 0.0), SIZE)
    np.testing.assert_array_equal(depth[2:43, 2:43], 1.0)
    assert (depth > 0).sum() == 41 * 41


def test_nothing_gives_an_empty_image():
    empty = scan(np.zeros((3, 3), np.float32), np.zeros((0, 3), int), CAMERA, SIZE)
    assert empty.shape == SIZE
    assert not empty.any()
