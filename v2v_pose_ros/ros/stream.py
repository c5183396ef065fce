"""What happens to a stream of images on its way through the node, in numbers. No ROS in here.

Times are seconds; ``now`` is a steady clock's, stamps are the camera's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
import statistics
import threading

WINDOW = 5.0
"""Rates are counted over this time (s)."""

_RECENT = 300  # frames that percentiles and losses are taken over, 10 s of a usual camera
_ENOUGH_GAPS = 8  # the period of the camera is estimated from at least so many gaps
_INTERRUPTION = 2.0  # a longer gap (s) is a camera that paused, not lost frames


@dataclass(frozen=True)
class Percentiles:
    """The middle and the tail of a set of durations (s)."""

    p50: float
    p99: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Percentiles | None:
        """Return the percentiles (nearest rank), None of nothing."""
        ordered = sorted(values)
        if not ordered:
            return None
        rank = max(0, -(-99 * len(ordered) // 100) - 1)
        return cls(statistics.median(ordered), ordered[rank])


@dataclass(frozen=True)
class StreamReport:
    """The state of the stream at one time; times (s), rates (1/s), None where nothing is known."""

    received: int
    published: int
    lost: int
    dropped: int
    rate_in: float
    rate_out: float
    lost_fraction: float
    period: float | None
    processing: Percentiles | None
    latency: Percentiles | None
    image_age: float | None
    skeleton_age: float | None


class StreamStatistics:
    """Counts frames and measures rates, latencies and losses; safe to use from several threads.

    Frames lost before they arrived show as gaps between stamps. The camera's period is the lower
    quartile of the gaps, which stands firm against jitter and against the loss of many frames,
    where a mean or a median would take the loss for the period.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = self._published = self._dropped = 0
        self._lost_before = 0  # in gaps that are no longer kept
        self._arrivals: deque[float] = deque(maxlen=1000)
        self._departures: deque[float] = deque(maxlen=1000)
        self._processing: deque[float] = deque(maxlen=_RECENT)
        self._latencies: deque[float] = deque(maxlen=_RECENT)
        self._gaps: deque[float] = deque()
        self._stamp: float | None = None
        self._skeleton_time: float | None = None

    def received(self, now: float, stamp: float | None) -> float:
        """Count an image; None as stamp means that it has none.

        Returns how far (s) the stamps jumped: a negative number when they ran backwards, as when a
        recording starts over, a positive one when they went on by much more than the time that
        passed, as when a clock was set; else 0. Gaps and latencies are then measured anew.
        """
        with self._lock:
            self._received += 1
            passed = now - self._arrivals[-1] if self._arrivals else 0.0
            self._arrivals.append(now)
            if stamp is None:
                return 0.0
            before, self._stamp = self._stamp, stamp
            if before is None or stamp == before:
                return 0.0
            gap = stamp - before
            if gap < 0 or gap - passed > _INTERRUPTION:
                self._settle(keep=0)
                self._latencies.clear()
                return gap
            if gap < _INTERRUPTION:
                self._gaps.append(gap)
                self._settle(keep=_RECENT)
            return 0.0

    def dropped(self) -> None:
        """Count an image that a newer one replaced before its turn came."""
        with self._lock:
            self._dropped += 1

    def published(self, now: float, arrival: float, latency: float | None, *, found: bool) -> None:
        """Count a result.

        Args:
            now: When it was published.
            arrival: When its image arrived.
            latency: Seconds from the image's stamp to publication, None without a stamp.
            found: Whether there was a skeleton in it.
        """
        with self._lock:
            self._published += 1
            self._departures.append(now)
            self._processing.append(now - arrival)
            if latency is not None:
                self._latencies.append(latency)
            if found:
                self._skeleton_time = now

    def report(self, now: float) -> StreamReport:
        """Return the state of the stream."""
        with self._lock:
            period = self._period()
            lost_lately = sum(_missing(gap, period) for gap in self._gaps) if period else 0
            expected = len(self._gaps) + lost_lately
            return StreamReport(
                received=self._received,
                published=self._published,
                lost=self._lost_before + lost_lately,
                dropped=self._dropped,
                rate_in=_rate(self._arrivals, now),
                rate_out=_rate(self._departures, now),
                lost_fraction=lost_lately / expected if expected else 0.0,
                period=period,
                processing=Percentiles.of(self._processing),
                latency=Percentiles.of(self._latencies),
                image_age=now - self._arrivals[-1] if self._arrivals else None,
                skeleton_age=None if self._skeleton_time is None else now - self._skeleton_time,
            )

    def _settle(self, keep: int) -> None:
        """Let go of the oldest gaps; until then, a better period may revise their count."""
        if len(self._gaps) <= keep:
            return
        period = self._period()
        while len(self._gaps) > keep:
            gap = self._gaps.popleft()
            self._lost_before += _missing(gap, period) if period else 0

    def _period(self) -> float | None:
        if len(self._gaps) < _ENOUGH_GAPS:
            return None
        return statistics.quantiles(self._gaps, n=4)[0]


def jump_text(jump: float) -> str:
    """Say that stamps jumped by some time (s)."""
    how = 'ran backwards' if jump < 0 else f'jumped forward by {jump:.1f} s'
    return (
        f'stamps of the depth images {how}: a recording that starts over or leaves something out, '
        'or a clock that was set; results keep the stamps as they are'
    )


class ProblemLog:
    """Which problem of a kind is due to be logged, and which one is the latest.

    A camera repeats a mistake 30 times a second; a log should not.
    """

    def __init__(self, throttle: float = 5.0) -> None:
        self._throttle = throttle
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._latest: tuple[float, str] | None = None

    def report(self, kind: str, text: str, now: float, *, grace: float = 0.0) -> bool:
        """Note a problem and tell whether to log it.

        A problem that may solve itself, such as a message that is late, counts only after it
        lasted for ``grace`` seconds.
        """
        with self._lock:
            since = self._since.setdefault(kind, now)
            if now - since < grace:
                return False
            self._latest = (now, text)
            if now - self._logged.get(kind, -float('inf')) < self._throttle:
                return False
            self._logged[kind] = now
            return True

    def solved(self) -> None:
        """Note that an image went through without a problem."""
        with self._lock:
            self._since.clear()

    def latest(self, now: float, within: float = float('inf')) -> str | None:
        """Return the latest problem unless it is older than ``within`` seconds."""
        with self._lock:
            if self._latest is None or now - self._latest[0] > within:
                return None
            return self._latest[1]


def _missing(gap: float, period: float) -> int:
    """Return how many frames are missing in a gap between two stamps."""
    return max(0, round(gap / period) - 1)


def _rate(times: deque[float], now: float) -> float:
    """Return events per second within the window."""
    recent = [time for time in times if now - time <= WINDOW]
    if len(recent) < 2:
        return 0.0
    # Counting from the first event, not over the window, is right from the first second on. The
    # time since the last event counts once it exceeds the usual gap: the stream has stopped.
    usual = (recent[-1] - recent[0]) / (len(recent) - 1)
    span = recent[-1] - recent[0] + max(0.0, now - recent[-1] - usual)
    return (len(recent) - 1) / span if span > 0 else 0.0
