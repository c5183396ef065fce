"""A long run of the node under full load, over DDS: does anything grow, leak or slow down?

    make soak                       # SOAK_MINUTES=30 by default
    ros-env python test/soak.py --minutes 1

The synthetic camera sends 640x480 at 30 Hz; the node looks for two hands, filters, and publishes
everything to somebody who listens to everything.  Once a second its memory, threads, open files
and shared memory are read; the latency is from the stamp of an image to the arrival of its
skeletons.  The run is good when memory grows by less than 5 MB after the warm-up, the latency's
99th percentile in the last minute is within 10 % of the first, its skeletons are as many, and
nothing else grows.  Under full load a machine that becomes slower, as virtual ones do, gives
fewer skeletons, later: a fixed computation, timed once a second, says how much slower it is, and
so much is allowed for.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field
import json
import os
from pathlib import Path
import statistics
import sys
import tempfile
import time

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.demo.stage import free_domain
from v2v_pose_ros.ros.processes import Children

GROWTH = 5.0  # MB
SLOWDOWN = 1.10
FEWER = 0.9  # of the skeletons of the first window, by the speed of the machine
START = 180.0  # seconds that loading the model may take
CAMERA = ('v2v_pose_ros.ros.synthetic_camera', ())
NODE = ('v2v_pose_ros.ros.node', ('max_subjects:=2', 'filter:=true', 'diagnostics_period:=0.5'))
OTHERS = {
    '/v2v_pose/poses': PoseArray,
    '/v2v_pose/markers': MarkerArray,
    '/v2v_pose/points': PointCloud2,
    '/v2v_pose/overlay': Image,
    '/tf': TFMessage,
    '/diagnostics': DiagnosticArray,
}


@dataclass(frozen=True)
class Reading:
    """What a process holds; memory is in MB and its own, without what it shares."""

    memory: float
    threads: int
    files: int
    shared_files: int


@dataclass
class Window:
    """What was read and received in one part of the run; latencies are seconds."""

    readings: list[Reading] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    yardsticks: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return medians, the 99th percentile of the latency, and the number of skeletons."""
        ordered = sorted(self.latencies)
        middle = {
            name: statistics.median(getattr(each, name) for each in self.readings)
            for name in asdict(self.readings[0])
        }
        return {
            **middle,
            'skeletons': len(ordered),
            'yardstick_ms': 1e3 * statistics.median(self.yardsticks),
            'latency_p50_ms': 1e3 * ordered[len(ordered) // 2],
            'latency_p99_ms': 1e3 * ordered[-1 - len(ordered) // 100],
        }


def read(pid: int) -> Reading:
    """Read what a process holds from /proc and /dev/shm."""
    process = Path('/proc') / str(pid)
    status = dict(
        line.split(':', 1) for line in (process / 'status').read_text().splitlines() if ':' in line
    )
    return Reading(
        memory=int(status['RssAnon'].split()[0]) / 1024,
        threads=int(status['Threads']),
        files=len(list((process / 'fd').iterdir())),
        shared_files=len(list(Path('/dev/shm').iterdir())),
    )


def yardstick() -> float:
    """Return the processor time in seconds that a fixed computation takes just now."""
    values = np.linspace(-10, 0, 500_000, dtype=np.float32)
    begin = time.thread_time()
    for _ in range(4):
        np.exp(values).sum()
    return time.thread_time() - begin


class Listener:
    """Subscribes to everything that the node publishes and notes when skeletons arrive."""

    def __init__(self, context: rclpy.Context) -> None:
        """Subscribe."""
        self.window = Window()
        self.count = 0
        self.node = rclpy.create_node('soak', context=context)
        self.node.create_subscription(SkeletonArray, '/v2v_pose/skeletons', self._note, 10)
        for topic, kind in OTHERS.items():
            self.node.create_subscription(kind, topic, lambda _: None, 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)

    def _note(self, message: SkeletonArray) -> None:
        stamp = message.header.stamp
        self.window.latencies.append(time.time() - stamp.sec - stamp.nanosec * 1e-9)
        self.count += 1

    def spin(self, seconds: float) -> None:
        """Receive for some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)


def soak(minutes: float, warm_up: float, window: float) -> dict[str, object]:
    """Run camera and node for some minutes and compare the first window (s) with the last."""
    context = rclpy.Context()
    rclpy.init(context=context)
    with tempfile.TemporaryDirectory() as folder:
        children = Children(Path(folder))
        listener = Listener(context)
        try:
            for name, (module, parameters) in (('camera', CAMERA), ('node', NODE)):
                arguments = [part for each in parameters for part in ('-p', each)]
                command = [sys.executable, '-m', module, '--ros-args', *arguments]
                children.start(name, command, os.environ)
            begin = time.monotonic()
            while listener.count < 30:
                listener.spin(0.5)
                children.check()
                if time.monotonic() - begin > START:
                    raise SystemExit(f'no skeletons:\n{children.last_lines("node")}')
            return _watch(children, listener, minutes, warm_up, window)
        finally:
            children.stop()
            listener.node.destroy_node()
            rclpy.shutdown(context=context)


def _watch(
    children: Children, listener: Listener, minutes: float, warm_up: float, window: float
) -> dict[str, object]:
    listener.spin(warm_up)
    rounds = max(2, round((60 * minutes - warm_up) / window))
    windows = []
    for number in range(rounds):
        listener.window = Window()
        end = time.monotonic() + window
        while time.monotonic() < end:
            listener.window.readings.append(read(children.pid('node')))
            listener.window.yardsticks.append(yardstick())
            listener.spin(min(1.0, max(0.0, end - time.monotonic())))
        children.check()
        if not listener.window.latencies:
            raise SystemExit(f'no skeletons any more:\n{children.last_lines("node")}')
        windows.append(listener.window.summary())
        print(f'{number + 1}/{rounds} {_line(windows[-1])}', flush=True)
    return verdict(windows)


def verdict(windows: list[dict[str, float]]) -> dict[str, object]:
    """Return the report: first and last window, and what is wrong with the difference."""
    first, last = windows[0], windows[-1]
    growth = last['memory'] - first['memory']
    slowdown = last['latency_p99_ms'] / first['latency_p99_ms']
    problems = []
    if growth >= GROWTH:
        problems.append(f'memory grew by {growth:.1f} MB; less than {GROWTH:g} are expected')
    slower = max(1.0, last['yardstick_ms'] / first['yardstick_ms'])
    machine = f' on a machine that took {slower:.2f} times as long for the same'
    if slowdown > SLOWDOWN * slower:
        problems.append(
            f'the 99th percentile of the latency is {slowdown:.2f} times the first{machine}'
        )
    if last['skeletons'] * slower < FEWER * first['skeletons']:
        counts = f'from {first["skeletons"]} to {last["skeletons"]}'
        problems.append(f'skeletons fell {counts}{machine}')
    for name in ('threads', 'files', 'shared_files'):
        if last[name] > first[name]:
            problems.append(f'{name} grew from {first[name]:g} to {last[name]:g}')
    return {
        'first': first,
        'last': last,
        'memory_growth_mb': round(growth, 2),
        'latency_p99_ratio': round(slowdown, 3),
        'machine_slower': round(slower, 3),
        'windows': windows,
        'problems': problems,
    }


def _line(window: dict[str, float]) -> str:
    return (
        f'{window["memory"]:.1f} MB, {window["threads"]:g} threads, {window["files"]:g} files, '
        f'{window["shared_files"]:g} in shared memory, {window["skeletons"]} skeletons, '
        f'yardstick {window["yardstick_ms"]:.2f} ms, '
        f'{window["latency_p50_ms"]:.1f} ms, p99 {window["latency_p99_ms"]:.1f} ms'
    )


def main() -> int:
    """Run and report; return 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--warm-up', type=float, default=60.0, help='seconds')
    parser.add_argument('--window', type=float, default=60.0, help='seconds')
    parser.add_argument('--out', type=Path, default=Path('demo/soak.json'))
    options = parser.parse_args()
    os.environ.setdefault('ROS_DOMAIN_ID', str(free_domain()))
    report = soak(options.minutes, options.warm_up, options.window)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + '\n')
    problems = report['problems']
    print(
        f'memory {report["memory_growth_mb"]:+} MB, latency p99 x {report["latency_p99_ratio"]}, '
        f'machine x {report["machine_slower"]}: {"; ".join(problems) or "good"}\n{options.out}'
    )
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
