"""Conversion between ``sensor_msgs/Image`` and OpenCV arrays."""

from .core import CvBridge, CvBridgeError

__all__ = ['CvBridge', 'CvBridgeError']
