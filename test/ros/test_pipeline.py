"""Parameters that change while the node runs, on their way to tracking and search."""

import itertools
import time

import numpy as np
import pytest
from rclpy.parameter import Parameter
from ros_bench import camera_info, depth_image, wait_until
import torch

from v2v_pose_ros.estimator import Estimate, PoseEstimator, SkeletonEstimate
from v2v_pose_ros.localization import LocalizerOptions
from v2v_pose_ros.ros.pipeline import Pipeline
from v2v_pose_ros.skeletons import HAND


class HesitantEstimator:
    """A PoseEstimator without a network: always 60 % sure of a hand amid the measurements."""

    model_names = ('hesitant',)
    runtime_name = 'none'
    cube_size = 0.25
    passes = 2
    handedness = 'right'

    def __init__(self, depth_range):
        self.localizer = LocalizerOptions(depth_range=depth_range)
        self.noise = itertools.repeat(0.0)
        self.device = 'cpu'
        self.failures, self.failed = iter(()), 0
        self.looks = []  # 'searched' or 'followed', one for each look at an image

    def warm_up(self):
        """Do nothing."""

    @property
    def devices(self):
        """Return where it runs."""
        return (torch.device(self.device),)

    def set_cube_size(self, cube_size):
        """Remember it."""
        self.cube_size = cube_size or 0.25

    def without(self, depth, camera, others, own=None):
        """There is nobody else."""
        return depth

    def __call__(
        self, depth, camera, reference=None, passes=None, subjects=1, handedness='right', **_
    ):
        """Return the hand, wherever it was looked for."""
        if error := next(self.failures, None):
            self.failed += 1
            raise error
        self.looks.append('searched' if reference is None else 'followed')
        points = camera.points(depth)
        hand = SkeletonEstimate(
            skeleton=HAND,
            positions=np.tile(points.mean(0) + next(self.noise), (len(HAND), 1)),
            confidences=np.full(len(HAND), 0.6, np.float32),
            covariances=np.zeros((len(HAND), 3, 3), np.float32),
            reference_point=points.mean(0),
            cube_size=self.cube_size,
            points=points,
            handedness=handedness,
        )
        return Estimate((hand,), {})


class Camera30Hz:
    """Shows images with the stamps of a camera, however long the test takes for each."""

    def __init__(self, bench):
        self.bench, self.stamps = bench, itertools.count(time.time(), 1 / 30)

    def show(self):
        """Show an image and return what was found in it."""
        image = self.bench.show(depth_image(stamp=next(self.stamps)), camera_info())
        return self.bench.receive_for('skeletons', image).skeletons


@pytest.fixture
def estimator(monkeypatch):
    """Return the estimator that a pipeline loads in this test."""
    estimator = HesitantEstimator((0.15, 1.5))

    def load(_models, **options):
        estimator.options = options
        return estimator

    monkeypatch.setattr(PoseEstimator, 'load', load)
    return estimator


def test_parameters_that_choose_the_networks_reach_the_estimator(bench, estimator):
    bench.start(Pipeline, (), refinement='hand_center', flip_test=True, runtime='torch')
    wait_until(lambda: hasattr(estimator, 'options'), 'the estimator')
    wanted = {'refinement': 'hand_center', 'flip_test': True, 'runtime': 'torch'}
    assert wanted.items() <= estimator.options.items()


def test_a_live_min_confidence_decides_what_is_followed(bench, estimator):
    node = bench.start(Pipeline, ('skeletons',), min_confidence=0.5)
    camera = Camera30Hz(bench)

    def looks_and_skeletons():
        """Show an image; return the looks at it and how many skeletons were published."""
        estimator.looks.clear()
        found = camera.show()
        return list(estimator.looks), len(found)

    def set_min_confidence(value):
        (result,) = node.set_parameters([Parameter('min_confidence', value=value)])
        assert result.successful

    assert looks_and_skeletons() == (['searched'], 1)
    assert looks_and_skeletons() == (['followed'], 1)
    set_min_confidence(0.7)
    # What was followed is not sure enough any more, and neither is what the search finds.
    assert looks_and_skeletons() == (['followed', 'searched'], 0)
    assert looks_and_skeletons() == (['followed', 'searched'], 0)
    set_min_confidence(0.55)
    assert looks_and_skeletons() == (['followed'], 1)
    assert looks_and_skeletons() == (['followed'], 1)


def test_a_live_depth_range_reaches_the_search_and_ends_the_following(bench, estimator):
    node = bench.start(Pipeline, ('skeletons',))
    camera = Camera30Hz(bench)
    for _ in range(2):
        camera.show()
    node.set_parameters([Parameter('max_depth', value=0.8)])
    camera.show()
    assert estimator.looks == ['searched', 'followed', 'searched']
    assert estimator.localizer.depth_range == (0.15, 0.8)


def test_a_live_cube_size_passes_and_tracking_reach_the_estimator(bench, estimator):
    node = bench.start(Pipeline, ('skeletons',))
    camera = Camera30Hz(bench)
    (skeleton,) = camera.show()
    assert skeleton.cube_size == 0.25
    changes = {'cube_size': 0.2, 'passes': 1, 'tracking': False}
    result = node.set_parameters_atomically(
        [Parameter(name, value=value) for name, value in changes.items()]
    )
    assert result.successful
    (skeleton,) = camera.show()
    assert skeleton.cube_size == 0.2
    assert estimator.passes == 1
    camera.show()
    assert estimator.looks == ['searched'] * 3


def test_the_filter_can_be_switched_on_while_running_and_steadies(bench, estimator):
    node = bench.start(Pipeline, ('skeletons',), filter_min_cutoff=0.5, filter_beta=0.0)
    camera = Camera30Hz(bench)
    estimator.noise = itertools.cycle([0.005, -0.005])

    def spread():
        xs = [camera.show()[0].poses[0].position.x for _ in range(12)]
        return max(xs[-4:]) - min(xs[-4:])

    assert spread() == pytest.approx(0.01, abs=1e-4)
    (result,) = node.set_parameters([Parameter('filter', value=True)])
    assert result.successful
    assert spread() < 0.003
    (result,) = node.set_parameters([Parameter('filter', value=False)])
    assert spread() == pytest.approx(0.01, abs=1e-4)


def test_a_new_subject_can_be_made_to_prove_itself(bench, estimator):
    bench.start(Pipeline, ('skeletons', 'diagnostics'), acquire_time=0.09, diagnostics_period=0.1)
    camera = Camera30Hz(bench)
    # Seen at 0, 33, 67 and 100 ms.
    assert [len(camera.show()) for _ in range(5)] == [0, 0, 0, 1, 1]
    while True:
        (status,) = bench.receive('diagnostics').status
        if {'tracking'} == {pair.value for pair in status.values if pair.key == 'tracking'}:
            break


@pytest.fixture
def gpu(monkeypatch):
    """Let torch tell the memory of a GPU that is not there."""
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda _: (6 * 2**30, 8 * 2**30))


@pytest.mark.usefixtures('gpu')
def test_a_gpu_that_runs_out_of_memory_once_is_an_error_and_goes_on(bench, estimator):
    estimator.device = 'cuda:0'
    estimator.failures = iter([torch.cuda.OutOfMemoryError('CUDA out of memory')])
    node = bench.start(Pipeline, ('skeletons', 'diagnostics'), diagnostics_period=0.1)
    bench.show(depth_image(), camera_info())
    bench.logged('CUDA out of memory')
    assert 'CUDA out of memory' in bench.receive_error().message
    assert len(Camera30Hz(bench).show()) == 1
    assert node._worker.estimator.degraded == ''
    (status,) = bench.receive('diagnostics').status
    assert '2.00 of 8.00 GiB in use' in [pair.value for pair in status.values]


@pytest.mark.usefixtures('gpu')
def test_a_gpu_that_fails_now_and_then_is_not_left(bench, estimator):
    estimator.device = 'cuda:0'
    error = RuntimeError('CUDA error')
    estimator.failures = iter([error, error, None, error, error, None])
    node = bench.start(Pipeline, ('skeletons',))
    camera = Camera30Hz(bench)
    for failed in (2, 4):
        for number in (failed - 1, failed):
            bench.show(depth_image(), camera_info())
            wait_until(lambda n=number: estimator.failed == n, 'the failure')
        assert len(camera.show()) == 1
    assert node._worker.estimator.degraded == ''


@pytest.mark.usefixtures('gpu')
def test_a_gpu_that_keeps_failing_is_left_for_the_cpu_and_told(bench, estimator, monkeypatch):
    estimator.device = 'cuda:0'
    estimator.failures = iter([RuntimeError('CUDA error: an illegal memory access')] * 3)
    devices = []

    def load(*_args, device, **_options):
        devices.append(device)
        return estimator if device == 'auto' else HesitantEstimator((0.15, 1.5))

    monkeypatch.setattr(PoseEstimator, 'load', load)
    node = bench.start(Pipeline, ('skeletons', 'diagnostics'), diagnostics_period=0.1)
    for number in range(1, 4):
        bench.show(depth_image(), camera_info())
        wait_until(lambda n=number: estimator.failed == n, 'the failure')
    assert len(Camera30Hz(bench).show()) == 1
    assert devices == ['auto', 'cpu']
    assert 'CUDA error' in node._worker.estimator.degraded
    wait_until(lambda: 'runs on the CPU' in bench.receive_error().message, 'the news')
