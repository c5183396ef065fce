"""What the viewer costs the pose node: publishing to it, against the frame that is published.

    .venv/bin/ros-env .venv/bin/python benchmarks/viewer_cost.py

The viewer runs as a process of its own and writes a file. Frames are estimated at --rate, in turn
with and without publishing the skeletons to it, and the processor time of the whole process, the
threads of the middleware included, is compared; other work on the machine lengthens it little.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time

import numpy as np
import rclpy
from rclpy.node import Node
from std_msgs.msg import Header

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.ros.outputs import Outputs, View
from v2v_pose_ros.subjects import name_subjects
from v2v_pose_ros.synthesis.kinds import KINDS
from v2v_pose_ros.tracking import Tracker, TrackerOptions

FRAMES = 60  # of the scene; every round shows all of them
DISCOVERY = 60.0  # seconds for the viewer to appear


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='hand_lite')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--rate', type=float, default=30.0, help='frames per second')
    options = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('v2v_pose')
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'view.rrd'
        program = [sys.executable, '-m', 'v2v_pose_ros.ros.viewer_node', '--ros-args']
        viewer = subprocess.Popen([*program, '-p', f'file:={file}'])
        try:
            print(json.dumps(measure(node, options), indent=2))
        finally:
            viewer.terminate()
            viewer.wait()
            rclpy.try_shutdown()


def measure(node: Node, options: argparse.Namespace) -> dict[str, object]:
    """Return what a frame costs with and without the viewer, in milliseconds."""
    estimator = PoseEstimator.load(options.model)
    name = estimator.skeleton.name
    kind = KINDS[name]
    scene = kind.live(kind.camera(640, 480), seed=0)
    images = [scene.frame(number / options.rate)[0] for number in range(FRAMES)]
    tracker = Tracker(estimator, TrackerOptions())
    outputs = Outputs(node, lambda _kind, text: sys.exit(text))
    wait_for(lambda: node.count_subscribers('v2v_pose/skeletons') > 0)
    stamps = iter(np.arange(10_000_000) / options.rate)
    publishing: list[float] = []

    def play(shown: bool) -> float:
        """Return the processor time of a frame, milliseconds."""
        begun, due = time.process_time(), time.monotonic()
        for image in images:
            estimate = tracker(image, scene.camera, float(next(stamps)))
            subjects = name_subjects(estimate.skeletons, name)
            before = time.thread_time()
            if shown:
                outputs.publish_skeletons(time.monotonic(), View(Header(), subjects))
                publishing.append(time.thread_time() - before)
            due += 1 / options.rate
            time.sleep(max(0.0, due - time.monotonic()))
        return 1e3 * (time.process_time() - begun) / len(images)

    play(shown=True)  # to warm up
    publishing.clear()
    turns = [(play(shown=False), play(shown=True)) for _ in range(options.rounds)]
    without, with_viewer = np.median(turns, axis=0).tolist()
    publish = 1e3 * float(np.median(publishing))
    return {
        'model': options.model,
        'runtime': estimator.runtime_name,
        'frame_cpu_ms': round(without, 2),
        'frame_cpu_ms_with_viewer': round(with_viewer, 2),
        'publish_cpu_ms': round(publish, 3),
        'publish_share_percent': round(100 * publish / without, 1),
    }


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, or give up."""
    deadline = time.monotonic() + DISCOVERY
    while not condition():
        if time.monotonic() > deadline:
            sys.exit('the viewer did not appear')
        time.sleep(0.05)


if __name__ == '__main__':
    main()
