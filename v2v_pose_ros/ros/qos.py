"""Quality of service of depth images and what comes with them, by the name of a profile."""

from __future__ import annotations

from rclpy.qos import (
    HistoryPolicy,
    qos_profile_sensor_data,
    qos_profile_system_default,
    QoSProfile,
    ReliabilityPolicy,
)

QOS_PROFILES = ('sensor_data', 'default', 'system_default')

_QUEUE = 5  # images, as in the sensor data profile


def image_qos(profile: str) -> QoSProfile:
    """Return the quality of service of a publication or subscription of images.

    The newest frame wins in the pose node, which takes each as it comes; the middleware's queue
    only bridges the moments in which a busy machine does not let a node run.
    """
    if profile == 'default':
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=_QUEUE,
            reliability=ReliabilityPolicy.RELIABLE,
        )
    base = qos_profile_sensor_data if profile == 'sensor_data' else qos_profile_system_default
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_QUEUE,
        reliability=base.reliability,
        durability=base.durability,
    )
