"""A stream of 640x480 depth images; ``send`` and ``receive`` are its ends, two processes."""

from array import array
import sys
import time

import rclpy
from rclpy.qos import qos_profile_sensor_data, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

TOPIC = 'depth/image_rect'
FRAMES, RATE = 90, 30
PATIENCE = 30.0


def send() -> None:
    """Publish the frames with best effort, once there is a subscriber."""
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, TOPIC, qos_profile_sensor_data)
    deadline = time.monotonic() + PATIENCE
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.005)
    image = Image(width=640, height=480, encoding='16UC1', step=1280)
    image.data = array('B', bytes(640 * 480 * 2))
    start = time.monotonic()
    for number in range(FRAMES):
        time.sleep(max(0.0, start + number / RATE - time.monotonic()))
        image.header.stamp.sec = number + 1
        publisher.publish(image)
    # The last frame is in the segment of this process, which must outlive the reading of it.
    while publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.005)


def receive() -> None:
    """Print how many frames arrive with best effort."""
    node = rclpy.create_node('receiver')
    # Deeper than the pose node's: what counts is the transport, not how busy this machine is.
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    numbers: list[int] = []
    node.create_subscription(
        Image, TOPIC, lambda image: numbers.append(image.header.stamp.sec), qos
    )
    deadline = time.monotonic() + PATIENCE
    while FRAMES not in numbers and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.5)
        if numbers and not node.count_publishers(TOPIC):
            break
    print(len(set(numbers)))


if __name__ == '__main__':
    rclpy.init()
    {'send': send, 'receive': receive}[sys.argv[1]]()
    rclpy.shutdown()
