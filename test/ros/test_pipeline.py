"""Parameters that change while the node runs, on their way to tracking and search."""

import numpy as np
import pytest
from rclpy.parameter import Parameter
from ros_bench import camera_info, depth_image

from v2v_pose_ros.estimator import Estimate, PoseEstimator, SkeletonEstimate
from v2v_pose_ros.localization import LocalizerOptions
from v2v_pose_ros.ros.pipeline import Pipeline
from v2v_pose_ros.skeletons import HAND


class HesitantEstimator:
    """A PoseEstimator without a network: always 60 % sure of a hand amid the measurements."""

    model_names = ('hesitant',)
    runtime_name = 'none'

    def __init__(self, depth_range):
        self.localizer = LocalizerOptions(depth_range=depth_range)
        self.looks = []  # 'searched' or 'followed', one for each look at an image

    def warm_up(self):
        """Do nothing."""

    def __call__(self, depth, camera, reference=None, passes=None):
        """Return the hand, wherever it was looked for."""
        self.looks.append('searched' if reference is None else 'followed')
        points = camera.points(depth)
        hand = SkeletonEstimate(
            skeleton=HAND,
            positions=np.tile(points.mean(0), (len(HAND), 1)),
            confidences=np.full(len(HAND), 0.6, np.float32),
            covariances=np.zeros((len(HAND), 3, 3), np.float32),
            reference_point=points.mean(0),
            cube_size=0.25,
            points=points,
        )
        return Estimate((hand,), {})


@pytest.fixture
def estimator(monkeypatch):
    """Return the estimator that a pipeline loads in this test."""
    estimator = HesitantEstimator((0.15, 1.5))
    monkeypatch.setattr(PoseEstimator, 'load', lambda *_args, **_options: estimator)
    return estimator


def test_a_live_min_confidence_decides_what_is_followed(bench, estimator):
    node = bench.start(Pipeline, ('skeletons',), min_confidence=0.5)

    def looks_and_skeletons():
        """Show an image; return the looks at it and how many skeletons were published."""
        estimator.looks.clear()
        image = bench.show(depth_image(), camera_info())
        found = bench.receive_for('skeletons', image).skeletons
        return list(estimator.looks), len(found)

    def set_min_confidence(value):
        (result,) = node.set_parameters([Parameter('min_confidence', value=value)])
        assert result.successful

    assert looks_and_skeletons() == (['searched'], 1)
    assert looks_and_skeletons() == (['followed'], 1)
    set_min_confidence(0.7)
    # What was followed is not sure enough any more, and neither is what the search finds.
    assert looks_and_skeletons() == (['followed', 'searched'], 0)
    assert looks_and_skeletons() == (['searched'], 0)
    set_min_confidence(0.55)
    assert looks_and_skeletons() == (['searched'], 1)
    assert looks_and_skeletons() == (['followed'], 1)


def test_a_live_depth_range_reaches_the_search_and_ends_the_following(bench, estimator):
    node = bench.start(Pipeline, ('skeletons',))
    for _ in range(2):
        image = bench.show(depth_image(), camera_info())
        bench.receive_for('skeletons', image)
    node.set_parameters([Parameter('max_depth', value=0.8)])
    image = bench.show(depth_image(), camera_info())
    bench.receive_for('skeletons', image)
    assert estimator.looks == ['searched', 'followed', 'searched']
    assert estimator.localizer.depth_range == (0.15, 0.8)
