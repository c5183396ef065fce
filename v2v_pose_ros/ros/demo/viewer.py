"""The viewer beside the demo: DEMO_VIEWER=1 serves it, DEMO_VIEWER=FILE.rrd writes a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import socket
import sys

from v2v_pose_ros.ros.processes import Children
from v2v_pose_ros.viewer.sink import page_address

MODULE = 'v2v_pose_ros.ros.viewer_node'


def start(children: Children, wished: str, environment: Mapping[str, str], **more: str) -> str:
    """Start the viewer, with more parameters, and return a sentence: where to look at it."""
    parameters = {'qos_profile': 'default', **more}
    if wished == '1':
        # Rerun's own ports may be taken, by another demo for example.
        port, web = _free_ports()
        parameters |= {'port': str(port), 'web_port': str(web)}
        said = f'The viewer is served at {page_address("127.0.0.1", port, web)}'
    else:
        file = Path(wished).resolve()
        parameters |= {'file': str(file)}
        said = f'The viewer writes {file}'
    words = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    children.start(
        'viewer_node', (sys.executable, '-m', MODULE, '--ros-args', *words), environment
    )
    return said


def _free_ports() -> tuple[int, int]:
    """Return two ports that nobody uses; both are held until both are known."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(('127.0.0.1', 0))
        other.bind(('127.0.0.1', 0))
        return one.getsockname()[1], other.getsockname()[1]
