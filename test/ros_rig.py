"""A pose node in a process of its own, a camera beside it, and what the node says."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from ros_bench import camera_info, depth_image, wait_until
from sensor_msgs.msg import CameraInfo, Image

from v2v_pose_ros.msg import SkeletonArray

FAKE_NODE = Path(__file__).resolve().with_name('fake_estimator.py')
CAMERA = FAKE_NODE.with_name('camera_process.py')
PATIENCE = 60.0  # s, as importing PyTorch alone takes 20 on a busy machine


class Rig:
    """A pose node in a process of its own, a camera here, and what the node says."""

    def __init__(self, context, folder: Path) -> None:
        self.context, self.folder = context, folder
        self.node = Node('rig', context=context)
        self.images = self.node.create_publisher(Image, 'depth/image_rect', 1)
        self.infos = self.node.create_publisher(CameraInfo, 'depth/camera_info', 1)
        self.skeletons: list[SkeletonArray] = []
        self.health: list[DiagnosticArray] = []
        self.node.create_subscription(
            SkeletonArray, '/v2v_pose/skeletons', self.skeletons.append, 10
        )
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self.health.append, 10)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        self.processes: list[subprocess.Popen] = []

    def start(self, *arguments: str, script: Path = FAKE_NODE, **environment: str):
        """Start a process; its output goes to a file, which never blocks."""
        log = self.folder / f'{len(self.processes)}.log'
        with log.open('wb') as output:
            process = subprocess.Popen(
                [sys.executable, str(script), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )
        self.processes.append(process)
        return process

    def start_node(self, *parameters: str, **environment: str):
        """Start a pose node and wait until it has found the camera."""
        arguments = [part for each in parameters for part in ('-p', each)]
        arguments = ['--ros-args', '-p', 'diagnostics_period:=0.2', *arguments]
        process = self.start(*arguments, **environment)
        for publisher in (self.images, self.infos):
            wait_until(
                publisher.get_subscription_count, f'a subscription of {publisher.topic}', PATIENCE
            )
        return process

    def client(self, kind: type, name: str) -> Client:
        """Return a client of one of the node's services that the node knows of as well.

        A service drops the answer to a client that it has not found yet, which `wait_for_service`
        cannot tell.  Clients are announced in order: one that comes later is asked until it hears.
        """
        client = self.node.create_client(kind, f'/v2v_pose/{name}')
        probe = self.node.create_client(GetState, '/v2v_pose/get_state')
        wait_until(probe.service_is_ready, 'the services', PATIENCE)
        for _ in range(int(PATIENCE)):
            answer = probe.call_async(GetState.Request())
            heard = threading.Event()
            answer.add_done_callback(lambda _, heard=heard: heard.set())
            if heard.wait(1.0):
                return client
        raise AssertionError('waited in vain for the state')

    def show(self, image: Image | None = None, info: CameraInfo | None = None) -> None:
        self.infos.publish(info or camera_info())
        self.images.publish(image or depth_image())

    def sees(self) -> bool:
        """Tell whether a good image gives a skeleton, now that the past is over."""
        deadline = time.monotonic() + PATIENCE
        start = len(self.skeletons)
        while time.monotonic() < deadline:
            self.show()
            time.sleep(0.05)
            if any(message.skeletons for message in self.skeletons[start:]):
                return True
        return False

    def told(self, words: str) -> bool:
        return any(words in each.message for array_ in self.health for each in array_.status)

    def output(self, number: int = 0) -> str:
        return (self.folder / f'{number}.log').read_text(errors='replace')

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        self._executor.shutdown()
        self._thread.join(10)
        self.node.destroy_node()


def ends_well(rig, process):
    """End a node and tell whether it had lived well until then."""
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    return True
