"""Clocks that are set, stand still or start over, of the camera and of the whole system."""

from functools import partial
import itertools
import math
import threading
import time

from fake_estimator import FakeEstimator
from geometry_msgs.msg import TransformStamped
import pytest
from ros_bench import camera_info, depth_image
from ros_rig import CAMERA, ends_well, wait_until
from rosgraph_msgs.msg import Clock
from test_estimator import Centroid, estimator
from tf2_ros import TransformBroadcaster

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.ros.pipeline import Pipeline

LATENCY = 'latency from stamp, p50'


def stamp_of(message):
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def latency_of(health):
    """Return the median latency (s) in a message of diagnostics; infinite if it has none."""
    (text,) = (each.value for each in health.status[0].values if each.key == LATENCY)
    return math.inf if text == 'unknown' else float(text.removesuffix(' ms')) / 1e3


@pytest.mark.parametrize(
    ('step', 'words'), [(3600.0, 'jumped forward by'), (-3600.0, 'ran backwards')]
)
def test_the_cameras_clock_is_set(rig, step, words):
    """It is told, and the images that follow are used with their stamps as they are."""
    process = rig.start_node()
    rig.start('--step', str(step), script=CAMERA)
    wait_until(lambda: rig.told(words), f'the news that stamps {words}')
    count = len(rig.skeletons)
    wait_until(lambda: len(rig.skeletons) > count + 10, 'skeletons afterwards')
    assert rig.skeletons[-1].skeletons
    steps = (stamp_of(rig.skeletons[-1]) - time.time()) / step
    assert round(steps) >= 1
    assert steps == pytest.approx(round(steps), abs=0.02)
    wait_until(lambda: rig.told('off this clock'), 'a word about the two clocks')
    assert ends_well(rig, process)


class SimulatedClock:
    """Publishes /clock at 50 Hz in a thread of its own; it can be set."""

    def __init__(self, node, now):
        self.now, self._publisher = now, node.create_publisher(Clock, '/clock', 1)
        self._running = True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while self._running:
            self.now += 0.02
            message = Clock()
            message.clock.sec, message.clock.nanosec = int(self.now), int(self.now % 1 * 1e9)
            self._publisher.publish(message)
            time.sleep(0.02)

    def stop(self):
        self._running = False
        self._thread.join()


def test_simulated_time_that_starts_over_and_jumps(rig):
    """As when a simulation is reset, or a recording is played in a loop with --clock."""
    process = rig.start_node('use_sim_time:=true')
    clock = SimulatedClock(rig.node, 100.0)
    try:
        for now in (100.0, 5.0, 4000.0):
            clock.now = now
            count = len(rig.skeletons)

            def seen(count=count):
                rig.show(depth_image(stamp=clock.now))
                time.sleep(0.03)
                return sum(bool(m.skeletons) for m in rig.skeletons[count:]) > 10

            wait_until(seen, f'skeletons at {now} s')
            rig.health.clear()

            def told(now=now):
                rig.show(depth_image(stamp=clock.now))
                time.sleep(0.03)
                return any(
                    now <= stamp_of(each) < now + 60 and abs(latency_of(each)) < 60
                    for each in rig.health
                )

            wait_until(told, f'diagnostics at {now} s')
    finally:
        clock.stop()
    assert ends_well(rig, process)


def test_transforms_of_a_recording_that_starts_over_are_used(bench):
    """tf2 refuses what is older than its memory of 10 s: it has to be told to forget."""
    bench.start(FakeEstimator, ('skeletons',), output_frame='map')
    broadcaster = TransformBroadcaster(bench.camera)

    def play(begin):
        """Show images and transforms from a time on; tell whether both came together."""
        for number in itertools.count():
            stamp = begin + number / 30
            transform = TransformStamped(child_frame_id='camera_depth_optical_frame')
            transform.header.frame_id = 'map'
            for shift in (-0.01, 0.01):
                when = stamp + shift
                transform.header.stamp.sec = int(when)
                transform.header.stamp.nanosec = int(when % 1 * 1e9)
                transform.transform.rotation.w = 1.0
                broadcaster.sendTransform(transform)
            image = bench.show(depth_image(stamp=stamp), camera_info())
            if bench.receive_for('skeletons', image).header.frame_id == 'map':
                return True
            if number > 100:
                return False
        return False

    assert play(1000.0)
    assert play(1060.0)
    assert play(1000.0)


def test_tracking_starts_afresh_when_stamps_jump_by_less_than_the_time_to_lose(bench, monkeypatch):
    """What is followed is not where it was, though it would not be lost for so long."""
    network = Centroid()
    load = partial(estimator, network, passes=1)
    monkeypatch.setattr(PoseEstimator, 'load', lambda *_args, **_options: load())
    node = bench.start(Pipeline, ('skeletons',), lose_time=10.0)
    for begin in (1000.0, 1009.0):
        for number in range(5):
            image = bench.show(depth_image(stamp=begin + number / 30), camera_info())
            assert len(bench.receive_for('skeletons', image).skeletons) == 1
    assert node._worker.estimator._tracker.acquisitions == 2
