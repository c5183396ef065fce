"""Where a camera stands, from points that camera and robot know."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from v2v_pose_ros.teleoperation.registration import register
from v2v_pose_ros.workspace import RigidTransform

TABLE = np.array([[0.3, 0.2, 0.0], [0.3, -0.2, 0.0], [0.6, -0.2, 0.0], [0.6, 0.2, 0.0]])


def draw(rng) -> RigidTransform:
    return RigidTransform(Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3))


@given(st.integers(0, 2**32 - 1))
def test_exact_points_give_the_exact_transform(seed):
    truth = draw(np.random.default_rng(seed))
    back = RigidTransform(truth.rotation.T, -truth.rotation.T @ truth.translation)
    found, off = register(back.apply(TABLE), TABLE)
    np.testing.assert_allclose(found.rotation, truth.rotation, atol=1e-7)
    np.testing.assert_allclose(found.translation, truth.translation, atol=1e-7)
    np.testing.assert_allclose(off, 0.0, atol=1e-7)


def test_fingertips_that_are_some_millimetres_off_put_the_camera_within_a_centimetre():
    """The error that the README states for fingertips, nine points on a table."""
    rng = np.random.default_rng(0)
    points = np.array([(x, y, 0.0) for x in (0.3, 0.45, 0.6) for y in (-0.2, 0.0, 0.2)])
    errors = []
    for _ in range(50):
        truth = draw(rng)
        back = RigidTransform(truth.rotation.T, -truth.rotation.T @ truth.translation)
        seen = back.apply(points) + rng.normal(scale=0.005, size=points.shape)
        found, off = register(seen, points)
        middle = back.apply(points.mean(axis=0))
        errors.append(np.linalg.norm(found.apply(middle) - points.mean(axis=0)))
        assert off.max() < 0.03
    assert np.mean(errors) < 0.01


def test_a_mirrored_frame_is_no_answer():
    found, _ = register(TABLE * [1, -1, 1] + [0, 0, 0.1], TABLE)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ('seen', 'known', 'words'),
    [
        (TABLE[:2], TABLE[:2], 'three or more points'),
        (TABLE, TABLE[:3], 'three or more points'),
        (TABLE[:, :2], TABLE[:, :2], 'three or more points'),
        (np.outer(np.arange(5), [0.1, 0, 0]), np.outer(np.arange(5), [0.1, 0, 0]), 'one line'),
    ],
)
def test_points_that_say_too_little_are_refused(seen, known, words):
    with pytest.raises(ValueError, match=words):
        register(seen, known)
