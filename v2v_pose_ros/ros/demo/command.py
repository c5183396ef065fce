"""The demo as it is called, by what is in the environment.

DEMO_SECONDS is how long it counts (0: until interrupted), DEMO_SUBJECT who is seen; DEMO_VIEWER=1
serves a 3D view, and DEMO_VIEWER=F.rrd records it.  Results are in `demo/` of the working
directory.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
import os
import signal
import sys
import threading

SUBJECTS = ('hand', 'body', 'teleop')


class UsageError(ValueError):
    """The environment asks for what the demo cannot do; the text says what it can."""


def duration(environment: Mapping[str, str]) -> float:
    """Return the seconds to count for, infinity for "until interrupted"."""
    text = environment.get('DEMO_SECONDS', '').strip() or '20'
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UsageError(
            f'DEMO_SECONDS is {text!r}; it must be a number of seconds, or 0 to run until '
            'interrupted'
        )
    return seconds or math.inf


def subject(environment: Mapping[str, str]) -> str:
    """Return who is seen; teleop is a hand that drives a robot hand."""
    name = environment.get('DEMO_SUBJECT', '').strip() or 'hand'
    if name not in SUBJECTS:
        raise UsageError(f'DEMO_SUBJECT is {name!r}; it must be one of {", ".join(SUBJECTS)}')
    return name


def interruption() -> threading.Event:
    """Return what Ctrl-C and requests to end set from now on.

    An exception raised by a signal can come in the middle of anything, and be swallowed there; so
    whoever takes long looks at the event now and then.
    """
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: event.set())
    return event


def main() -> int:
    """Run the demo; return 0 with poses, 1 without, 2 for wrong use, 130 when stopped early."""
    try:
        seconds = duration(os.environ)
        who = subject(os.environ)
    except UsageError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 2
    viewer = os.environ.get('DEMO_VIEWER', '').strip()
    interrupted = interruption()
    # Imported here: it takes a moment, in which Ctrl-C is heard already.
    if who == 'teleop':
        from v2v_pose_ros.ros.demo import teleop

        return teleop.run(seconds, interrupted, viewer)
    from v2v_pose_ros.ros.demo.session import run

    return run(who, seconds, interrupted, viewer)
