"""What every demo stands on: a domain and a folder of its own, processes, a node that listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import fcntl
import os
from pathlib import Path
import random
import socket
import sys
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rich.console import Console

from v2v_pose_ros.ros.processes import Children

RESULTS = Path('demo')
LOADING = 120.0
"""Seconds until something has to come out of the nodes."""


class DemoFailed(RuntimeError):
    """The demo cannot go on; the text says why."""


class Stage:
    """The surroundings of one run, from joining a free domain to ending all processes.

    Raises DemoFailed on entering when another demo is on, or all domains are taken.
    """

    def __init__(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        self.console, self.children = Console(), Children(RESULTS)
        self.domain = 0
        self._lock = (RESULTS / '.lock').open('w')

    def __enter__(self) -> Stage:
        """Join; the demo comes first, so that no other run takes the domain for free meanwhile."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise DemoFailed(
                f'another demo writes to {RESULTS.resolve()}; wait until it has ended, or run '
                'this one in another checkout'
            ) from None
        for stale in ('report.json', 'skeleton.png'):
            (RESULTS / stale).unlink(missing_ok=True)
        self.domain = free_domain()
        rclpy.init(domain_id=self.domain, signal_handler_options=SignalHandlerOptions.NO)
        return self

    def __exit__(self, *_error: object) -> None:
        """End all processes and leave the domain."""
        self.children.stop()
        rclpy.try_shutdown()
        self._lock.close()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the processes."""
        return {**os.environ, 'ROS_DOMAIN_ID': str(self.domain), 'PYTHONUNBUFFERED': '1'}

    def start(
        self, modules: Mapping[str, str], parameters: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Start nodes: names to modules, and names to what differs from their own parameters."""
        for name, module in modules.items():
            pairs = [f'{key}:={value}' for key, value in parameters.get(name, {}).items()]
            words = ['--ros-args', *(word for pair in pairs for word in ('-p', pair))]
            command = (sys.executable, '-m', module, *(words if pairs else ()))
            self.children.start(name, command, self.environment)


class Listener:
    """The demo's own node; rclpy has to be initialised."""

    def __init__(self) -> None:
        self.node = rclpy.create_node('demo')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def spin(self, seconds: float) -> None:
        """Handle messages for some seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)


def free_domain(candidates: Sequence[int] = range(1, 102)) -> int:
    """Return a ROS_DOMAIN_ID that nobody on this machine uses.

    Raises DemoFailed when all are taken.
    """
    for domain in random.sample(candidates, len(candidates)):
        # Where participants of a domain listen (DDSI-RTPS 9.6.1.1): discovery by multicast, which
        # all share, and that of the first participant.
        ports = (7400 + 250 * domain, 7410 + 250 * domain)
        if all(map(_is_free, ports)):
            return domain
    raise DemoFailed('All ROS domains are in use on this machine: end some ROS programs.')


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
    return True
