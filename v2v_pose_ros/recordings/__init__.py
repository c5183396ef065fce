"""Recordings of depth cameras: rosbag2 (SQLite and MCAP) and ROS 1 bags, without ROS.

Reading and writing are done by `rosbags`, which brings the definitions of ROS messages with it.
"""


class RecordingError(ValueError):
    """A recording cannot be used; the text says why, what it holds, and what to do."""
