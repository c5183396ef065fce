"""The node's health in words."""

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
import pytest

from v2v_pose_ros.ros.diagnostics import diagnostics_message, Health, verdict
from v2v_pose_ros.ros.stream import StreamStatistics


def report(silence=0.0, lost_every=None, latency=0.03, found=True):
    """Return the report of 3 s of a 30 Hz stream, ``silence`` seconds after its last image."""
    statistics = StreamStatistics()
    for number in range(90):
        if lost_every and number % lost_every == 1:
            continue
        statistics.received(number / 30, 1000 + number / 30)
        statistics.published(number / 30 + 0.02, number / 30, latency, found=found)
    return statistics.report(89 / 30 + 0.02 + silence)


def health(stream=None, **changes):
    stream = stream or report()
    return Health(stream=stream, topic='/depth/image_rect', publishers=1, **changes)


@pytest.mark.parametrize(
    ('state', 'level', 'words'),
    [
        (health(), 'OK', ['30.', 'skeletons per second']),
        (health(report(found=False)), 'OK', ['no subject']),
        (health(state='configuring'), 'WARN', ['loading']),
        (health(state='unconfigured'), 'OK', ['unconfigured', 'configure and activate']),
        (health(state='inactive'), 'OK', ['inactive', 'activate']),
        (health(state='finalized'), 'OK', ['finalized', 'start']),
        (health(state='unconfigured', refusal='no such file'), 'ERROR', ['no such file']),
        (health(problem='no camera_info has arrived'), 'WARN', ['camera_info']),
        (health(report(lost_every=10)), 'WARN', ['10%', 'lost', 'fastdds.xml', 'qos_profile']),
        (health(report(latency=86400.0)), 'WARN', ['86400 s', 'use_sim_time']),
        (health(report(silence=9.0)), 'STALE', ['/depth/image_rect', '9 s']),
        (health(StreamStatistics().report(3.0)), 'STALE', ['no image', 'qos_profile']),
        (
            Health(stream=StreamStatistics().report(3.0), topic='/depth/image_rect'),
            'STALE',
            ['nobody publishes /depth/image_rect', 'remap'],
        ),
        (health(degraded='the GPU failed'), 'ERROR', ['the GPU failed']),
        (health(report(silence=9.0), failure='it broke'), 'ERROR', ['it broke']),
    ],
)
def test_verdict_has_a_level_and_a_reason(state, level, words):
    found, text = verdict(state)
    assert found == getattr(DiagnosticStatus, level)
    for word in words:
        assert word in text


def test_message_has_the_numbers_behind_the_verdict():
    state = health(
        model='hand', runtime='torch', last_problem='a cut image', stages={'network': 0.0123}
    )
    stamp = Time(sec=5)
    message = diagnostics_message(stamp, '/left/v2v_pose', state)
    assert message.header.stamp == stamp
    (status,) = message.status
    assert status.name == '/left/v2v_pose'
    assert status.hardware_id == '/depth/image_rect'
    values = {pair.key: pair.value for pair in status.values}
    assert values['model'] == 'hand'
    assert values['runtime'] == 'torch'
    assert values['images per second'].startswith('30.')
    assert values['latency from stamp, p50'] == '30.0 ms'
    assert values['latency in the node, p99'] == '20.0 ms'
    assert values['images lost before arrival'] == '0'
    assert values['images dropped for newer ones'] == '0'
    assert values['age of newest skeleton'] == '0.0 ms'
    assert values['time in network'] == '12.3 ms'
    assert values['last problem'] == 'a cut image'


@pytest.mark.parametrize(
    ('memory', 'words'),
    [(None, 'no GPU in use'), ((3 * 2**29, 8 * 2**30), '1.50 of 8.00 GiB in use')],
)
def test_memory_of_the_gpu_is_told_where_there_is_one(memory, words):
    message = diagnostics_message(Time(), 'node', health(gpu_memory=memory, tracking='coasting'))
    values = {pair.key: pair.value for pair in message.status[0].values}
    assert values['GPU memory'] == words
    assert values['tracking'] == 'coasting'
