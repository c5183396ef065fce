"""Recordings of depth cameras: rosbag2 (SQLite and MCAP) and ROS 1 bags, without ROS.

Reading and writing are done by `rosbags`, which brings the definitions of ROS messages with it.
"""


class RecordingError(ValueError):
    """A recording cannot be used; the text says why, what it holds, and what to do."""


def require_rosbags() -> None:
    """Raise RecordingError, which says what to install, where rosbags is missing."""
    try:
        import rosbags.rosbag2  # noqa: F401
    except ImportError as error:
        raise RecordingError(
            f'recordings need the package rosbags, which cannot be imported ({error}): '
            'pip install rosbags'
        ) from error
