"""The message types of ROS 2 and of this package, without an installation of either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.typesys import get_types_from_msg, get_typestore, Stores

from v2v_pose_ros.recordings import RecordingError

SKELETONS = 'v2v_pose_ros/msg/SkeletonArray'
MARKERS = 'visualization_msgs/msg/MarkerArray'
TRANSFORMS = 'tf2_msgs/msg/TFMessage'
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


def message_folder() -> Path:
    """Return the folder of this package's .msg files: source tree, wheel or ROS installation."""
    package = Path(__file__).resolve().parents[1]
    folders = [package.parent / 'msg', Path(__file__).resolve().parent / 'msg']
    try:
        from ament_index_python.packages import get_package_share_directory

        folders.append(Path(get_package_share_directory('v2v_pose_ros')) / 'msg')
    except (ImportError, LookupError, OSError):
        pass  # no ROS, no ROS environment, or not installed in it: the other folders serve
    for folder in folders:
        if (folder / 'SkeletonArray.msg').is_file():
            return folder
    raise RecordingError(
        'the definitions of Skeleton and SkeletonArray were not installed with this package; '
        f'they were looked for in {", ".join(map(str, folders))}: install it again'
    )


def _types() -> Any:
    types = get_typestore(Stores.ROS2_JAZZY)
    added: dict[str, Any] = {}
    for file in sorted(message_folder().glob('*.msg')):
        added.update(get_types_from_msg(file.read_text(), f'v2v_pose_ros/msg/{file.stem}'))
    types.register(added)
    return types


TYPES = _types()
"""Jazzy's types; those that a recording reads from are the same in Humble, Kilted and Lyrical."""
