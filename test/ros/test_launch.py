"""The launch files, run with stand-ins for the launch system, which has no wheels."""

from pathlib import Path
import runpy
import sys
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from v2v_pose_ros.ros.node import NODE_NAME

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = ('hand', 'body')


class Recorded:
    """Remembers what it was made of, as launch actions and substitutions do."""

    def __init__(self, *arguments, **options) -> None:
        self.arguments = arguments
        self.options = options


class LaunchConfiguration(Recorded):
    def perform(self, context):
        return context[self.arguments[0]]


def fake(names, **classes):
    """Return a module with these classes; those without a definition only record."""
    kinds = {name: type(name, (Recorded,), {}) for name in names.split()}
    return SimpleNamespace(**kinds, **classes)


@pytest.fixture(params=SUBJECTS)
def launch(request, monkeypatch):
    """Return the description, its arguments by name, and a function that gives its nodes."""
    modules = {
        'launch': fake('LaunchContext LaunchDescription'),
        'launch.actions': fake('DeclareLaunchArgument OpaqueFunction SetEnvironmentVariable'),
        'launch.substitutions': fake(
            'EnvironmentVariable PathJoinSubstitution',
            LaunchConfiguration=LaunchConfiguration,
        ),
        'launch_ros': fake(''),
        'launch_ros.actions': fake('Node'),
        'launch_ros.parameter_descriptions': fake('ParameterValue'),
        'launch_ros.substitutions': fake('FindPackageShare'),
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(vars(contents))
        monkeypatch.setitem(sys.modules, name, module)
    # What the launch files share must meet the stand-ins, and nobody must meet it afterwards.
    monkeypatch.delitem(sys.modules, 'v2v_pose_ros.ros.launching', raising=False)
    file = ROOT / 'launch' / f'{request.param}.launch.py'
    (entities,) = runpy.run_path(str(file))['generate_launch_description']().arguments
    monkeypatch.delitem(sys.modules, 'v2v_pose_ros.ros.launching')
    kinds = {}
    for entity in entities:
        kinds.setdefault(type(entity).__name__, []).append(entity)
    arguments = {each.arguments[0]: each.options for each in kinds['DeclareLaunchArgument']}
    defaults = {name: options['default_value'] for name, options in arguments.items()}
    (late,) = kinds['OpaqueFunction']

    def nodes(**chosen):
        made = late.options['function']({**defaults, **chosen}, *late.options['args'])
        return {node.options['executable']: node.options for node in made}

    return SimpleNamespace(
        subject=request.param,
        arguments=arguments,
        nodes=nodes,
        variables=kinds['SetEnvironmentVariable'],
    )


def test_every_argument_is_described_and_has_a_default(launch):
    wanted = {'depth_topic', 'camera_info_topic', 'synthetic_camera', 'model', 'device'}
    wanted |= {'runtime', 'namespace', 'params_file', 'rviz', 'log_level'}
    assert wanted <= set(launch.arguments)
    for options in launch.arguments.values():
        assert len(options['description']) > 20
        if 'choices' in options:
            assert options['default_value'] in options['choices']


def test_camera_topics_are_remapped_to_the_drivers(launch):
    node = launch.nodes(depth_topic='/cam/depth', camera_info_topic='/cam/info')['pose_node']
    assert dict(node['remappings']) == {
        'depth/image_rect': '/cam/depth',
        'depth/camera_info': '/cam/info',
    }
    # Markers, TF and RViz look for the node under this name.
    assert node['name'] == NODE_NAME


def test_synthetic_camera_needs_no_remapping(launch):
    nodes = launch.nodes(synthetic_camera='true', namespace='left')
    assert set(nodes) == {'pose_node', 'synthetic_camera', 'rviz2'}
    assert not nodes['pose_node']['remappings']
    assert {node['namespace'] for node in nodes.values()} == {'left'}


def test_parameter_file_decides_unless_an_argument_is_given(launch):
    file, overrides = launch.nodes(params_file='/my.yaml')['pose_node']['parameters']
    assert file == '/my.yaml'
    assert set(overrides) == {'use_sim_time'}
    _, overrides = launch.nodes(model='a', device='cpu')['pose_node']['parameters']
    assert overrides['model'].arguments == ('a',)
    assert set(overrides) == {'use_sim_time', 'model', 'device'}


def test_subjects_are_counted_and_hands_have_a_side(launch):
    _, overrides = launch.nodes(max_subjects='2')['pose_node']['parameters']
    assert overrides['max_subjects'].arguments == ('2',)
    assert overrides['max_subjects'].options['value_type'] is int
    assert ('handedness' in launch.arguments) == (launch.subject == 'hand')
    if launch.subject == 'hand':
        _, overrides = launch.nodes(handedness='auto')['pose_node']['parameters']
        assert overrides['handedness'].options['value_type'] is str


def test_the_node_starts_itself_unless_somebody_manages_it(launch):
    _, overrides = launch.nodes()['pose_node']['parameters']
    assert 'autostart' not in overrides  # the file's default is true
    _, overrides = launch.nodes(autostart='false')['pose_node']['parameters']
    assert overrides['autostart'] is False
    _, overrides = launch.nodes(autostart='true')['pose_node']['parameters']
    assert overrides['autostart'] is True


def test_rviz_is_optional_and_sees_the_topics_of_the_namespace(launch):
    assert 'rviz2' not in launch.nodes(rviz='false')
    remappings = dict(launch.nodes(depth_topic='/cam/depth')['rviz2']['remappings'])
    assert remappings['/depth/image_rect'] == '/cam/depth'
    assert remappings[f'/{NODE_NAME}/markers'] == f'{NODE_NAME}/markers'
    shown = (ROOT / 'config' / 'hand.rviz').read_text()
    for name in ('depth/image_rect', 'depth/camera_info', f'{NODE_NAME}/points'):
        assert f'/{name}\n' in shown
        assert f'/{name}' in remappings


def test_the_viewer_sees_what_the_node_sees(launch):
    assert 'viewer_node' not in launch.nodes()
    nodes = launch.nodes(viewer='rerun', depth_topic='/cam/depth')
    assert nodes['viewer_node']['remappings'] == nodes['pose_node']['remappings']
    # Parameters of both, such as rectified, are those of one file.
    shared = set(yaml.safe_load((ROOT / 'config' / 'hand.yaml').read_text()))
    assert shared == {'/**'}
    assert nodes['viewer_node']['parameters'][0] == nodes['pose_node']['parameters'][0]


def test_the_viewer_shows_the_robot_hand_that_is_named(launch):
    nodes = launch.nodes(viewer='rerun', robot_urdf='/hand.urdf')
    parameters = nodes['viewer_node']['parameters'][-1]
    assert parameters['robot_urdf'].arguments == ('/hand.urdf',)
    assert parameters['robot_urdf'].options == {'value_type': str}


def test_log_level_is_of_the_node_in_its_namespace(launch):
    node = launch.nodes(namespace='/robot/left', log_level='debug')['pose_node']
    assert node['arguments'][-1] == f'robot.left.{NODE_NAME}:=debug'


def test_fast_dds_profile_is_the_shipped_one_unless_the_user_has_one(launch):
    names = {each.arguments[0] for each in launch.variables}
    # Fast DDS 2 reads the second name, Fast DDS 3 the first.
    assert names == {'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'}
    for each in launch.variables:
        value, looked_at = each.arguments[1], set()
        while type(value).__name__ == 'EnvironmentVariable':
            looked_at.add(value.arguments[0])
            value = value.options['default_value']
        assert looked_at == names
        assert value.arguments[0][1:] == ['config', 'fastdds.xml']


def test_files_that_are_named_exist():
    for name in ('config/hand.yaml', 'config/hand.rviz', 'config/fastdds.xml'):
        assert (ROOT / name).is_file()


def test_each_subject_has_its_parameters_its_view_and_its_camera(launch):
    subject = launch.subject
    (path,) = launch.arguments['params_file']['default_value'].arguments
    assert path[1:] == ['config', f'{subject}.yaml']
    nodes = launch.nodes(synthetic_camera='true')
    (_, config) = nodes['rviz2']['arguments']
    assert config.arguments[0][1:] == ['config', f'{subject}.rviz']
    for name in (f'{subject}.yaml', f'{subject}.rviz'):
        assert (ROOT / 'config' / name).is_file()
    assert nodes['synthetic_camera']['parameters'][0]['subject'] == subject
