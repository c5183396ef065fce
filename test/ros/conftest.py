"""Fixtures of the ROS side: a context of its own for each test, nodes, and a bench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import subprocess
import sys

import pytest
import rclpy
from rclpy.node import Node
from ros_bench import Bench
from ros_rig import Rig

from v2v_pose_ros.ros import images


@pytest.fixture
def context(ros_domain_id) -> Iterator[rclpy.Context]:
    """Return an initialised context of this test alone."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain_id)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def make_node(context) -> Iterator[Callable[..., Node]]:
    """Return a function that makes nodes."""
    nodes = []

    def make(name: str, **options: object) -> Node:
        nodes.append(Node(name, context=context, **options))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def start_process(ros_domain_id) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that runs Python; what a test leaves running is killed."""
    running: list[subprocess.Popen] = []

    def start(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def bench(context, monkeypatch) -> Iterator[Bench]:
    """Return a bench whose node has little patience with a late camera_info."""
    monkeypatch.setattr(images, 'GRACE', 0.1)
    bench = Bench(context)
    yield bench
    bench.close()


@pytest.fixture
def rig(context, tmp_path) -> Iterator[Rig]:
    """Return a rig whose processes end with the test."""
    rig = Rig(context, tmp_path)
    yield rig
    rig.close()
