"""The node: depth images in, skeletons out.

Two threads share the work. The executor's only stores the newest image; the inference thread
loads, warms up and runs the network, and publishes. So an image never waits behind another, and a
network compiled for one thread stays in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import signal
import sys
import threading
import time
import traceback
from typing import Protocol, TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.task import Future
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_ros import TransformBroadcaster
from v2v_pose_ros.camera import Camera, CameraError, decode_depth, DepthError
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros import messages
from v2v_pose_ros.ros.diagnostics import diagnostics_message, Health, STALE_AFTER
from v2v_pose_ros.ros.parameters import declare, NodeParameters, ParameterError, subscription_qos
from v2v_pose_ros.ros.parameters import updated
from v2v_pose_ros.ros.stream import ProblemLog, StreamStatistics
from visualization_msgs.msg import MarkerArray

if TYPE_CHECKING:
    from v2v_pose_ros.estimator import SkeletonEstimate

NODE_NAME = 'v2v_pose'

_GRACE = 1.0  # camera_info may come this much (s) later than the image it belongs to
_FOREVER = 1e9  # throttles a warning to a single one


class Result(Protocol):
    """What an estimator returns: v2v_pose_ros.estimator.Estimate."""

    skeletons: Sequence[SkeletonEstimate]
    timings: Mapping[str, float]


class Estimator(Protocol):
    """What the node needs of v2v_pose_ros.estimator.PoseEstimator."""

    model_names: Sequence[str]
    runtime_name: str
    depth_range: tuple[float, float]

    def warm_up(self) -> None:
        """Run once, so that the first image is as fast as the others."""

    def __call__(self, depth: NDArray[np.float32], camera: Camera) -> Result:
        """Return the skeletons in a depth image [H, W] in metres, 0 where nothing was measured."""


def load_estimator(parameters: NodeParameters) -> Estimator:
    """Load the models that the parameters name."""
    # Imported here, in the inference thread: PyTorch takes seconds, and the node can be discovered
    # and collect camera_info meanwhile.
    from v2v_pose_ros.estimator import PoseEstimator

    return PoseEstimator.load(
        parameters.models,
        device=parameters.device,
        runtime=parameters.runtime,
        depth_range=(parameters.min_depth, parameters.max_depth),
        handedness=parameters.handedness,
        passes=parameters.passes,
        cube_size=parameters.cube_size or None,
    )


@dataclass(frozen=True)
class Frame:
    """A depth image and when it arrived (steady clock, s)."""

    image: Image
    arrival: float


class InputProblem(ValueError):
    """An image cannot be used; ``kind`` is what its warnings are throttled by."""

    def __init__(self, kind: str, text: str, grace: float = 0.0) -> None:
        super().__init__(text)
        self.kind = kind
        self.grace = grace


class NewestFrame:
    """A place for one frame: a newer one replaces it, and the inference thread waits for it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._closed = False

    def put(self, frame: Frame) -> bool:
        """Store a frame and tell whether it replaced one that nobody had taken."""
        with self._condition:
            replaced = self._frame is not None
            self._frame = frame
            self._condition.notify()
            return replaced

    def take(self) -> Frame | None:
        """Wait for a frame; None when closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._frame is not None)
            frame, self._frame = self._frame, None
            return None if self._closed else frame

    def close(self) -> None:
        """Make ``take`` return None from now on."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class PoseNode(Node):
    """Estimates skeletons from depth images.

    Args:
        load: Makes the estimator from the parameters, in the inference thread.
        options: Passed on to rclpy's Node.

    ``failed`` is a future that is done, with the reason as its result, when the estimator cannot
    be loaded. Raises ParameterError for parameters that cannot be.
    """

    def __init__(
        self, load: Callable[[NodeParameters], Estimator] = load_estimator, **options: object
    ) -> None:
        super().__init__(NODE_NAME, **options)
        self._parameters = declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._load = load
        self._estimator: Estimator | None = None
        self._frames = NewestFrame()
        self._info: CameraInfo | None = None
        self._camera: tuple[CameraInfo, Camera] | None = None
        self._shown: set[str] = set()
        self._stream = StreamStatistics()
        self._problems = ProblemLog()
        self._zero_stamps = ProblemLog(throttle=_FOREVER)
        self._failures = ProblemLog()
        self._stages: Mapping[str, float] = {}
        self.failed = Future()

        self._skeletons = self.create_publisher(SkeletonArray, '~/skeletons', 1)
        self._poses = self.create_publisher(PoseArray, '~/poses', 1)
        self._markers = self.create_publisher(MarkerArray, '~/markers', 1)
        self._points = self.create_publisher(PointCloud2, '~/points', 1)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self._transforms = TransformBroadcaster(self)
        qos = subscription_qos(self._parameters.qos_profile)
        self.create_subscription(CameraInfo, 'depth/camera_info', self._on_info, qos)
        self._depth = self.create_subscription(Image, 'depth/image_rect', self._on_image, qos)
        # A steady clock: simulated time may stand still, and that is worth a diagnosis.
        self.create_timer(
            self._parameters.diagnostics_period,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._infer, name='inference', daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Let the inference thread finish its frame and end."""
        self._frames.close()
        self._thread.join(timeout)

    # --- The executor's thread: store, count, answer. Nothing here takes time. ---

    def _on_info(self, info: CameraInfo) -> None:
        self._info = info

    def _on_image(self, image: Image) -> None:
        now = time.monotonic()
        stamp = _seconds(image)
        if not self._stream.received(now, stamp):
            self._warn(
                'stamps',
                'stamps of the depth images ran backwards: a recording that starts over, or a '
                'clock that was set; results keep the stamps as they are',
                now,
            )
        if stamp is None and self._zero_stamps.report('zero', '', now):
            self.get_logger().warning(
                'depth images have no stamp (0): results carry none either, TF and latency '
                'need one; let the camera driver stamp its images'
            )
        if self._frames.put(Frame(image, now)):
            self._stream.dropped()

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            self._parameters = updated(self._parameters, changes)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _publish_diagnostics(self) -> None:
        now = time.monotonic()
        estimator, stream = self._estimator, self._stream.report(now)
        recently = 2 * self._parameters.diagnostics_period
        health = Health(
            stream=stream,
            topic=self._depth.topic_name,
            publishers=self.count_publishers(self._depth.topic_name),
            ready=estimator is not None,
            model=self._parameters.model,
            runtime=estimator.runtime_name if estimator else '',
            problem=self._problems.latest(now, recently),
            failure=self._failures.latest(now, recently),
            last_problem=self._failures.latest(now) or self._problems.latest(now),
            stages=self._stages,
        )
        stamp = self.get_clock().now().to_msg()
        message = diagnostics_message(stamp, self.get_fully_qualified_name(), health)
        self._diagnostics.publish(message)
        silence = now - self._started if stream.image_age is None else stream.image_age
        if estimator is not None and silence > STALE_AFTER:
            self._warn('silence', message.status[0].message, now)

    # --- The inference thread. ---

    def _infer(self) -> None:
        try:
            estimator = self._load(self._parameters)
            estimator.warm_up()
        except Exception as error:
            self.get_logger().debug(traceback.format_exc())
            self.failed.set_result(f'the model cannot be used: {error}')
            return
        names, runtime = ', '.join(estimator.model_names), estimator.runtime_name
        self.get_logger().info(f'ready: {names} on {runtime}')
        self._estimator = estimator
        while (frame := self._frames.take()) is not None:
            try:
                self._process(frame, estimator)
                self._problems.solved()
            except InputProblem as problem:
                self._warn(problem.kind, str(problem), time.monotonic(), problem.grace)
            except Exception as error:
                # Whatever it was, the next image deserves a try. When the context is gone, so is
                # what publishers stand on, and that is no failure.
                if self.context.ok():
                    self._fail(error)

    def _process(self, frame: Frame, estimator: Estimator) -> None:
        parameters, image = self._parameters, frame.image
        camera = self._camera_of(image)
        try:
            depth = decode_depth(
                image.data,
                image.encoding,
                image.width,
                image.height,
                image.step,
                bool(image.is_bigendian),
            )
        except DepthError as error:
            raise InputProblem('image', f'depth image: {error}') from None
        if not depth.any():
            self._publish(frame, [])
            raise InputProblem(
                'empty',
                'the depth image has no measurement at all (all zero, NaN or infinite): check '
                'that the lens is free and the projector on',
            )
        estimator.depth_range = (parameters.min_depth, parameters.max_depth)
        estimate = estimator(depth, camera)
        self._stages = dict(estimate.timings)
        found = [each for each in estimate.skeletons if _is_found(each, parameters)]
        self._publish(
            frame, messages.name_subjects(found, parameters.subject, parameters.handedness)
        )

    def _camera_of(self, image: Image) -> Camera:
        """Return the camera of an image, from the newest camera_info."""
        info = self._info
        if info is None:
            raise InputProblem(
                'camera_info',
                'no camera_info has arrived: the camera must publish it, and depth/camera_info '
                'must be remapped to it',
                _GRACE,
            )
        if self._camera is None or self._camera[0] is not info:
            try:
                self._camera = (info, camera_from_info(info, self._parameters.rectified))
            except CameraError as error:
                raise InputProblem('camera_info', f'camera_info: {error}') from None
        camera = self._camera[1]
        if (camera.width, camera.height) != (image.width, image.height):
            raise InputProblem(
                'size',
                f'the depth image is {image.width}x{image.height} and its camera_info describes '
                f'{camera.width}x{camera.height}: remap depth/camera_info to the camera_info of '
                'this very image',
                _GRACE,
            )
        return camera

    def _publish(self, frame: Frame, subjects: list[messages.Subject]) -> None:
        """Publish what was found in a frame, which may be nothing."""
        parameters, header = self._parameters, frame.image.header
        if _wanted(self._skeletons):
            latency = time.monotonic() - frame.arrival
            self._skeletons.publish(messages.skeleton_array_message(header, subjects, latency))
        self._count(frame, found=bool(subjects))
        if parameters.publish_tf and subjects:
            if header.frame_id:
                self._transforms.sendTransform(messages.transform_messages(header, subjects))
            else:
                self._warn(
                    'frame_id',
                    'depth images have no frame_id, so there is no TF: let the camera driver '
                    'name its optical frame',
                    time.monotonic(),
                )
        if _wanted(self._poses):
            self._poses.publish(messages.pose_array_message(header, subjects))
        self._publish_markers(frame, subjects)
        if subjects and _wanted(self._points):
            points = np.concatenate([subject.estimate.points for subject in subjects])
            self._points.publish(messages.point_cloud_message(header, points))

    def _publish_markers(self, frame: Frame, subjects: list[messages.Subject]) -> None:
        """Publish markers of those in view and, once, the removal of those who left it."""
        header = frame.image.header
        present = {subject.identity for subject in subjects}
        gone, self._shown = self._shown - present, present
        if not _wanted(self._markers):
            return
        if gone:
            self._markers.publish(messages.marker_deletion_message(header, sorted(gone)))
        if subjects:
            lifetime = self._parameters.marker_lifetime
            self._markers.publish(messages.marker_array_message(header, subjects, lifetime))

    def _count(self, frame: Frame, *, found: bool) -> None:
        latency = None
        if _seconds(frame.image) is not None:
            clock = self.get_clock()
            stamp = Time.from_msg(frame.image.header.stamp, clock_type=clock.clock_type)
            latency = (clock.now() - stamp).nanoseconds * 1e-9
        self._stream.published(time.monotonic(), frame.arrival, latency, found=found)

    def _warn(self, kind: str, text: str, now: float, grace: float = 0.0) -> None:
        if self._problems.report(kind, text, now, grace=grace):
            self.get_logger().warning(text)

    def _fail(self, error: Exception) -> None:
        text = f'{type(error).__name__} in the estimator: {error}'
        if self._failures.report(type(error).__name__, text, time.monotonic()):
            self.get_logger().error(f'{text}\n{traceback.format_exc()}')


def camera_from_info(info: CameraInfo, rectified: bool = False) -> Camera:
    """Return the camera that a camera_info describes, as REP 104 has it.

    ``rectified`` tells that the image belongs to P, the camera after rectification, instead of K
    and D. Raises CameraError.
    """
    roi = info.roi
    p = info.p
    return Camera.from_calibration(
        width=info.width,
        height=info.height,
        k=[*p[0:3], *p[4:7], *p[8:11]] if rectified else list(info.k),
        d=() if rectified else tuple(info.d),
        distortion_model='' if rectified else info.distortion_model,
        binning_x=info.binning_x,
        binning_y=info.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.height, roi.width),
    )


def _is_found(estimate: SkeletonEstimate, parameters: NodeParameters) -> bool:
    """Tell whether a skeleton is good enough to be published."""
    if not np.isfinite(estimate.positions).all():
        return False
    return float(np.mean(estimate.confidences)) >= parameters.min_confidence


def _wanted(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0


def _seconds(image: Image) -> float | None:
    """Return the stamp in seconds, None when there is none."""
    stamp = image.header.stamp
    return stamp.sec + stamp.nanosec * 1e-9 if stamp.sec or stamp.nanosec else None


def main(
    args: list[str] | None = None,
    load: Callable[[NodeParameters], Estimator] = load_estimator,
) -> int:
    """Run the node until it is interrupted.

    Returns the exit status of the process: 0 after an interruption, 1 when the model cannot be
    used, 2 for a parameter that cannot be.
    """
    rclpy.init(args=args)
    logger = rclpy.logging.get_logger(NODE_NAME)
    node = None
    try:
        node = PoseNode(load)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin_until_future_complete(node.failed)
        if node.failed.done():
            logger.fatal(node.failed.result())
            return 1
    except ParameterError as error:
        logger.fatal(f'parameter {error}')
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        # ros2 launch and the terminal both pass Ctrl-C on; the second must not break the clean-up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.stop()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
