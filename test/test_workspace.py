"""What is left of a depth image, compared with every point on its own."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from scipy.spatial.transform import Rotation

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.workspace import keep_box, keep_region, RigidTransform


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_box_keeps_the_points_in_it_and_no_others(seed):
    random = np.random.default_rng(seed)
    camera = Camera(40, 30, *random.uniform(25, 60, 2), *random.uniform(10, 25, 2))
    depth = random.uniform(0.3, 1.5, (30, 40)).astype(np.float32)
    depth[random.random((30, 40)) < 0.2] = 0
    turn = Rotation.random(random_state=seed)
    transform = RigidTransform(turn.as_matrix(), random.normal(size=3))
    low = transform.apply(np.array([0, 0, 0.8])) - random.uniform(0.05, 0.6, 3)
    high = low + random.uniform(0.1, 1.0, 3)
    low[random.random(3) < 0.3], high[random.random(3) < 0.3] = -np.inf, np.inf
    kept = keep_box(depth, camera, transform, low, high)
    for v in range(30):
        for u in range(40):
            z = float(depth[v, u])
            point = np.array([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z])
            place = turn.apply(point) + transform.translation
            margin = np.minimum(place - low, high - place).min()
            if abs(margin) > 1e-5:
                assert kept[v, u] == (depth[v, u] if margin > 0 else 0)


@given(*[st.integers(-20, 60)] * 2, *[st.integers(0, 80)] * 2)
def test_a_region_keeps_its_pixels_and_no_others(left, top, width, height):
    depth = np.arange(1, 1201, dtype=np.float32).reshape(30, 40)
    kept = keep_region(depth, left, top, width, height)
    rows, columns = np.mgrid[:30, :40]
    inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    np.testing.assert_array_equal(kept, np.where(inside, depth, 0))


def test_a_transform_takes_points_along():
    turn = RigidTransform(Rotation.from_euler('z', 90, degrees=True).as_matrix(), np.ones(3))
    np.testing.assert_allclose(turn.apply(np.array([[1.0, 0, 0]])), [[1, 2, 1]], atol=1e-12)
    point = np.array([0.1, 0.2, 0.3])
    np.testing.assert_array_equal(RigidTransform.identity().apply(point), point)
