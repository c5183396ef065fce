"""Following subjects from frame to frame: where to look first, who is who, and who is lost."""

from v2v_pose_ros.tracking.tracker import Tracker, TrackerMemory, TrackerOptions
from v2v_pose_ros.tracking.tracks import TrackingState

__all__ = ['Tracker', 'TrackerMemory', 'TrackerOptions', 'TrackingState']
