"""Parameters: what is declared, what is refused, and what the shipped file says."""

from dataclasses import asdict, fields, replace
import math
from pathlib import Path

import pytest
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
import yaml

from v2v_pose_ros.defaults import DEPTH_RANGES
from v2v_pose_ros.ros.declarations import declare, ParameterError, updated
from v2v_pose_ros.ros.parameters import NodeParameters
from v2v_pose_ros.ros.qos import image_qos

CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'hand.yaml'
LIVE = {'min_depth', 'max_depth', 'min_confidence', 'marker_lifetime', 'publish_tf'}
LIVE |= {'cube_size', 'passes', 'tracking', 'acquire_margin', 'acquire_time', 'lose_time'}
LIVE |= {'filter', 'filter_min_cutoff', 'filter_beta'}
LIVE |= {'publish_hri', 'publish_poses', 'publish_markers', 'publish_points', 'publish_overlay'}
LIVE |= {f'workspace_{end}_{axis}' for end in ('min', 'max') for axis in 'xyz'}
LIVE |= {'reference_timeout', 'max_subjects', 'prefer'}
COMMENTED_TOGETHER = {f'workspace_{end}_{axis}' for end in ('min', 'max') for axis in 'xyz'}
COMMENTED_TOGETHER |= {'max_depth', 'publish_markers', 'publish_points', 'publish_overlay'}


def declare_with(make_node, **overrides):
    node = make_node(
        'parameters',
        parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
    )
    return node, declare(node, NodeParameters)


def test_defaults_pass_their_own_check():
    NodeParameters().check()


def test_shipped_file_lists_every_parameter_with_its_default():
    values = yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters']
    assert values == asdict(NodeParameters())
    assert {name: type(value) for name, value in values.items()} == {
        entry.name: type(entry.default) for entry in fields(NodeParameters)
    }


def test_the_file_for_people_holds_what_differs_from_hands(make_node):
    values = yaml.safe_load(CONFIG.with_name('body.yaml').read_text())['/**']['ros__parameters']
    _, parameters = declare_with(make_node, **values)
    assert parameters == replace(NodeParameters(), **values)
    assert parameters.depth_range == DEPTH_RANGES['body']
    assert parameters.models == ('body_lite',)


def test_shipped_file_comments_every_parameter():
    lines = CONFIG.read_text().splitlines()
    for entry in fields(NodeParameters):
        (row,) = [i for i, line in enumerate(lines) if line.strip().startswith(f'{entry.name}:')]
        above = lines[row - 1].strip()
        assert above.startswith('#') or entry.name in COMMENTED_TOGETHER, entry.name


def test_each_is_described_and_only_the_live_ones_are_writable(make_node):
    node, _ = declare_with(make_node)
    for entry in fields(NodeParameters):
        descriptor = node.describe_parameter(entry.name)
        assert len(descriptor.description) > 20
        assert descriptor.read_only == (entry.name not in LIVE)


def test_overrides_are_taken(make_node):
    _, parameters = declare_with(make_node, model='a, b', min_depth=0.3, passes=1)
    assert parameters.models == ('a', 'b')
    assert (parameters.min_depth, parameters.passes) == (0.3, 1)


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('qos_profile', 'reliable', ['sensor_data', 'system_default']),
        ('runtime', 'caffe', ['torch', 'openvino']),
        ('handedness', 'both', ['right', 'left', 'auto']),
        ('device', 'gpu', ['cuda:N']),
        ('model', 'a,,b', ['commas']),
        ('model', '', ['model file']),
        ('subject', 'my hand', ['letter']),
        ('subject', '/hand', ['letter']),
        ('min_depth', -0.1, ['from 0 to 20']),
        ('min_depth', 1.5, ['smaller']),
        ('min_confidence', 2.0, ['from 0 to 1']),
        ('min_confidence', math.nan, ['from 0 to 1']),
        ('max_depth', math.inf, ['from 0 to 20']),
        ('reference', 'frame', ['reference_frame']),
        ('reference', 'gaze', ['point', 'region']),
        ('workspace_min_x', 100.0, ['smaller']),
        ('cube_size', 0.001, ['at least 0.05']),
        ('passes', 0, ['from 1 to 4']),
        ('passes', 1.0, ['type int']),
        ('cube_size', 1, ['as in 1.0']),
        ('model', 1, ['quotes']),
        ('publish_tf', 'yes', ['type bool']),
    ],
)
def test_bad_value_is_refused_with_its_reason(make_node, name, value, words):
    with pytest.raises(ParameterError) as error:
        declare_with(make_node, **{name: value})
    text = str(error.value)
    assert name in text
    for word in words:
        assert word in text


def test_what_no_range_refuses_is_refused_all_the_same():
    with pytest.raises(ParameterError, match='min_confidence is nan; it must be a finite number'):
        replace(NodeParameters(), min_confidence=math.nan).check()


def test_change_gives_new_parameters_and_leaves_others_alone():
    changed = updated(
        NodeParameters(),
        [Parameter('max_depth', value=3.0), Parameter('use_sim_time', value=True)],
    )
    assert changed.max_depth == 3.0
    assert NodeParameters().max_depth == 1.5


def test_changes_are_judged_together():
    both = [Parameter('min_depth', value=2.0), Parameter('max_depth', value=3.0)]
    assert updated(NodeParameters(), both).min_depth == 2.0
    with pytest.raises(ParameterError, match='smaller'):
        updated(NodeParameters(), both[:1])


@pytest.mark.parametrize(
    ('profile', 'reliability'),
    [
        ('sensor_data', ReliabilityPolicy.BEST_EFFORT),
        ('default', ReliabilityPolicy.RELIABLE),
        ('system_default', ReliabilityPolicy.SYSTEM_DEFAULT),
    ],
)
def test_subscriptions_keep_only_the_newest(profile, reliability):
    qos = image_qos(profile)
    assert qos.depth == 5
    assert qos.reliability == reliability
    assert qos.durability != DurabilityPolicy.TRANSIENT_LOCAL
