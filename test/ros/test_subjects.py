"""Several subjects on every topic, under names that stay theirs."""

from array import array
import itertools
import time

import numpy as np
import pytest
from rclpy.parameter import Parameter
from ros_bench import camera_info, depth_image
from sensor_msgs.msg import CameraInfo, Image
from test_estimator import Centroid, estimator
from test_several_subjects import scene
from visualization_msgs.msg import Marker

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.ros.pipeline import Pipeline
from v2v_pose_ros.skeletons import HAND

LEFT, RIGHT = (-0.15, 0.0, 0.5), (0.2, 0.0, 0.7)


class Camera30Hz:
    """Shows squares at places, with the stamps of a camera."""

    def __init__(self, bench):
        self.bench, self.stamps = bench, itertools.count(time.time(), 1 / 30)

    def show(self, *places, times=1):
        """Show images and return the last one with the names of those seen in it."""
        for _ in range(times):
            depth = (scene(*places) * 1000).astype('<u2')
            image: Image = depth_image(next(self.stamps), width=320, height=240, step=640)
            image.data = array('B', depth.tobytes())
            info: CameraInfo = camera_info(320, 240, 240.0)
            self.bench.show(image, info)
            message = self.bench.receive_for('skeletons', image)
        return image, {each.subject_id: each for each in message.skeletons}


@pytest.fixture
def network(monkeypatch):
    """Let the pipeline load a network that sees a hand in every square."""
    network = Centroid()
    monkeypatch.setattr(
        PoseEstimator, 'load', lambda *_args, **_options: estimator(network, passes=2)
    )
    return network


@pytest.mark.usefixtures('network')
def test_every_topic_shows_all_of_them(bench):
    topics = ('skeletons', 'poses', 'markers', 'points', 'tf', 'overlay')
    bench.start(Pipeline, topics, max_subjects=2)
    camera = Camera30Hz(bench)
    image, found = camera.show(LEFT, RIGHT, times=4)
    assert set(found) == {'hand', 'hand_2'}
    for name, place in (('hand', LEFT), ('hand_2', RIGHT)):
        where = found[name].poses[0].position
        assert [where.x, where.y, where.z] == pytest.approx(place, abs=0.02)
    assert len(bench.receive_for('poses', image).poses) == 2 * len(HAND)
    while True:
        markers = bench.receive('markers').markers
        if markers and markers[0].header.stamp == image.header.stamp:
            break
    assert {marker.ns for marker in markers} == {'hand', 'hand_2'}
    while True:
        transforms = bench.receive('tf').transforms
        if transforms[0].header.stamp == image.header.stamp:
            break
    joints = {f'{name}/{joint}' for name in found for joint in HAND.names}
    assert {transform.child_frame_id for transform in transforms} == joints
    points = bench.receive_for('points', image)
    xs = np.frombuffer(points.data, '<f4').reshape(-1, 3)[:, 0]
    assert xs.min() < -0.1
    assert xs.max() > 0.15
    assert bench.receive_for('overlay', image).width == 320


@pytest.mark.usefixtures('network')
def test_whoever_leaves_takes_name_and_markers_along(bench):
    bench.start(Pipeline, ('skeletons', 'markers'), max_subjects=2, lose_time=0.2)
    camera = Camera30Hz(bench)
    assert set(camera.show(LEFT, RIGHT, times=4)[1]) == {'hand', 'hand_2'}
    assert set(camera.show(LEFT, times=10)[1]) == {'hand'}
    while True:
        gone = {m.ns for m in bench.receive('markers').markers if m.action == Marker.DELETE}
        if gone:
            break
    assert gone == {'hand_2'}
    assert set(camera.show(LEFT, RIGHT, times=4)[1]) == {'hand', 'hand_3'}


@pytest.mark.usefixtures('network')
def test_how_many_can_be_changed_while_running(bench):
    node = bench.start(Pipeline, ('skeletons', 'diagnostics'), diagnostics_period=0.1)
    camera = Camera30Hz(bench)
    assert set(camera.show(LEFT, RIGHT, times=6)[1]) == {'hand'}
    (result,) = node.set_parameters([Parameter('max_subjects', value=2)])
    assert result.successful
    assert set(camera.show(LEFT, RIGHT, times=4)[1]) == {'hand', 'hand_2'}
    while True:
        (status,) = bench.receive('diagnostics').status
        if {pair.value for pair in status.values if pair.key == 'tracking'} == {'2 tracking'}:
            break
    (result,) = node.set_parameters([Parameter('max_subjects', value=1)])
    assert result.successful
    assert set(camera.show(LEFT, RIGHT)[1]) == {'hand'}


@pytest.mark.usefixtures('network')
def test_without_tracking_they_are_counted_image_by_image(bench):
    bench.start(Pipeline, ('skeletons',), max_subjects=3, tracking=False)
    camera = Camera30Hz(bench)
    assert set(camera.show(LEFT, RIGHT)[1]) == {'hand', 'hand_2'}
    assert set(camera.show(RIGHT)[1]) == {'hand'}


@pytest.mark.usefixtures('network')
def test_each_has_a_filter_of_its_own(bench):
    """Two at rest stay where they are, however often they take turns in being seen."""
    bench.start(
        Pipeline,
        ('skeletons',),
        max_subjects=2,
        filter=True,
        filter_min_cutoff=0.5,
        filter_beta=0.0,
    )
    camera = Camera30Hz(bench)
    camera.show(LEFT, RIGHT, times=4)
    for places in ((LEFT,), (RIGHT,), (LEFT, RIGHT)) * 3:
        for name, skeleton in camera.show(*places)[1].items():
            where = skeleton.poses[0].position
            expected = LEFT if name == 'hand' else RIGHT
            assert [where.x, where.y, where.z] == pytest.approx(expected, abs=0.02)
