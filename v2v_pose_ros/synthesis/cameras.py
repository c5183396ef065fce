"""Cameras to look through, with the intrinsics of real ones."""

from __future__ import annotations

from v2v_pose_ros.camera import Camera


def sr305(width: int = 640, height: int = 480) -> Camera:
    """Return a camera like Intel's RealSense SR305, its image scaled to a size."""
    across, down = width / 640, height / 480
    return Camera(width, height, 476.0 * across, 476.0 * down, 313.7 * across, 242.8 * down)
