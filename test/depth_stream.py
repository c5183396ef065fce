"""A stream of 640x480 depth images; ``send`` and ``receive`` are its ends, two processes."""

from array import array
from collections.abc import Callable
import sys
import time

import rclpy
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Empty

TOPIC = 'depth/image_rect'
READY = 'ready'
FRAMES, RATE = 90, 30
PATIENCE = 30.0

# Reliable, and kept for a sender that comes later.
ANNOUNCEMENT = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def send() -> None:
    """Publish the frames with best effort, once both ends know of each other."""
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, TOPIC, qos_profile_sensor_data)
    ready = Future()
    node.create_subscription(Empty, READY, ready.set_result, ANNOUNCEMENT)
    deadline = time.monotonic() + PATIENCE
    rclpy.spin_until_future_complete(node, ready, timeout_sec=PATIENCE)
    wait_until(publisher.get_subscription_count, deadline)
    image = Image(width=640, height=480, encoding='16UC1', step=1280)
    image.data = array('B', bytes(640 * 480 * 2))
    start = time.monotonic()
    for number in range(FRAMES):
        time.sleep(max(0.0, start + number / RATE - time.monotonic()))
        image.header.stamp.sec = number + 1
        publisher.publish(image)
    # The last frame is in the segment of this process, which must outlive the reading of it.
    wait_until(lambda: not publisher.get_subscription_count(), deadline)


def receive() -> None:
    """Print how many frames arrive with best effort."""
    node = rclpy.create_node('receiver')
    # Deeper than the pose node's: what counts is the transport, not how busy this machine is.
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    numbers: list[int] = []
    subscription = node.create_subscription(
        Image, TOPIC, lambda image: numbers.append(image.header.stamp.sec), qos
    )
    deadline = time.monotonic() + PATIENCE
    # The sender may know this end before this end knows the sender: what it sends then is lost.
    wait_until(subscription.get_publisher_count, deadline)
    node.create_publisher(Empty, READY, ANNOUNCEMENT).publish(Empty())
    while FRAMES not in numbers and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.5)
        if numbers and not node.count_publishers(TOPIC):
            break
    print(len(set(numbers)))


def wait_until(condition: Callable[[], object], deadline: float) -> None:
    """Wait for what nobody announces, at most until the deadline."""
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


if __name__ == '__main__':
    rclpy.init()
    {'send': send, 'receive': receive}[sys.argv[1]]()
    rclpy.shutdown()
