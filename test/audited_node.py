"""A pose node that tells when it connects, runs, unpickles, evaluates or writes something.

Python reports such deeds as audit events; DDS does its work in C++, beside them.  With
AUDITED_NETWORK it loads and runs the shipped network, as users have it, and tells its connections.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys

from fake_estimator import FakeEstimator

from v2v_pose_ros.ros.node import main
from v2v_pose_ros.ros.pipeline import Pipeline

_DEEDS = ('socket.', 'subprocess.', 'os.system', 'os.exec', 'os.spawn', 'os.fork', 'pickle.')
_CONNECTIONS = ('socket.connect', 'socket.getaddrinfo', 'socket.gethostby', 'urllib.', 'http.')
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def report(event: str, arguments: tuple) -> None:
    """Tell of an event that no input may cause."""
    evaluates = event == 'compile' and arguments[1] == '<string>'
    writes = event == 'open' and isinstance(arguments[2], int) and arguments[2] & _WRITING
    if event.startswith(_DEEDS) or evaluates or writes:
        os.write(2, f'audit: {event}\n'.encode())


def report_connections(event: str, arguments: tuple) -> None:
    """Tell of connections and of names that are looked up for them."""
    if event.startswith(_CONNECTIONS):
        os.write(2, f'audit: {event} {arguments}\n'.encode())


def do_everything() -> None:
    """Do what shall be told."""
    socket.socket().close()
    subprocess.run(['true'], check=True)
    pickle.loads(pickle.dumps(print))
    eval('1')
    os.close(os.open(os.devnull, os.O_WRONLY))


def load(parameters):
    """Load nothing, or the shipped network; from now on everything is told."""
    if os.environ.get('AUDITED_NETWORK'):
        sys.addaudithook(report_connections)
        return Pipeline(parameters)
    sys.addaudithook(report)
    if os.environ.get('AUDITED_DEEDS'):
        do_everything()
    return FakeEstimator(parameters)


if __name__ == '__main__':
    sys.exit(main(load=load))
