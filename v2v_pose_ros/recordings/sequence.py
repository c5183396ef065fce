"""Frames of one camera in their order: tracking, smoothing, and where the subject was missed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from v2v_pose_ros.defaults import LOSE_TIME
from v2v_pose_ros.filters import OneEuroFilter, OneEuroOptions

if TYPE_CHECKING:  # it would import PyTorch
    from v2v_pose_ros.estimator import SkeletonEstimate

_REMEMBERED = 20  # subjects whose filters are kept


class Smoother:
    """A One Euro filter for the joints of every subject; a new one passes as it is first."""

    def __init__(self, options: OneEuroOptions | None = None) -> None:
        """Start without a past."""
        self._options = options or OneEuroOptions()
        self._filters: dict[int, OneEuroFilter] = {}

    def __call__(
        self, skeletons: tuple[SkeletonEstimate, ...], stamp: float
    ) -> tuple[SkeletonEstimate, ...]:
        """Return the skeletons of a frame, taken at a stamp (s), with steadied positions."""
        return tuple(
            replace(
                each,
                positions=self._filter(each.number)(each.positions, stamp, each.covariances),
            )
            for each in skeletons
        )

    def _filter(self, number: int) -> OneEuroFilter:
        if number not in self._filters:
            # Numbers rise and never come again: old ones can be let go of.
            self._filters = dict(sorted(self._filters.items())[-_REMEMBERED:])
            self._filters[number] = OneEuroFilter(self._options, LOSE_TIME)
        return self._filters[number]


@dataclass(frozen=True)
class Gap:
    """Frames in a row without the subject.

    Attributes:
        first: number of the first of them, from 0.
        frames: how many.
        seconds: from the frame before to the frame after, as far as there are such.
    """

    first: int
    frames: int
    seconds: float


@dataclass(frozen=True)
class GapReport:
    """How completely a subject was seen.

    Attributes:
        frames: how many there were.
        found: in how many it was.
        seconds: from the first frame to the last.
        rate: frames per second; 0 where it cannot be told.
        gaps: where it was not seen, in order.
    """

    frames: int
    found: int
    seconds: float
    rate: float
    gaps: tuple[Gap, ...]

    @property
    def longest(self) -> Gap | None:
        """The longest gap, None where there is none."""
        return max(self.gaps, key=lambda gap: (gap.seconds, gap.frames), default=None)

    @property
    def sentence(self) -> str:
        """The report in words."""
        share = 100 * self.found / self.frames if self.frames else 0.0
        text = f'{self.found} of {self.frames} frames ({share:.1f} %) show the subject'
        if self.rate:
            text += f', {self.rate:.1f} frames per second over {self.seconds:.1f} s'
        if self.longest is not None:
            text += (
                f'; {len(self.gaps)} gaps, the longest {self.longest.frames} frames '
                f'({self.longest.seconds:.2f} s) from frame {self.longest.first} on'
            )
        return text

    def document(self) -> dict[str, object]:
        """Return the report for JSON."""
        longest = self.longest
        return {
            'frames': self.frames,
            'found': self.found,
            'seconds': round(self.seconds, 6),
            'rate_hz': round(self.rate, 3),
            'longest_gap_s': round(longest.seconds, 6) if longest else 0.0,
            'longest_gap_frames': longest.frames if longest else 0,
            'gaps': [
                {'first': gap.first, 'frames': gap.frames, 'seconds': round(gap.seconds, 6)}
                for gap in self.gaps
            ],
        }


class GapCounter:
    """Collects frames into a report; it keeps the gaps and nothing else."""

    def __init__(self) -> None:
        """Start without frames."""
        self._frames = self._found = 0
        self._first = self._last = 0.0
        self._missing = 0
        self._before: float | None = None  # stamp of the frame before the gap
        self._gaps: list[Gap] = []

    def add(self, found: bool, stamp: float | None) -> None:
        """Count a frame; one without a stamp counts no seconds."""
        now = 0.0 if stamp is None else stamp
        if not self._frames:
            self._first = now
        if found:
            self._close(now)
            self._found += 1
        elif not self._missing:
            self._before = self._last if self._frames else now
        if not found:
            self._missing += 1
        self._frames, self._last = self._frames + 1, now

    def report(self) -> GapReport:
        """Return the report of the frames so far."""
        ongoing = []
        if self._missing:
            ongoing.append(self._gap(self._last))
        seconds = self._last - self._first
        rate = (self._frames - 1) / seconds if seconds > 0 else 0.0
        return GapReport(
            self._frames, self._found, max(seconds, 0.0), rate, (*self._gaps, *ongoing)
        )

    def _close(self, now: float) -> None:
        if self._missing:
            self._gaps.append(self._gap(now))
        self._missing = 0

    def _gap(self, until: float) -> Gap:
        since = self._before if self._before is not None else until
        return Gap(self._frames - self._missing, self._missing, max(until - since, 0.0))
