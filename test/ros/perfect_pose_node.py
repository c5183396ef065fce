"""A stand-in for the pose node that knows the truth, for tests of what watches it.

It publishes every true skeleton, 3 mm beside its place, once the image of the same stamp came.
"""

from __future__ import annotations

import signal
import sys

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image

from v2v_pose_ros.msg import SkeletonArray

OFFSET = 0.003  # metres


class PerfectPoseNode(Node):
    """Waits for truth and image of one stamp."""

    def __init__(self) -> None:
        super().__init__('v2v_pose')
        self.received = 0
        self.truths: dict[tuple[int, int], SkeletonArray] = {}
        self.images: set[tuple[int, int]] = set()
        self.publisher = self.create_publisher(SkeletonArray, '~/skeletons', 10)
        self.diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_subscription(Image, 'depth/image_rect', self.on_image, 10)
        self.create_subscription(SkeletonArray, 'synthetic_camera/ground_truth', self.on_truth, 10)
        self.create_timer(0.5, self.diagnose)

    def on_image(self, image: Image) -> None:
        self.received += 1
        self.images.add((image.header.stamp.sec, image.header.stamp.nanosec))
        self.publish()

    def on_truth(self, truth: SkeletonArray) -> None:
        self.truths[truth.header.stamp.sec, truth.header.stamp.nanosec] = truth
        self.publish()

    def publish(self) -> None:
        for stamp in sorted(self.images & set(self.truths)):
            self.images.remove(stamp)
            message = self.truths.pop(stamp)
            for pose in message.skeletons[0].poses:
                pose.position.x += OFFSET
            self.publisher.publish(message)

    def diagnose(self) -> None:
        values = {'images received': str(self.received), 'model': 'truth', 'runtime': 'none'}
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        message = DiagnosticArray(status=[DiagnosticStatus(name='v2v_pose', values=pairs)])
        message.header.stamp = self.get_clock().now().to_msg()
        self.diagnostics.publish(message)


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(PerfectPoseNode())
    except (KeyboardInterrupt, ExternalShutdownException):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    rclpy.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
