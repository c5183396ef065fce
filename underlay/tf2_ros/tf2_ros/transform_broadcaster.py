"""Sending of transforms that change."""

from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage


class TransformBroadcaster:
    """Sends transforms on ``/tf``."""

    def __init__(self, node, qos=None):
        """Create the publisher on ``node``, by default reliable and volatile with depth 100."""
        if qos is None:
            qos = QoSProfile(depth=100)
        self.pub_tf = node.create_publisher(TFMessage, '/tf', qos)

    def sendTransform(self, transform):
        """Send one ``TransformStamped``, or several in one message."""
        transforms = list(transform) if hasattr(transform, '__iter__') else [transform]
        self.pub_tf.publish(TFMessage(transforms=transforms))
