"""The launch file of teleoperation, run with stand-ins for the launch system."""

from pathlib import Path
import runpy
import sys
from types import ModuleType, SimpleNamespace

import pytest

from v2v_pose_ros.ros.teleop.node import NODE_NAME
from v2v_pose_ros.ros.teleop.parameters import TeleopParameters

FILE = Path(__file__).resolve().parents[2] / 'launch' / 'teleop.launch.py'


class Recorded:
    """Remembers what it was made of, as launch actions and substitutions do."""

    def __init__(self, *arguments, **options) -> None:
        self.arguments, self.options = arguments, options

    def perform(self, context):
        """Return the value of a LaunchConfiguration."""
        return context[self.arguments[0]]


@pytest.fixture
def launch(monkeypatch):
    """Return the arguments by name and a function that gives the options of the node."""
    modules = {
        'launch': 'LaunchContext LaunchDescription',
        'launch.actions': 'DeclareLaunchArgument OpaqueFunction SetEnvironmentVariable',
        'launch.substitutions': 'EnvironmentVariable LaunchConfiguration PathJoinSubstitution',
        'launch_ros': '',
        'launch_ros.actions': 'Node',
        'launch_ros.parameter_descriptions': 'ParameterValue',
        'launch_ros.substitutions': 'FindPackageShare',
    }
    for name, classes in modules.items():
        module = ModuleType(name)
        for each in classes.split():
            setattr(module, each, type(each, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    # What the launch files share must meet the stand-ins, and nobody must meet it afterwards.
    monkeypatch.delitem(sys.modules, 'v2v_pose_ros.ros.launching', raising=False)
    (entities,) = runpy.run_path(str(FILE))['generate_launch_description']().arguments
    monkeypatch.delitem(sys.modules, 'v2v_pose_ros.ros.launching')
    *declared, late = entities
    arguments = {each.arguments[0]: each.options for each in declared}
    defaults = {name: options['default_value'] for name, options in arguments.items()}

    def node(**chosen):
        (made,) = late.options['function']({**defaults, **chosen})
        return made.options

    return SimpleNamespace(arguments=arguments, node=node)


def test_every_argument_is_described(launch):
    for options in launch.arguments.values():
        assert len(options['description']) > 20
        if 'choices' in options:
            assert options['default_value'] in options['choices']


def test_the_node_is_the_installed_one_with_the_shipped_parameters(launch):
    node = launch.node()
    assert node['executable'] == 'teleop_node'
    assert node['name'] == NODE_NAME
    share, *parts = node['parameters'][0].arguments[0]
    assert share.arguments == ('v2v_pose_ros',)
    assert parts == ['config', 'teleop.yaml']
    assert node['parameters'][1] == {'use_sim_time': False}
    assert all(name == other for name, other in node['remappings'])


def test_the_robot_hands_controller_may_have_its_own_topic(launch):
    node = launch.node(trajectory_topic='/hand_controller/joint_trajectory')
    remapped = dict(node['remappings'])
    assert remapped['~/command/robot_trajectory'] == '/hand_controller/joint_trajectory'


def test_chosen_arguments_win_over_the_file(launch):
    node = launch.node(
        robot='leap', urdf='/x.urdf', dead_man='pinch', autostart='false', namespace='/left/arm'
    )
    chosen = node['parameters'][1]
    assert set(chosen) == {'robot', 'urdf', 'dead_man', 'autostart', 'use_sim_time'}
    assert chosen['autostart'] is False
    assert chosen['urdf'].arguments == ('/x.urdf',)
    assert node['arguments'][-1] == f'left.arm.{NODE_NAME}:=info'


def test_chosen_arguments_are_parameters(launch):
    texts = set(launch.arguments) & set(vars(TeleopParameters()))
    every = launch.node(**dict.fromkeys(texts - {'autostart'}, 'x'), autostart='true')
    assert set(every['parameters'][1]) == texts | {'use_sim_time'}
