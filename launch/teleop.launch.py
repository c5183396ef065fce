"""Drive a robot with the hand that the pose node sees.

    ros2 launch v2v_pose_ros hand.launch.py
    ros2 launch v2v_pose_ros teleop.launch.py
    ros2 service call /v2v_teleop/arm std_srvs/srv/SetBool "{data: true}"

With a robot hand that dex-retargeting knows (pip install dex-retargeting six):

    ros2 launch v2v_pose_ros teleop.launch.py robot:=allegro urdf:=/path/to/allegro_hand_right.urdf
"""
# ruff: noqa: I001 - launch is the ROS package here, not this directory.

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from v2v_pose_ros.ros.launching import common_arguments, Run

NODE_NAME = 'v2v_teleop'
TRAJECTORY = '~/command/robot_trajectory'

# Texts that replace those of the parameter file where they are not empty.
CHOSEN = (
    'handedness',
    'subject',
    'frame',
    'tool_frame',
    'dead_man',
    'robot',
    'urdf',
    'gripper_joints',
)


def generate_launch_description():
    return LaunchDescription([*_arguments(), OpaqueFunction(function=_nodes)])


def _arguments():
    return [
        DeclareLaunchArgument(
            'skeletons_topic',
            default_value='v2v_pose/skeletons',
            description='Where the pose node publishes its skeletons.',
        ),
        DeclareLaunchArgument(
            'joint_states_topic',
            default_value='joint_states',
            description='Joint states of the robot hand; the first command starts from there.',
        ),
        DeclareLaunchArgument(
            'trajectory_topic',
            default_value=TRAJECTORY,
            description="Topic that the robot hand's controller listens to, such as "
            '/hand_controller/joint_trajectory.',
        ),
        DeclareLaunchArgument(
            'handedness',
            default_value='',
            choices=['', 'right', 'left'],
            description="Which of the operator's hands is followed. Empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            'subject',
            default_value='',
            description='Id of the subject that is followed. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'frame',
            default_value='',
            description='TF frame that the skeletons must be in. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'tool_frame',
            default_value='',
            description="TF frame of the arm's tool, which then moves as the hand does from where "
            'both were when armed. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'dead_man',
            default_value='',
            choices=['', 'service', 'topic', 'pinch', 'fist'],
            description='What arms and disarms. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'robot',
            default_value='',
            description='Robot hand: none, gripper, direct, allegro, shadow, leap, ... or a '
            'configuration file of dex-retargeting. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'urdf',
            default_value='',
            description='URDF of the robot hand. Empty: as in params_file.',
        ),
        DeclareLaunchArgument(
            'gripper_joints',
            default_value='',
            description='Joints of a gripper, separated by commas. Empty: as in params_file.',
        ),
        *common_arguments('teleop.yaml'),
    ]


def _nodes(context):
    """Return the node, now that the arguments have values."""
    run = Run(context)
    remappings = [
        ('v2v_pose/skeletons', run.value('skeletons_topic')),
        ('joint_states', run.value('joint_states_topic')),
        (TRAJECTORY, run.value('trajectory_topic')),
    ]
    return [run.managed_node('teleop_node', NODE_NAME, CHOSEN, remappings=remappings)]
