"""The viewer as a node: depth images and skeletons in, a Rerun view out.

It is a process of its own: what it costs the pose node is that one more subscribes to skeletons
and diagnostics. It can run on another machine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
import signal
import sys

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from v2v_pose_ros.estimator import SkeletonEstimate
from v2v_pose_ros.msg import Skeleton, SkeletonArray
from v2v_pose_ros.ros.declarations import declare, parameter, ParameterError, Parameters
from v2v_pose_ros.ros.images import CameraSource, depth_of, InputProblem
from v2v_pose_ros.ros.qos import image_qos, QOS_PROFILES
from v2v_pose_ros.ros.teleop.view import TeleopView
from v2v_pose_ros.skeletons import DATASET_SKELETONS
from v2v_pose_ros.subjects import Subject
from v2v_pose_ros.viewer.live import LiveViewer
from v2v_pose_ros.viewer.scene import Scene
from v2v_pose_ros.viewer.sink import DATA_PORT, Viewer, ViewerError, WEB_PORT

NODE_NAME = 'v2v_pose_viewer'

_KEPT = 30  # images that wait for their skeletons
_STAGE = 'time in '  # what the node's diagnostics begin with for a stage


@dataclass(frozen=True)
class ViewerParameters(Parameters):
    """All parameters of the node; none changes while it runs."""

    file: str = parameter('', 'An .rrd file to write instead of serving the view.')
    host: str = parameter('127.0.0.1', 'Name of this machine in the address that is printed.')
    port: int = parameter(DATA_PORT, 'Port of the data.', span=(1, 65535))
    web_port: int = parameter(
        WEB_PORT, 'Port of the page for browsers; 0 serves none.', span=(0, 65535)
    )
    rate: float = parameter(15.0, 'Scenes per second at most.', span=(0.1, 120.0))
    rectified: bool = parameter(
        False, 'True: the depth image is rectified, so P of camera_info applies.'
    )
    robot_urdf: str = parameter(
        '',
        'URDF of the robot hand that the teleoperation node commands, to show it beside the hand.',
    )
    robot_hands: str = parameter(
        'v2v_pose/skeletons',
        "Topic of the hands that the robot hand's commands are compared with.",
    )
    qos_profile: str = parameter(
        'sensor_data',
        'Quality of service of the depth image: sensor_data (best effort), default (reliable) or '
        'system_default.',
        choices=QOS_PROFILES,
    )


def subject_of(message: Skeleton) -> Subject | None:
    """Return the subject that a message describes, None for a skeleton this version has not."""
    skeleton = DATASET_SKELETONS.get(message.skeleton_name)
    if skeleton is None or tuple(message.joint_names) != skeleton.names:
        return None
    count, poses = len(skeleton), message.poses
    estimate = SkeletonEstimate(
        skeleton=skeleton,
        positions=np.array(
            [(p.position.x, p.position.y, p.position.z) for p in poses], np.float32
        ),
        confidences=np.array(message.confidences, np.float32),
        covariances=np.array(message.position_covariances, np.float32).reshape(count, 3, 3),
        reference_point=np.array(
            [message.cube_center.x, message.cube_center.y, message.cube_center.z], np.float32
        ),
        cube_size=message.cube_size,
        points=np.zeros((0, 3), np.float32),
    )
    turns = [(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses]
    return Subject(message.subject_id, estimate, np.array(turns))


class ViewerNode(Node):
    """Pairs images with their skeletons by stamp and hands both to the viewer.

    Raises ParameterError, and ViewerError when Rerun is not installed or cannot start.
    """

    def __init__(self) -> None:
        super().__init__(NODE_NAME)
        self._settings = settings = declare(self, ViewerParameters)
        if settings.file:
            viewer = Viewer.to_file(Path(settings.file))
        else:
            viewer = Viewer.serve(settings.host, settings.port, settings.web_port)
        self.live = LiveViewer(viewer, self.get_logger().error, 1 / settings.rate)
        if settings.robot_urdf:
            TeleopView(self, viewer, settings.robot_urdf, settings.robot_hands)
        self._camera = CameraSource(settings.rectified)
        self._images: OrderedDict[tuple[int, int], Image] = OrderedDict()
        self._stages: Mapping[str, float] = {}
        qos = image_qos(settings.qos_profile)
        subscribe = self.create_subscription
        subscribe(CameraInfo, 'depth/camera_info', self._camera.update, qos)
        subscribe(Image, 'depth/image_rect', self._on_image, qos)
        subscribe(SkeletonArray, 'v2v_pose/skeletons', self._on_skeletons, QoSProfile(depth=5))
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, QoSProfile(depth=5))
        where = self.live.address or settings.file
        self.get_logger().info(f'the viewer is at {where}')

    def _on_image(self, image: Image) -> None:
        self._images[_stamp(image)] = image
        while len(self._images) > _KEPT:
            self._images.popitem(last=False)

    def _on_skeletons(self, message: SkeletonArray) -> None:
        image = self._images.get(_stamp(message))
        if image is None:
            return  # lost on the way here, or of a camera that gives no stamps
        try:
            camera, depth = self._camera.camera_of(image), depth_of(image)
        except InputProblem as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        subjects = [subject_of(each) for each in message.skeletons]
        if message.header.frame_id != image.header.frame_id:
            self.get_logger().warning(
                f'the skeletons are in {message.header.frame_id} and the image in '
                f'{image.header.frame_id}: leave output_frame empty to see both',
                throttle_duration_sec=30.0,
            )
            subjects = []
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        found = [subject for subject in subjects if subject is not None]
        self.live.show(Scene(depth, camera, found, stamp, self._stages))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            stages = {
                entry.key.removeprefix(_STAGE): float(entry.value.split()[0]) / 1e3
                for entry in status.values
                if entry.key.startswith(_STAGE) and entry.value.endswith(' ms')
            }
            if stages:
                self._stages = stages


def _stamp(message: Image | SkeletonArray) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    node = None
    try:
        rclpy.init(args=args)
        node = ViewerNode()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (ParameterError, ViewerError) as error:
        print(f'{NODE_NAME}: {error}', file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not cut the file off
        if node is not None:
            node.live.close()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
