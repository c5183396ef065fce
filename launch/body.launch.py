"""Estimate the pose of a person in front of, or under, a depth camera.

With a RealSense (``ros2 launch realsense2_camera rs_launch.py``) no argument is needed:

    ros2 launch v2v_pose_ros body.launch.py

Without any camera:

    ros2 launch v2v_pose_ros body.launch.py synthetic_camera:=true

Its arguments are those of hand.launch.py; ``ros2 launch v2v_pose_ros body.launch.py
--show-args`` prints them.
"""

from v2v_pose_ros.ros.launching import describe


def generate_launch_description():
    return describe('body', 'a moving person')
