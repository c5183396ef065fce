"""Estimate the pose of a hand in front of a depth camera.

With a RealSense (``ros2 launch realsense2_camera rs_launch.py``) no argument is needed:

    ros2 launch v2v_pose_ros hand.launch.py

Without any camera:

    ros2 launch v2v_pose_ros hand.launch.py synthetic_camera:=true

Under a lifecycle manager, or by hand:

    ros2 launch v2v_pose_ros hand.launch.py autostart:=false
    ros2 lifecycle set /v2v_pose configure
    ros2 lifecycle set /v2v_pose activate
"""
# ruff: noqa: I001 - launch is the ROS package here, not this directory.

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from v2v_pose_ros.defaults import RUNTIMES

PACKAGE = 'v2v_pose_ros'
NODE_NAME = 'v2v_pose'
OUTPUTS = ('skeletons', 'poses', 'markers', 'points')

# Fast DDS 3 (Kilted and later) knows the first name, Fast DDS 2 (Humble, Jazzy) only the second.
FAST_DDS_PROFILES = 'FASTDDS_DEFAULT_PROFILES_FILE'
FAST_RTPS_PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'


def generate_launch_description():
    return LaunchDescription([*_arguments(), *_transport(), OpaqueFunction(function=_nodes)])


def _arguments():
    switch = ['true', 'false']
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
            choices=switch,
            description='Render a moving hand in place of a camera; both topics are then ignored.',
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
            'autostart',
            default_value='',
            choices=['', *switch],
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
            default_value=PathJoinSubstitution([FindPackageShare(PACKAGE), 'config', 'hand.yaml']),
            description='Parameters of the node; the default file describes each.',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=switch,
            description='Take the time from /clock, for recordings played with --clock.',
        ),
        DeclareLaunchArgument(
            'rviz',
            default_value='true',
            choices=switch,
            description='Show depth cloud, TF and skeleton in RViz.',
        ),
        DeclareLaunchArgument(
            'viewer',
            default_value='none',
            choices=['none', 'rerun'],
            description='rerun: serve a live 3D view to browsers; the log says where.',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='What the node logs: this level and those above it.',
        ),
    ]


def _transport():
    """Give shared memory the size of depth images, unless the user has a profile of their own."""
    shipped = PathJoinSubstitution([FindPackageShare(PACKAGE), 'config', 'fastdds.xml'])
    older = EnvironmentVariable(FAST_RTPS_PROFILES, default_value=shipped)
    profile = EnvironmentVariable(FAST_DDS_PROFILES, default_value=older)
    return [
        SetEnvironmentVariable(FAST_DDS_PROFILES, profile),
        SetEnvironmentVariable(FAST_RTPS_PROFILES, profile),
    ]


def _nodes(context):
    """Return the nodes, now that the arguments have values."""

    def value(name):
        return LaunchConfiguration(name).perform(context)

    synthetic, namespace = value('synthetic_camera') == 'true', value('namespace')
    use_sim_time = {'use_sim_time': value('use_sim_time') == 'true'}
    # Strings stay strings: a model called 1 or null would become another type otherwise.
    chosen = {
        name: ParameterValue(value(name), value_type=str)
        for name in ('model', 'device', 'runtime')
        if value(name)
    }
    if value('autostart'):
        chosen['autostart'] = value('autostart') == 'true'
    logger = '.'.join([part for part in namespace.split('/') if part] + [NODE_NAME])
    inputs = [
        ('depth/image_rect', value('depth_topic')),
        ('depth/camera_info', value('camera_info_topic')),
    ]
    nodes = [
        Node(
            package=PACKAGE,
            executable='pose_node',
            name=NODE_NAME,
            namespace=namespace,
            parameters=[value('params_file'), {**use_sim_time, **chosen}],
            remappings=[] if synthetic else inputs,
            arguments=['--ros-args', '--log-level', f'{logger}:={value("log_level")}'],
            output='screen',
        )
    ]
    if synthetic:
        nodes.append(
            Node(
                package=PACKAGE,
                executable='synthetic_camera',
                name='synthetic_camera',
                namespace=namespace,
                parameters=[use_sim_time],
                output='screen',
            )
        )
    if value('viewer') == 'rerun':
        nodes.append(
            Node(
                package=PACKAGE,
                executable='viewer_node',
                namespace=namespace,
                parameters=[use_sim_time],
                remappings=[] if synthetic else inputs,
                output='screen',
            )
        )
    if value('rviz') == 'true':
        nodes.append(_rviz(namespace, synthetic, inputs, use_sim_time))
    return nodes


def _rviz(namespace, synthetic, inputs, use_sim_time):
    """Return RViz; its configuration has absolute names, for a node without a namespace."""
    outputs = [(f'/{NODE_NAME}/{name}', f'{NODE_NAME}/{name}') for name in OUTPUTS]
    sources = [(f'/{name}', name if synthetic else topic) for name, topic in inputs]
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), 'config', 'hand.rviz'])
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        namespace=namespace,
        arguments=['-d', config],
        parameters=[use_sim_time],
        remappings=outputs + sources,
        output='screen',
    )
