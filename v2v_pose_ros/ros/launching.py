"""What the launch files have in common: arguments, managed nodes, and for subjects the viewers.

This runs in the process of `ros2 launch`, which has neither PyTorch nor rclpy to wait for.
"""

# ruff: noqa: I001 - launch is the ROS package here, not the directory of that name.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from v2v_pose_ros.defaults import HANDEDNESSES, RUNTIMES

PACKAGE = 'v2v_pose_ros'
NODE_NAME = 'v2v_pose'
OUTPUTS = ('skeletons', 'poses', 'markers', 'points')

# Fast DDS 3 (Kilted and later) knows the first name, Fast DDS 2 (Humble, Jazzy) only the second.
FAST_DDS_PROFILES = 'FASTDDS_DEFAULT_PROFILES_FILE'
FAST_RTPS_PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'

_SWITCH = ['true', 'false']


def describe(subject: str, scene: str) -> LaunchDescription:
    """Return the launch description for a subject.

    Args:
        subject: 'hand' or 'body'; names the files in config/ that are used.
        scene: what the synthetic camera renders, in words.
    """
    return LaunchDescription(
        [
            *_arguments(subject, scene),
            *_transport(),
            OpaqueFunction(function=_nodes, args=[subject]),
        ]
    )


def _arguments(subject: str, scene: str) -> list[DeclareLaunchArgument]:
    """Return the arguments, each with its description and default."""
    return [
        DeclareLaunchArgument(
            'depth_topic',
            default_value='/camera/camera/depth/image_rect_raw',
            description='Depth images of the camera (16UC1, mono16 or 32FC1).',
        ),
        DeclareLaunchArgument(
            'camera_info_topic',
            default_value='/camera/camera/depth/camera_info',
            description='Calibration that belongs to depth_topic.',
        ),
        DeclareLaunchArgument(
            'synthetic_camera',
            default_value='false',
            choices=_SWITCH,
            description=f'Render {scene} in place of a camera; both topics are then ignored.',
        ),
        DeclareLaunchArgument(
            'model',
            default_value='',
            description='Model file or name of a shipped one; several, separated by commas, are '
            'averaged. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'device',
            default_value='',
            description='Where the network runs: auto, cpu, cuda or cuda:N. Empty: as in '
            'params_file.',
        ),
        DeclareLaunchArgument(
            'runtime',
            default_value='',
            choices=['', *RUNTIMES],
            description='What executes the network. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'max_subjects',
            default_value='',
            description='How many are followed at most. Empty: as in params_file.',
        ),
        *([_handedness()] if subject == 'hand' else []),
        *common_arguments(f'{subject}.yaml'),
        DeclareLaunchArgument(
            'rviz',
            default_value='true',
            choices=_SWITCH,
            description='Show depth cloud, TF and skeleton in RViz.',
        ),
        DeclareLaunchArgument(
            'viewer',
            default_value='none',
            choices=['none', 'rerun'],
            description='rerun: serve a live 3D view to browsers; the log says where.',
        ),
        DeclareLaunchArgument(
            'robot_urdf',
            default_value='',
            description='URDF of the robot hand that teleop.launch.py commands, to see it in the '
            'viewer. Empty: none.',
        ),
    ]


def _handedness() -> DeclareLaunchArgument:
    return DeclareLaunchArgument(
        'handedness',
        default_value='',
        choices=['', *HANDEDNESSES],
        description='Which hand the camera sees; auto finds out. Empty: as in params_file.',
    )


def common_arguments(config: str) -> list[DeclareLaunchArgument]:
    """Return the arguments of every launch file with a managed node.

    Args:
        config: the file in config/ with the node's default parameters.
    """
    return [
        DeclareLaunchArgument(
            'autostart',
            default_value='',
            choices=['', *_SWITCH],
            description='false: the node waits for somebody who manages its lifecycle, such as '
            '"ros2 lifecycle set" or the lifecycle manager of Nav2. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'namespace',
            default_value='',
            description='Namespace of the nodes, to tell two cameras apart.',
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=_config(config),
            description='Parameters of the node; the default file describes each.',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=_SWITCH,
            description='Take the time from /clock, for recordings played with --clock.',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='What the node logs: this level and those above it.',
        ),
    ]


def _config(name: str) -> PathJoinSubstitution:
    """Return where a file of the package's config folder is."""
    return PathJoinSubstitution([FindPackageShare(PACKAGE), 'config', name])


def _transport() -> list[SetEnvironmentVariable]:
    """Give shared memory the size of depth images, unless the user has a profile of their own."""
    older = EnvironmentVariable(FAST_RTPS_PROFILES, default_value=_config('fastdds.xml'))
    profile = EnvironmentVariable(FAST_DDS_PROFILES, default_value=older)
    return [
        SetEnvironmentVariable(FAST_DDS_PROFILES, profile),
        SetEnvironmentVariable(FAST_RTPS_PROFILES, profile),
    ]


@dataclass(frozen=True)
class Run:
    """What one start of a launch file was given."""

    context: LaunchContext

    def value(self, argument: str) -> str:
        """Return the value of an argument."""
        text: str = LaunchConfiguration(argument).perform(self.context)
        return text

    @property
    def clock(self) -> dict[str, Any]:
        """The parameter that all nodes have."""
        return {'use_sim_time': self.value('use_sim_time') == 'true'}

    def node(self, executable: str, **options: Any) -> Node:
        """Return a node of the package, by default with no parameter but the clock."""
        return Node(
            package=PACKAGE,
            executable=executable,
            namespace=self.value('namespace'),
            output='screen',
            **{'parameters': [self.clock], **options},
        )

    def managed_node(
        self,
        executable: str,
        name: str,
        texts: Sequence[str],
        numbers: Sequence[str] = (),
        **options: Any,
    ) -> Node:
        """Return a node with a lifecycle that takes `common_arguments`.

        Args:
            executable: its program.
            name: its name.
            texts: arguments that replace parameters of the file where they are not empty.
            numbers: the same for parameters that are integers.
            options: of the node, besides.
        """
        # Strings stay strings: a model called 1 or null would become another type otherwise.
        kinds = {**dict.fromkeys(texts, str), **dict.fromkeys(numbers, int)}
        chosen: dict[str, Any] = {
            argument: ParameterValue(self.value(argument), value_type=kind)
            for argument, kind in kinds.items()
            if self.value(argument)
        }
        if self.value('autostart'):
            chosen['autostart'] = self.value('autostart') == 'true'
        spaces = [part for part in self.value('namespace').split('/') if part]
        logger = '.'.join([*spaces, name])
        return self.node(
            executable,
            name=name,
            parameters=[self.value('params_file'), {**self.clock, **chosen}],
            arguments=['--ros-args', '--log-level', f'{logger}:={self.value("log_level")}'],
            **options,
        )


@dataclass(frozen=True)
class _SubjectRun(Run):
    """The same for a subject before a camera."""

    subject: str

    @property
    def synthetic(self) -> bool:
        """Whether the camera is a rendered one, under the node's own topic names."""
        return self.value('synthetic_camera') == 'true'

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """The node's topics, and the camera's."""
        return [
            ('depth/image_rect', self.value('depth_topic')),
            ('depth/camera_info', self.value('camera_info_topic')),
        ]

    @property
    def remappings(self) -> list[tuple[str, str]]:
        """What nodes that read the camera need."""
        return [] if self.synthetic else self.inputs


def _nodes(context: LaunchContext, subject: str) -> list[Node]:
    """Return the nodes, now that the arguments have values."""
    run = _SubjectRun(context, subject)
    texts = ['model', 'device', 'runtime', *(['handedness'] if subject == 'hand' else [])]
    numbers = ['max_subjects']
    nodes = [run.managed_node('pose_node', NODE_NAME, texts, numbers, remappings=run.remappings)]
    if run.synthetic:
        scene = {**run.clock, 'subject': subject}
        nodes.append(run.node('synthetic_camera', name='synthetic_camera', parameters=[scene]))
    if run.value('viewer') == 'rerun':
        nodes.append(_viewer(run))
    if run.value('rviz') == 'true':
        nodes.append(_rviz(run))
    return nodes


def _viewer(run: _SubjectRun) -> Node:
    robot = ParameterValue(run.value('robot_urdf'), value_type=str)
    # The file says of the camera what the viewer has to know, too: rectified, qos_profile.
    parameters = [run.value('params_file'), {**run.clock, 'robot_urdf': robot}]
    return run.node('viewer_node', parameters=parameters, remappings=run.remappings)


def _rviz(run: _SubjectRun) -> Node:
    """Return RViz; its configuration has absolute names, for a node without a namespace."""
    outputs = [(f'/{NODE_NAME}/{name}', f'{NODE_NAME}/{name}') for name in OUTPUTS]
    sources = [(f'/{name}', name if run.synthetic else topic) for name, topic in run.inputs]
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        namespace=run.value('namespace'),
        arguments=['-d', _config(f'{run.subject}.rviz')],
        parameters=[run.clock],
        remappings=outputs + sources,
        output='screen',
    )
