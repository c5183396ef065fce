"""A camera in a process of its own, which may be killed: images of a square, 0.5 m away."""

from __future__ import annotations

import argparse
from array import array
import time

import numpy as np
import rclpy
from ros_bench import camera_info, depth_image
from sensor_msgs.msg import CameraInfo, Image


def main() -> None:
    """Publish until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--offset', type=float, default=0.0)
    parser.add_argument('--size', default='64x48')
    parser.add_argument(
        '--step',
        type=float,
        default=0.0,
        help='of the clock (s), every 60 images',
    )
    options = parser.parse_args()
    width, height = map(int, options.size.split('x'))
    rclpy.init()
    node = rclpy.create_node('camera')
    images = node.create_publisher(Image, 'depth/image_rect', 1)
    infos = node.create_publisher(CameraInfo, 'depth/camera_info', 1)
    depth = np.zeros((height, width), '<u2')
    depth[height // 3 : 2 * height // 3, 3 * width // 8 : 5 * width // 8] = 500
    info = camera_info(width, height, width - 4.0)
    data = array('B', depth.tobytes())
    begun, number = time.monotonic(), 0
    while rclpy.ok():
        number += 1
        time.sleep(max(0.0, begun + number / options.rate - time.monotonic()))
        stepped = options.step * (number // 60)
        image = depth_image(time.time() + options.offset + stepped, data=data)
        image.width, image.height, image.step = width, height, 2 * width
        info.header = image.header
        infos.publish(info)
        images.publish(image)


if __name__ == '__main__':
    main()
