"""The node's health in words and numbers, for /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from v2v_pose_ros.ros.stream import Percentiles, StreamReport

STALE_AFTER = 2.0
"""A stream without an image for this time (s) is stale."""

_TO_DO = {
    'unconfigured': 'configure and activate the node to get skeletons',
    'inactive': 'activate the node to get skeletons',
    'finalized': 'start the node again to get skeletons',
}
_TOLERATED_LOSS = 0.02  # of the frames that the camera took
_CLOCK_SKEW = 60.0  # a latency (s) beyond this comes from two clocks, not from work


@dataclass(frozen=True)
class Health:
    """All that the verdict depends on.

    Attributes:
        stream: What became of the images.
        topic: The resolved name of the depth topic.
        publishers: How many publish on it.
        state: Of the lifecycle; 'configuring' while the network is loaded and warmed up.
        refusal: Why the node could not be configured, None if it was not so.
        model: Model files in use.
        runtime: What executes them, and where.
        problem: What is wrong with the input now, None if nothing.
        failure: What went wrong inside the node now, None if nothing.
        last_problem: The latest problem or failure ever.
        stages: Seconds spent in every stage on the newest frame.
        degraded: Why the network runs otherwise than it should, empty if it does not.
        gpu_memory: Bytes in use and in all on the GPU, None where the network runs on none.
        tracking: What is known of the subject, empty where nothing is followed.
    """

    stream: StreamReport
    topic: str
    publishers: int = 0
    state: str = 'active'
    refusal: str | None = None
    model: str = ''
    runtime: str = ''
    problem: str | None = None
    failure: str | None = None
    last_problem: str | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    degraded: str = ''
    gpu_memory: tuple[int, int] | None = None
    tracking: str = ''


def verdict(health: Health) -> tuple[bytes, str]:
    """Return the level (OK, WARN, ERROR, STALE) and its reason; the worst one counts."""
    stream = health.stream
    if health.failure:
        return DiagnosticStatus.ERROR, health.failure
    if health.degraded:
        return DiagnosticStatus.ERROR, health.degraded
    if health.refusal:
        return DiagnosticStatus.ERROR, health.refusal
    if health.state == 'configuring':
        return DiagnosticStatus.WARN, 'loading the model'
    if health.state != 'active':
        return DiagnosticStatus.OK, f'{health.state}: {_TO_DO[health.state]}'
    if stream.image_age is None or stream.image_age > STALE_AFTER:
        return DiagnosticStatus.STALE, _silence(health)
    if health.problem:
        return DiagnosticStatus.WARN, health.problem
    if stream.lost_fraction > _TOLERATED_LOSS:
        return DiagnosticStatus.WARN, (
            f'{stream.lost_fraction:.0%} of the frames were lost before they arrived: with Fast '
            'DDS use config/fastdds.xml of this package (camera and node), or qos_profile: default'
        )
    if stream.latency and abs(stream.latency.p50) > _CLOCK_SKEW:
        return DiagnosticStatus.WARN, (
            f'stamps are {stream.latency.p50:.0f} s off this clock: set use_sim_time and play the '
            'recording with --clock, or synchronise the clocks'
        )
    if stream.skeleton_age is None or stream.skeleton_age > STALE_AFTER:
        return DiagnosticStatus.OK, 'no subject in view'
    return DiagnosticStatus.OK, f'{stream.rate_out:.1f} skeletons per second'


def _silence(health: Health) -> str:
    if not health.publishers:
        return f'nobody publishes {health.topic}: start the camera, or remap depth/image_rect'
    age = health.stream.image_age
    since = '' if age is None else f' for {age:.0f} s'
    return (
        f'no image on {health.topic}{since} although it is published: check that the camera '
        'streams, and that qos_profile suits its quality of service'
    )


def diagnostics_message(stamp: Time, name: str, health: Health) -> DiagnosticArray:
    """Return the message for /diagnostics: the verdict and every number behind it."""
    level, text = verdict(health)
    stream = health.stream
    values = {
        'lifecycle state': health.state,
        'model': health.model,
        'runtime': health.runtime,
        'GPU memory': _gibibytes(health.gpu_memory),
        'tracking': health.tracking or 'off',
        'images per second': f'{stream.rate_in:.1f}',
        'results per second': f'{stream.rate_out:.1f}',
        **_durations('latency from stamp', stream.latency),
        **_durations('latency in the node', stream.processing),
        'images received': str(stream.received),
        'results published': str(stream.published),
        'images lost before arrival': str(stream.lost),
        'images lost lately': f'{stream.lost_fraction:.1%}',
        'images dropped for newer ones': str(stream.dropped),
        'camera period': _milliseconds(stream.period),
        'age of newest skeleton': _milliseconds(stream.skeleton_age),
        **{f'time in {stage}': _milliseconds(spent) for stage, spent in health.stages.items()},
        'last problem': health.last_problem or 'none',
    }
    status = DiagnosticStatus(
        level=level,
        name=name,
        message=text,
        hardware_id=health.topic,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def _durations(title: str, percentiles: Percentiles | None) -> dict[str, str]:
    return {
        f'{title}, p50': _milliseconds(percentiles.p50 if percentiles else None),
        f'{title}, p99': _milliseconds(percentiles.p99 if percentiles else None),
    }


def _milliseconds(seconds: float | None) -> str:
    return 'unknown' if seconds is None else f'{seconds * 1e3:.1f} ms'


def _gibibytes(memory: tuple[int, int] | None) -> str:
    if memory is None:
        return 'no GPU in use'
    used, total = (number / 2**30 for number in memory)
    return f'{used:.2f} of {total:.2f} GiB in use'
