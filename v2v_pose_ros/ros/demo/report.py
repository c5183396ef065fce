"""What the demo measures, and how it is shown. No ROS in here.

Stamps are the camera's, in nanoseconds; joints are [J, 3] in metres; reports show milliseconds and
millimetres.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from v2v_pose_ros.skeletons import Skeleton

_KEPT = 1800  # frames, poses and truths that wait for each other: a minute of the camera
_LONGEST_BAR = 30
_RECENT = 2.0  # seconds: the live rate is counted over this time

Joints = NDArray[np.float64]


@dataclass(frozen=True)
class NodeState:
    """What the node says of itself on /diagnostics: when (ns), and how many images came in."""

    stamp: int
    received: int
    model: str
    runtime: str


@dataclass(frozen=True)
class Pose:
    """One published estimate: its stamp and time of publication (ns), joints None if not found."""

    stamp: int
    published: int
    joints: Joints | None


class RunStatistics:
    """Counts frames and poses between two reports of the node, and compares poses with the truth.

    The counted interval lies between two messages on /diagnostics, so that the node's own count of
    images received can be compared with the stamps of the camera.  It starts when frames, truths
    and poses all arrive: each has a publisher of its own, which is found when it is found.  What
    lies in the interval is added up and forgotten: a run may last for days.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.first: NodeState | None = None
        self.last: NodeState | None = None
        self._first_pose: int | None = None  # the stamp
        self._frames: deque[int] = deque(maxlen=_KEPT)  # not counted yet, as the two below
        self._poses: deque[Pose] = deque(maxlen=_KEPT)
        self._truths: dict[int, Joints] = {}
        self._recent: deque[int] = deque(maxlen=200)
        self._frames_sent = self._without_pose = self._compared = 0
        self._latencies = array('d')  # milliseconds
        self._errors = np.zeros(len(skeleton))  # sums, metres

    def frame(self, stamp: int) -> None:
        """Count a frame that the camera sent."""
        self._frames.append(stamp)

    def truth(self, stamp: int, joints: Joints) -> None:
        """Remember where the joints were at a stamp."""
        self._truths[stamp] = joints
        if len(self._truths) > _KEPT:
            del self._truths[next(iter(self._truths))]

    def pose(self, stamp: int, published: int, joints: Joints | None) -> None:
        """Take in an estimate; None as joints means that nobody was found."""
        self._poses.append(Pose(stamp, published, joints))
        if joints is not None:
            if self._first_pose is None:
                self._first_pose = stamp
            self._recent.append(published)

    def node(self, state: NodeState) -> None:
        """Take in what the node says; the counted interval starts once everything arrives."""
        if self.first is not None:
            self.last = state
            self._count()
        elif self._complete_from(state.stamp):
            self.first = state

    @property
    def has_pose(self) -> bool:
        """Whether a pose has come."""
        return self._first_pose is not None

    @property
    def seconds(self) -> float:
        """The length of the counted interval."""
        if self.first is None or self.last is None:
            return 0.0
        return (self.last.stamp - self.first.stamp) * 1e-9

    def report(self) -> dict[str, Any]:
        """Return the contents of report.json; a figure that is not known yet is None."""
        self._count()
        published, seconds = len(self._latencies), self.seconds
        errors = self._errors / self._compared * 1e3 if self._compared else None
        latency = np.percentile(self._latencies, (50, 99)) if published else (None, None)
        return {
            'seconds': _rounded(seconds),
            'frames_sent': self._frames_sent,
            'frames_received': self._received(),
            'poses_published': published,
            'frames_without_pose': self._without_pose,
            'rate_hz': _rounded(published / seconds if seconds else None),
            'latency_ms': {'p50': _rounded(latency[0]), 'p99': _rounded(latency[1])},
            'mean_error_mm': _rounded(None if errors is None else errors.mean()),
            'per_finger_error_mm': {
                group: self._group_error(group, errors) for group in self.skeleton.groups
            },
            'per_joint_error_mm': {
                name: _rounded(None if errors is None else errors[joint])
                for joint, name in enumerate(self.skeleton.names)
            },
            'runtime': self.first.runtime if self.first else None,
            'model': self.first.model if self.first else None,
        }

    def recent_rate(self) -> float:
        """Return poses per second lately."""
        if not self._recent:
            return 0.0
        newest = self._recent[-1]
        times = [time for time in self._recent if newest - time <= _RECENT * 1e9]
        span = (newest - times[0]) * 1e-9
        return (len(times) - 1) / span if span > 0 else 0.0

    def _complete_from(self, stamp: int) -> bool:
        """Tell whether frames, truths and poses have been arriving from this time on."""
        firsts = (next(iter(self._frames), None), next(iter(self._truths), None), self._first_pose)
        return all(first is not None and first <= stamp for first in firsts)

    def _count(self) -> None:
        """Add up what lies in the interval; what comes after it waits for the next time."""
        if self.first is None or self.last is None:
            return
        begin, end = self.first.stamp, self.last.stamp
        while self._frames and self._frames[0] <= end:
            self._frames_sent += self._frames.popleft() > begin
        while self._poses and self._poses[0].stamp <= end:
            pose = self._poses.popleft()
            if pose.stamp > begin:
                self._add(pose)

    def _add(self, pose: Pose) -> None:
        if pose.joints is None:
            self._without_pose += 1
            return
        self._latencies.append((pose.published - pose.stamp) * 1e-6)
        truth = self._truths.get(pose.stamp)
        if truth is not None:
            self._compared += 1
            self._errors += np.linalg.norm(pose.joints - truth, axis=1)

    def _received(self) -> int:
        if self.first is None or self.last is None:
            return 0
        return self.last.received - self.first.received

    def _group_error(self, group: str, errors: NDArray[np.float64] | None) -> float | None:
        members = [each.group == group for each in self.skeleton.joints]
        return _rounded(None if errors is None else errors[members].mean())


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 2)


def summary(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headline figures of a report as pairs of label and text."""
    sent, received = report['frames_sent'], report['frames_received']
    lost = f'{max(sent - received, 0) / sent:.1%} lost' if sent else 'none yet'
    latency = report['latency_ms']
    return [
        ('frames sent, received', f'{sent}, {received} ({lost})'),
        ('poses published', f'{report["poses_published"]}'),
        ('rate', _figure(report['rate_hz'], 'Hz')),
        ('median latency', _figure(latency['p50'], 'ms')),
        ('latency, 99th percentile', _figure(latency['p99'], 'ms')),
        ('mean joint error', _figure(report['mean_error_mm'], 'mm')),
    ]


def plain_line(report: Mapping[str, Any]) -> str:
    """Return a report in one line, for logs and dumb terminals."""
    figures = ', '.join(f'{label} {text}' for label, text in summary(report))
    return f'{report["seconds"]:5.1f} s: {figures}'


def table(report: Mapping[str, Any], skeleton: Skeleton, title: str) -> RenderableType:
    """Return a report as a table, with a bar of the error of every finger."""
    figures = Table(title=title, show_header=False, title_justify='left', min_width=52)
    for label, text in summary(report):
        figures.add_row(label, text)
    figures.add_row('model', f'{report["model"] or "-"} ({report["runtime"] or "-"})')
    fingers = Table(show_header=False, box=None, padding=(0, 1))
    colors = {joint.group: joint.color for joint in skeleton.joints}
    errors = report['per_finger_error_mm']
    worst = max((error for error in errors.values() if error is not None), default=0.0)
    step = max(1.0, worst / _LONGEST_BAR)  # a millimetre a block, more for people
    for group, error in errors.items():
        red, green, blue = (round(255 * part) for part in colors[group])
        bar = '' if error is None else '█' * max(round(error / step), 1)
        fingers.add_row(group, _figure(error, 'mm'), Text(bar, f'rgb({red},{green},{blue})'))
    return Group(figures, fingers)


def _figure(value: float | None, unit: str) -> str:
    return '-' if value is None else f'{value:.1f} {unit}'
