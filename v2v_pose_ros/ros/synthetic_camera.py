"""The node `synthetic_camera`: depth images of a moving hand or person, with true joints.

Publishes `depth/image_rect`, `depth/camera_info` and `~/ground_truth`, all with one stamp and in
the frame `camera_depth_optical_frame`, as a depth camera's driver would.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
import sys
import time

from builtin_interfaces.msg import Time
import cv2
import numpy as np
from numpy.typing import NDArray
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
import torch

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import SkeletonEstimate
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros.declarations import declare, parameter, ParameterError, Parameters
from v2v_pose_ros.ros.messages import skeleton_array_message
from v2v_pose_ros.ros.qos import image_qos, QOS_PROFILES
from v2v_pose_ros.subjects import name_subjects
from v2v_pose_ros.synthesis.kinds import KINDS

FRAME = 'camera_depth_optical_frame'


@dataclass(frozen=True)
class CameraParameters(Parameters):
    """All parameters of the node; none changes while it runs."""

    subject: str = parameter('hand', 'What moves in front of the camera.', choices=tuple(KINDS))
    rate: float = parameter(30.0, 'Frames per second.', span=(0.1, 120.0))
    width: int = parameter(640, 'Columns of the images.', span=(64, 1920))
    height: int = parameter(480, 'Rows of the images.', span=(48, 1080))
    seed: int = parameter(0, 'Decides shape, gestures, path and noise.', span=(0, 2**31))
    noise: bool = parameter(
        True, 'True: the depth has noise, ragged edges, shadows and holes. False: it is exact.'
    )
    background: bool = parameter(
        True, 'True: a person or a room is behind the subject. False: there is nothing.'
    )
    encoding: str = parameter(
        '16UC1',
        'Depth as whole millimetres with 0 (16UC1), or metres with NaN (32FC1) where there is no '
        'measurement.',
        choices=('16UC1', '32FC1'),
    )
    qos_profile: str = parameter(
        'default',
        'Quality of service of the publications: sensor_data (best effort), default (reliable) or '
        'system_default. Subscribers of any kind receive from a reliable publisher.',
        choices=QOS_PROFILES,
    )


def image_message(depth: NDArray[np.float32], encoding: str) -> Image:
    """Return depth [rows, columns] in metres (0: no measurement) as a message without a header."""
    if encoding == '16UC1':
        pixels = (depth * 1000 + 0.5).astype('<u2')
    else:
        pixels = np.where(depth > 0, depth, np.nan).astype('<f4')
    rows, columns = pixels.shape
    image = Image(height=rows, width=columns, encoding=encoding, is_bigendian=0)
    image.step = columns * pixels.itemsize
    # An array of bytes is taken as it is; anything else is checked byte by byte.
    image.data = array('B', pixels.tobytes())
    return image


def camera_info_message(camera: Camera) -> CameraInfo:
    """Return the calibration of a camera without distortion, without a header."""
    info = CameraInfo(height=camera.height, width=camera.width, distortion_model='plumb_bob')
    fx, fy, cx, cy = float(camera.fx), float(camera.fy), float(camera.cx), float(camera.cy)
    info.d = [0.0] * 5
    info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def ground_truth_message(
    header: Header, joints: NDArray[np.float32], subject: str = 'hand'
) -> SkeletonArray:
    """Return true joints [J, 3] in metres: certain, and without covariance."""
    kind = KINDS[subject]
    count = len(kind.skeleton)
    truth = SkeletonEstimate(
        skeleton=kind.skeleton,
        positions=joints,
        confidences=np.ones(count, np.float32),
        covariances=np.zeros((count, 3, 3), np.float32),
        reference_point=joints.mean(0),
        cube_size=kind.cube_size,
        points=np.empty((0, 3), np.float32),
        handedness='right' if subject == 'hand' else '',
    )
    return skeleton_array_message(header, name_subjects([truth], subject), latency=0.0)


class SyntheticCamera(Node):
    """Publishes a frame at every tick of a steady clock, and renders the next one in between.

    The frame and its joints show the moment for which it was rendered, the tick; the stamp is the
    time when that tick came.  Ticks that were missed are left out and not made up for.
    """

    def __init__(self) -> None:
        """Create the node, render the first frame and start the clock."""
        super().__init__('synthetic_camera')
        self.parameters = parameters = declare(self, CameraParameters)
        kind = KINDS[parameters.subject]
        camera = kind.camera(parameters.width, parameters.height)
        self._scene = kind.live(camera, parameters.seed, parameters.noise, parameters.background)
        self._info = camera_info_message(camera)
        qos = image_qos(parameters.qos_profile)
        self._images = self.create_publisher(Image, 'depth/image_rect', qos)
        self._infos = self.create_publisher(CameraInfo, 'depth/camera_info', qos)
        self._truths = self.create_publisher(SkeletonArray, '~/ground_truth', qos)
        self._period = 1 / parameters.rate
        self._start: float | None = None  # the first tick
        self._tick = 0
        self._next = self._render(0)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(self._period, self._publish, clock=steady)
        self.get_logger().info(
            f'publishing {camera.width}x{camera.height} {parameters.encoding} at '
            f'{parameters.rate:g} Hz on {self._images.topic_name}'
        )

    def _render(self, tick: int) -> tuple[Image, NDArray[np.float32]]:
        depth, joints = self._scene.frame(tick * self._period)
        return image_message(depth, self.parameters.encoding), joints

    def _publish(self) -> None:
        """Publish the frame that is ready, then render the next."""
        header = Header(stamp=self._now(), frame_id=FRAME)
        image, joints = self._next
        image.header = header
        self._info.header = header
        # The calibration first: it is there when the image arrives.
        self._infos.publish(self._info)
        self._images.publish(image)
        if self._truths.get_subscription_count():
            truth = ground_truth_message(header, joints, self.parameters.subject)
            self._truths.publish(truth)
        if self._start is None:
            self._start = time.monotonic()
        tick = round((time.monotonic() - self._start) / self._period)
        if tick > self._tick + 1:
            self.get_logger().warning(
                f'left out {tick - self._tick - 1} frames: this machine is too busy for '
                f'{self.parameters.rate:g} Hz',
                throttle_duration_sec=5.0,
            )
        self._tick = tick
        self._next = self._render(tick + 1)

    def _now(self) -> Time:
        return self.get_clock().now().to_msg()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    # Rendering one small frame at a time gains nothing from threads, which the network needs.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        rclpy.init(args=args)
        node = SyntheticCamera()
        rclpy.spin(node)
    except ParameterError as error:
        print(f'synthetic_camera: {error}', file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():
            raise  # else it was interrupted, and whatever failed stood on the context
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
