"""Sending of transforms that never change."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


class StaticTransformBroadcaster:
    """Sends transforms on ``/tf_static``, where late subscribers receive all of them too."""

    def __init__(self, node, qos=None):
        """Create the publisher on ``node``, by default reliable and transient local."""
        if qos is None:
            qos = QoSProfile(
                depth=1,
                durability=DurabilityPolicy.TRANSIENT_LOCAL,
                history=HistoryPolicy.KEEP_LAST,
            )
        self.pub_tf = node.create_publisher(TFMessage, '/tf_static', qos)
        self.net_message = TFMessage()

    def sendTransform(self, transform):
        """Add one or several ``TransformStamped``, replacing those of one child, and send all."""
        transforms = list(transform) if hasattr(transform, '__iter__') else [transform]
        known = {sent.child_frame_id: sent for sent in self.net_message.transforms}
        known.update({sent.child_frame_id: sent for sent in transforms})
        self.net_message = TFMessage(transforms=list(known.values()))
        self.pub_tf.publish(self.net_message)
