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

from v2v_pose_ros.ros.launching import describe


def generate_launch_description():
    return describe('hand', 'a moving hand')
