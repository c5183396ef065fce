"""The node: depth images in, skeletons out.

Two threads share the work. The executor's only stores the newest image; the inference thread
loads, warms up and runs the network, and publishes. So an image never waits behind another, and a
network compiled for one thread stays in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

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
from visualization_msgs.msg import MarkerArray

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.ros import messages
from v2v_pose_ros.ros.declarations import declare, ParameterError, updated
from v2v_pose_ros.ros.diagnostics import diagnostics_message, Health, STALE_AFTER
from v2v_pose_ros.ros.images import (
    CameraSource,
    depth_of,
    Frame,
    InputProblem,
    NewestFrame,
    stamp_of,
)
from v2v_pose_ros.ros.overlays import overlay_message, OverlayUnavailable
from v2v_pose_ros.ros.parameters import NodeParameters
from v2v_pose_ros.ros.pipeline import Estimator, Pipeline
from v2v_pose_ros.ros.qos import image_qos
from v2v_pose_ros.ros.stream import ProblemLog, StreamStatistics

if TYPE_CHECKING:  # it would import PyTorch
    from v2v_pose_ros.estimator import SkeletonEstimate

NODE_NAME = 'v2v_pose'

_FOREVER = 1e9  # throttles a warning to a single one


class PoseNode(Node):
    """Estimates skeletons from depth images.

    Args:
        load: Makes the estimator from the parameters, in the inference thread.
        options: Passed on to rclpy's Node.

    ``failed`` is a future that is done, with the reason as its result, when the estimator cannot
    be loaded. Raises ParameterError for parameters that cannot be.
    """

    def __init__(
        self, load: Callable[[NodeParameters], Estimator] = Pipeline, **options: object
    ) -> None:
        super().__init__(NODE_NAME, **options)
        self._settings = declare(self, NodeParameters)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._load = load
        self._estimator: Estimator | None = None
        self._frames = NewestFrame()
        self._camera = CameraSource(self._settings.rectified)
        self._restarted = False
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
        self._overlay = self.create_publisher(Image, '~/overlay', 1)
        self._overlays_work = True
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self._transforms = TransformBroadcaster(self)
        qos = image_qos(self._settings.qos_profile)
        self.create_subscription(CameraInfo, 'depth/camera_info', self._camera.update, qos)
        self._depth = self.create_subscription(Image, 'depth/image_rect', self._on_image, qos)
        # A steady clock: simulated time may stand still, and that is worth a diagnosis.
        self.create_timer(
            self._settings.diagnostics_period,
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

    def _on_image(self, image: Image) -> None:
        now = time.monotonic()
        stamp = stamp_of(image)
        if not self._stream.received(now, stamp):
            self._restarted = True
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
            self._settings = updated(self._settings, changes)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _publish_diagnostics(self) -> None:
        now = time.monotonic()
        estimator, stream = self._estimator, self._stream.report(now)
        recently = 2 * self._settings.diagnostics_period
        health = Health(
            stream=stream,
            topic=self._depth.topic_name,
            publishers=self.count_publishers(self._depth.topic_name),
            ready=estimator is not None,
            model=self._settings.model,
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
            estimator = self._load(self._settings)
            estimator.warm_up()
        except Exception as error:
            if not self.context.ok():
                return
            self.get_logger().debug(traceback.format_exc())
            self.failed.set_result(f'the model cannot be used: {error}')
            return
        if not self.context.ok():  # interrupted meanwhile; not even the log works any more
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
        parameters, image = self._settings, frame.image
        camera = self._camera.camera_of(image)
        depth = depth_of(image)
        if not depth.any():
            self._publish(frame, [])
            raise InputProblem(
                'empty',
                'the depth image has no measurement at all (all zero, NaN or infinite): check '
                'that the lens is free and the projector on',
            )
        if self._restarted:
            self._restarted = False
            estimator.reset()
        estimate = estimator(depth, camera, parameters)
        self._stages = dict(estimate.timings)
        found = [each for each in estimate.skeletons if _is_found(each, parameters)]
        subjects = messages.name_subjects(found, parameters.subject, parameters.handedness)
        self._publish(frame, subjects)
        self._publish_overlay(frame, depth, camera, subjects)

    def _publish(self, frame: Frame, subjects: list[messages.Subject]) -> None:
        """Publish what was found in a frame, which may be nothing."""
        parameters, header = self._settings, frame.image.header
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
            lifetime = self._settings.marker_lifetime
            self._markers.publish(messages.marker_array_message(header, subjects, lifetime))

    def _publish_overlay(
        self,
        frame: Frame,
        depth: NDArray[np.float32],
        camera: Camera,
        subjects: list[messages.Subject],
    ) -> None:
        if not self._overlays_work or not _wanted(self._overlay):
            return
        estimates = [subject.estimate for subject in subjects]
        names = ', '.join(
            f'{subject.identity} {np.mean(subject.estimate.confidences):.2f}'
            for subject in subjects
        )
        try:
            header = frame.image.header
            picture = overlay_message(header, depth, camera, estimates, names or 'not found')
        except OverlayUnavailable as error:
            self._overlays_work = False
            self.get_logger().warning(str(error))
            return
        self._overlay.publish(picture)

    def _count(self, frame: Frame, *, found: bool) -> None:
        latency = None
        if stamp_of(frame.image) is not None:
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


def _is_found(estimate: SkeletonEstimate, parameters: NodeParameters) -> bool:
    """Tell whether a skeleton is good enough to be published."""
    if not np.isfinite(estimate.positions).all():
        return False
    return float(np.mean(estimate.confidences)) >= parameters.min_confidence


def _wanted(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0


def main(
    args: list[str] | None = None,
    load: Callable[[NodeParameters], Estimator] = Pipeline,
) -> int:
    """Run the node until it is interrupted.

    Returns the exit status of the process: 0 after an interruption, 1 when the model cannot be
    used, 2 for a parameter that cannot be.
    """
    # rclpy shuts its context down on SIGINT, which ends the spinning below. Python's own exception
    # would only strike the clean-up, as ros2 launch and the terminal both pass Ctrl-C on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        rclpy.init(args=args)
    except Exception as error:  # of rclpy's C part, and not of one class on all distributions
        print(f'{NODE_NAME}: {error}', file=sys.stderr)
        return 2
    logger = rclpy.logging.get_logger(NODE_NAME)
    executor = SingleThreadedExecutor()
    node = None
    try:
        node = PoseNode(load)
        executor.add_node(node)
        executor.spin_until_future_complete(node.failed)
        if node.failed.done():
            logger.fatal(node.failed.result())
            return 1
    except ParameterError as error:
        logger.fatal(f'parameter {error}')
        return 2
    except ExternalShutdownException:
        pass
    except Exception:
        # A shutdown in the middle of rclpy's work surfaces as errors of various kinds.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.stop()
        executor.shutdown()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
