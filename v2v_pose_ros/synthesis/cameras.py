"""Cameras to look through, with the intrinsics of real ones."""

from __future__ import annotations

from v2v_pose_ros.camera import Camera


def sr305(width: int = 640, height: int = 480) -> Camera:
    """Return a camera like Intel's RealSense SR305, its image scaled to a size."""
    across, down = width / 640, height / 480
    return Camera(width, height, 476.0 * across, 476.0 * down, 313.7 * across, 242.8 * down)


def kinect(width: int = 640, height: int = 480) -> Camera:
    """Return a camera like the first Kinect and the Xtion of ITOP, its image scaled to a size."""
    across, down = width / 640, height / 480
    focal = 2 / 0.0035  # ITOP: x = (u - 160) z 0.0035 on 320 columns
    return Camera(width, height, focal * across, focal * down, 320.0 * across, 240.0 * down)
