"""Memory of the node's process while it works, by network and runtime.

    .venv/bin/ros-env python benchmarks/node_memory.py

The synthetic camera sends 640x480 to the node over DDS, both in processes of their own.  Some time
after the first results the node's memory is read: USS is its own, PSS has its part of what it
shares with others, such as libraries and segments of shared memory.  The first start compiles the
network and compares it with float32, the second takes it from the cache.  The published network
has 88 voxels and random weights, which take as much memory as trained ones.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import sys
import tempfile
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
import torch

from v2v_pose_ros.models import ModelInfo, save_model
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.ros.demo.stage import free_domain
from v2v_pose_ros.ros.processes import Children
from v2v_pose_ros.skeletons import HAND

RUNTIMES = ('openvino', 'openvino_int8', 'onnx', 'torch')
LIMIT = 700  # MB that the node may take


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--models', nargs='+', default=['hand_lite', 'published'])
    parser.add_argument('--runtimes', nargs='+', default=RUNTIMES)
    parser.add_argument('--seconds', type=float, default=60.0, help='of work')
    parser.add_argument('--patience', type=float, default=600.0, help='seconds until results')
    parser.add_argument('--json', action='store_true')
    options = parser.parse_args()
    os.environ['ROS_DOMAIN_ID'] = str(free_domain())
    rclpy.init()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ['XDG_CACHE_HOME'] = folder  # where compiled networks are kept
        published = Path(folder) / 'published.safetensors'
        write_published(published)
        for name in options.models:
            for runtime in options.runtimes:
                model = str(published) if name == 'published' else name
                for start in ('first', 'second'):
                    memory = measure(Path(folder), model, runtime, options)
                    found.append({'model': name, 'runtime': runtime, 'start': start, **memory})
                    if not options.json:
                        print(line(found[-1]), flush=True)
    rclpy.shutdown()
    if options.json:
        print(json.dumps(found, indent=2))


def write_published(path: Path) -> None:
    """Write a model file of the paper's network with random weights."""
    torch.manual_seed(0)
    network = V2VPoseNet(V2VConfig(len(HAND)))
    save_model(
        path,
        network,
        ModelInfo('published', 'hand', network.config.to_dict(), {'cube_size': 0.25}),
    )


def measure(
    folder: Path, model: str, runtime: str, options: argparse.Namespace
) -> dict[str, float]:
    """Return the memory (MB) of a node that has worked for some time."""
    children = Children(folder)
    results: list[SkeletonArray] = []
    listener = Node('memory')
    listener.create_subscription(SkeletonArray, '/v2v_pose/skeletons', results.append, 1)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)

    def listen(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)
        children.check()

    try:
        for name, module, parameters in (
            ('camera', 'v2v_pose_ros.ros.synthetic_camera', ()),
            ('node', 'v2v_pose_ros.ros.node', (f'model:={model}', f'runtime:={runtime}')),
        ):
            words = ['--ros-args', *(word for each in parameters for word in ('-p', each))]
            command = [sys.executable, '-m', module, *(words if parameters else ())]
            children.start(name, command, os.environ)
        deadline = time.monotonic() + options.patience
        while not results:
            listen(0.5)
            if time.monotonic() > deadline:
                raise SystemExit(f'no results:\n{children.last_lines("node")}')
        listen(options.seconds)
        return memory_of(children.pid('node'))
    finally:
        children.stop()
        executor.shutdown()
        listener.destroy_node()


def memory_of(process: int) -> dict[str, float]:
    """Return USS, PSS and the highest resident memory of a process in MB."""
    parts = {}
    for name in ('smaps_rollup', 'status'):
        for each in Path(f'/proc/{process}/{name}').read_text().splitlines():
            key, _, value = each.partition(':')
            if value.endswith('kB'):
                parts[key] = int(value.split()[0]) / 1024
    uss = parts['Private_Clean'] + parts['Private_Dirty']
    return {'uss': round(uss), 'pss': round(parts['Pss']), 'peak': round(parts['VmHWM'])}


def line(found: dict[str, object]) -> str:
    """Return the figures for people."""
    verdict = '' if float(str(found['pss'])) < LIMIT else f', more than {LIMIT}'
    return (
        f'{found["model"]:10} {found["runtime"]:14} {found["start"]:6} start: '
        f'USS {found["uss"]} MB, PSS {found["pss"]} MB, at most {found["peak"]} MB resident'
        f'{verdict}'
    )


if __name__ == '__main__':
    main()
