"""The synthetic camera's scene: what it shows agrees with what it says."""

import numpy as np
import pytest
import torch

from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import FARTHEST, HandCameraScene, NEAREST, person
from v2v_pose_ros.synthesis.quick_sensor import SensorNoise

CAMERA = sr305()
TIMES = np.arange(0.0, 40.0, 0.57)


@pytest.fixture(scope='module', autouse=True)
def _one_thread():
    """Threads cost more than they gain on such small work, most of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def exact() -> HandCameraScene:
    return HandCameraScene(CAMERA, seed=3, noise=False, background=False)


def test_the_camera_is_an_sr305_scaled_to_the_image():
    half = sr305(320, 240)
    assert (CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy) == (476.0, 476.0, 313.7, 242.8)
    assert (half.fx, half.cy) == (238.0, 121.4)


def test_projection_is_the_pinhole_model():
    points = np.array([[0.0, 0.0, 0.5], [0.1, -0.2, 0.5]])
    np.testing.assert_allclose(
        CAMERA.project(points),
        [[313.7, 242.8], [313.7 + 476 * 0.2, 242.8 - 476 * 0.4]],
        rtol=1e-6,
    )


@pytest.mark.parametrize('seed', [0, 1])
def test_every_joint_stays_in_the_image(seed):
    scene = HandCameraScene(CAMERA, seed, noise=False, background=False)
    for time in TIMES:
        _, joints = scene.frame(time)
        column, row = CAMERA.project(joints).T
        assert (column >= 0).all(), time
        assert (column <= CAMERA.width - 1).all(), time
        assert (row >= 0).all(), time
        assert (row <= CAMERA.height - 1).all(), time


def test_the_hand_moves_in_its_range_of_distance(exact):
    distances = np.array([exact.frame(time)[1][:, 2].mean() for time in TIMES])
    assert NEAREST - 0.05 < distances.min() < 0.42
    assert 0.52 < distances.max() < FARTHEST + 0.05


def test_visible_fingertips_lie_just_under_the_surface(exact):
    """A tip is the middle of a fingertip some 7 mm thick; one seen from its end is deeper."""
    tips = HAND.indices([f'{finger}_tip' for finger in FINGERS])
    behind = []
    for time in TIMES:
        depth, joints = exact.frame(time)
        column, row = CAMERA.project(joints[tips]).round().astype(int).T
        surface = depth[row, column]
        behind.extend((joints[tips, 2] - surface)[surface > 0])
    behind = np.array(behind)
    visible = np.abs(behind) < 0.02  # others hide behind the hand
    assert visible.mean() > 0.6
    assert (np.abs(behind[visible]) < 0.015).mean() > 0.97
    assert 0.002 < np.median(behind[visible]) < 0.012
    # Nothing is ever in front of the skin.
    assert (behind > -0.006).mean() > 0.99


def test_motion_is_smooth(exact):
    """No joint of a hand moves faster than 2 m/s, nor jumps."""
    joints = np.stack([exact.frame(step / 30)[1] for step in range(240)])
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2) * 30
    assert speed.max() < 2.0
    assert speed.mean() > 0.02


def test_hands_are_hands_at_all_times(exact):
    """Bones keep their lengths, whatever the pose."""
    bones = np.array([(a, b) for a, b in HAND.bones if a])
    lengths = []
    for time in TIMES[:30]:
        _, joints = exact.frame(time)
        lengths.append(np.linalg.norm(joints[bones[:, 0]] - joints[bones[:, 1]], axis=1))
    assert np.ptp(lengths, axis=0).max() < 1e-4


def test_the_same_seed_gives_the_same_frames_in_any_order():
    first, second = HandCameraScene(CAMERA, 5), HandCameraScene(CAMERA, 5)
    expected = {time: first.frame(time) for time in (0.0, 1.5, 7.25)}
    for time in (7.25, 0.0, 1.5):
        depth, joints = second.frame(time)
        np.testing.assert_array_equal(depth, expected[time][0])
        np.testing.assert_array_equal(joints, expected[time][1])


def test_another_seed_gives_another_hand_and_another_path():
    _, one = HandCameraScene(CAMERA, 1).frame(2.0)
    _, two = HandCameraScene(CAMERA, 2).frame(2.0)
    assert np.abs(one - two).max() > 0.01


def test_frames_are_not_views_of_each_other():
    scene = HandCameraScene(CAMERA, 0)
    depth, _ = scene.frame(0.0)
    depth[:] = 0
    assert (scene.frame(0.0)[0] > 0).mean() > 0.9


@pytest.mark.parametrize('size', [(640, 480), (320, 240), (848, 480)])
def test_frames_have_the_size_and_type_of_the_camera(size):
    depth, joints = HandCameraScene(sr305(*size), 0).frame(1.0)
    assert depth.shape == size[::-1]
    assert depth.dtype == np.float32
    assert joints.shape == (21, 3)


def test_the_person_is_behind_the_hand_and_before_the_wall():
    still = person(CAMERA)
    assert (still > 0).all()
    trunk = still[400, 370]
    assert FARTHEST + 0.2 < trunk < 1.1
    assert still[10, 10] > 1.3


def test_noise_keeps_the_scene_but_costs_some_pixels():
    exact = HandCameraScene(CAMERA, 4, noise=False).frame(3.0)[0]
    noisy = HandCameraScene(CAMERA, 4, noise=True).frame(3.0)[0]
    assert 0.003 < (noisy == 0).mean() < 0.15
    both = noisy > 0
    assert np.median(np.abs(noisy - exact)[both]) < 0.01
    near = both & (exact < 0.7)
    assert np.std((noisy - exact)[near]) < 0.003


def test_range_noise_grows_with_the_square_of_the_distance():
    noise = SensorNoise(CAMERA, 0, edge_loss=0, holes=0)
    deviations = []
    for distance in (0.5, 1.0):
        flat = np.full((CAMERA.height, CAMERA.width), distance, np.float32)
        deviations.append(np.std(noise.views(flat)[0] - flat))
    assert deviations[1] / deviations[0] == pytest.approx(4, rel=0.1)
    assert deviations[1] == pytest.approx(np.hypot(0.0018, 0.0022), rel=0.25)


def test_the_projectors_shadow_lies_to_the_right_of_the_hand():
    noise = SensorNoise(CAMERA, 0, edge_loss=0, holes=0)
    window = np.full((20, 120), 1.0, np.float32)
    hand = np.zeros_like(window)
    hand[5:15, 30:50] = 0.4
    noise.blend(window, hand, np.random.default_rng(0))
    # f b (1/z - 1/z') pixels wide, with the background taken half a metre behind the hand.
    width = int(476 * 0.035 * (1 / 0.4 - 1 / 0.9))
    np.testing.assert_array_equal(window[5:15, 50 : 50 + width], 0)
    assert (window[5:15, 50 + width + 1 :] > 0.9).all()
    assert (window[:, :30] > 0.9).all()
    assert np.abs(window[5:15, 30:50] - 0.4).max() < 0.01
