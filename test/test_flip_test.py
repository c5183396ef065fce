"""The flip test: what is seen in the mirror is the mirror image of what is seen."""

import numpy as np
import pytest
import torch

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.models import load_model
from v2v_pose_ros.runtimes.flip_test import with_flip_test
from v2v_pose_ros.runtimes.torch_runtime import TorchRuntime
from v2v_pose_ros.skeletons import BODY, HAND

pytestmark = pytest.mark.usefixtures('one_thread')

CPU = torch.device('cpu')
CAMERA = Camera(320, 240, 285.7, 285.7, 159.5, 119.5)
CENTRE = np.array([0.013, 0.0, 2.5], np.float32)
MIRROR = np.array([-1, 1, 1], np.float32)


@pytest.fixture(scope='module')
def depth():
    """Something like a person who holds one arm out."""
    image = np.zeros((240, 320), np.float32)
    image[30:230, 130:180], image[80:110, 60:150] = 2.6, 2.3
    image += np.random.default_rng(1).normal(0, 0.01, image.shape).astype(np.float32) * (image > 0)
    return image


def read(depth, centre, *, flip_test):
    model = load_model('body_lite')
    runtimes = [TorchRuntime(model.network, CPU, torch.float32)]
    estimator = PoseEstimator([model], runtimes, min_confidence=0.0, flip_test=flip_test)
    (found,) = estimator(depth, CAMERA, centre, passes=1).skeletons
    return found


def test_people_change_sides_in_the_mirror_and_hands_are_not_symmetric():
    assert [BODY.names[i] for i in BODY.mirrored][:5] == [
        'head',
        'neck',
        'left_shoulder',
        'right_shoulder',
        'left_elbow',
    ]
    assert [BODY.mirrored[i] for i in BODY.mirrored] == list(range(len(BODY)))
    assert BODY.symmetric
    assert not HAND.symmetric


def test_a_mirrored_image_gives_the_mirrored_person(depth):
    seen = read(depth, CENTRE, flip_test=True)
    mirrored = read(np.ascontiguousarray(depth[:, ::-1]), CENTRE * MIRROR, flip_test=True)
    swapped = list(BODY.mirrored)
    np.testing.assert_allclose(mirrored.positions, seen.positions[swapped] * MIRROR, atol=1e-4)
    np.testing.assert_allclose(mirrored.confidences, seen.confidences[swapped], atol=1e-3)
    once = read(depth, CENTRE, flip_test=False)
    other = read(np.ascontiguousarray(depth[:, ::-1]), CENTRE * MIRROR, flip_test=False)
    assert np.abs(other.positions - once.positions[swapped] * MIRROR).max() > 0.01


def test_the_average_is_that_of_both_views():
    torch.manual_seed(1)
    weight = torch.randn(2, 1, 3, 3, 3)

    def network(grids):
        return torch.nn.functional.conv3d(grids, weight, padding=1)

    grids = torch.rand(3, 1, 8, 8, 8)
    wanted = torch.stack(
        [
            torch.stack(
                [
                    (network(grid[None])[0, j] + network(grid[None].flip(4))[0, 1 - j].flip(2)) / 2
                    for j in range(2)
                ]
            )
            for grid in grids
        ]
    )
    torch.testing.assert_close(with_flip_test(network, [1, 0], CPU)(grids), wanted)


def test_a_search_does_without_until_somebody_is_found(depth):
    class Counting(TorchRuntime):
        batches: tuple[int, ...] = ()

        def __call__(self, grids):
            self.batches += (len(grids),)
            return super().__call__(grids)

    model = load_model('body_lite')
    runtime = Counting(model.network, CPU, torch.float32)
    estimator = PoseEstimator([model], [runtime], min_confidence=0.0)
    estimator(depth, CAMERA)
    *search, last = runtime.batches
    assert last == 2
    assert set(search) == {1}
