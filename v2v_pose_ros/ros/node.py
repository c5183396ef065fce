"""The node: depth images in, skeletons out, under the control of a lifecycle.

Two threads share the work. The executor's only stores the newest image; the inference thread
loads, warms up and runs the network, and publishes. So an image never waits behind another, and a
network compiled for one thread stays in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
import sys
import time
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image

from v2v_pose_ros.ros.declarations import declare, ParameterError, updated
from v2v_pose_ros.ros.diagnostics import diagnostics_message, Health, STALE_AFTER
from v2v_pose_ros.ros.empty_room import EmptyRoom
from v2v_pose_ros.ros.images import CameraSource, depth_of, Frame, InputProblem, stamp_of
from v2v_pose_ros.ros.lifecycle import ManagedNode, run
from v2v_pose_ros.ros.outputs import Outputs, Picture, View
from v2v_pose_ros.ros.parameters import NodeParameters
from v2v_pose_ros.ros.pipeline import Estimator, is_found, Pipeline
from v2v_pose_ros.ros.qos import image_qos
from v2v_pose_ros.ros.stream import jump_text, ProblemLog, StreamStatistics
from v2v_pose_ros.ros.transforms import Transforms
from v2v_pose_ros.ros.whereabouts import lookup, Whereabouts
from v2v_pose_ros.ros.worker import Worker
from v2v_pose_ros.subjects import name_subjects, Subject

NODE_NAME = 'v2v_pose'

_FOREVER = 1e9  # throttles a warning to a single one
_PATIENCE = 10.0  # s that an image in work may take until the node stops waiting for it


class PoseNode(ManagedNode):
    """Estimates skeletons from depth images.

    Args:
        load: Makes the estimator from the parameters, in the inference thread.
        options: Passed on to rclpy's Node.

    Raises ParameterError for parameters that cannot be.
    """

    def __init__(
        self, load: Callable[[NodeParameters], Estimator] = Pipeline, **options: object
    ) -> None:
        super().__init__(NODE_NAME, **options)
        try:
            self._settings = declare(self, NodeParameters)
        except ParameterError:
            self.destroy_node()
            raise
        self.add_on_set_parameters_callback(self._on_parameters)
        self._load = load
        self._forget()
        self._outputs = Outputs(self, self._warn)
        self._room = EmptyRoom(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        # A steady clock: simulated time may stand still, and that is worth a diagnosis.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(
            self._settings.diagnostics_period, self._publish_diagnostics, clock=steady
        )
        if self._settings.autostart:
            self._starter = self.create_timer(0.0, self._start, clock=steady)

    def stop(self) -> None:
        """End the inference thread after the image in work."""
        if self._worker is not None:
            self._worker.stop(_PATIENCE)

    def _forget(self) -> None:
        """Be as new."""
        self._state = 'unconfigured'
        self._refusal: str | None = None
        self._worker: Worker | None = None
        self._camera = CameraSource(self._settings.rectified)
        self._depth: Subscription | None = None
        self._info: Subscription | None = None
        self._transforms: Transforms | None = None
        self._whereabouts: Whereabouts | None = None
        self._restarted = False
        self._stream = StreamStatistics()
        self._problems = ProblemLog()
        self._zero_stamps = ProblemLog(throttle=_FOREVER)
        self._failures = ProblemLog()
        self._stages: Mapping[str, float] = {}
        self._activated = 0.0

    # --- The lifecycle, in the executor's thread. ---

    def _start(self) -> None:
        self._starter.cancel()
        if self._state == 'unconfigured':
            self.trigger_configure()
        if self._state == 'inactive':
            self.trigger_activate()
        if self._state == 'unconfigured' and self.context.ok():
            self.failed.set_result(self._refusal or 'the node could not be configured')

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, warm it up and check it."""
        self._forget()
        self._state = 'configuring'
        settings = self._settings
        self._worker = Worker(partial(self._load, settings), self._process_safely)
        while not self._worker.settled.wait(min(settings.diagnostics_period, 0.5)):
            if not self.context.ok():
                return TransitionCallbackReturn.FAILURE
            self._publish_diagnostics()
        if not self.context.ok():  # interrupted meanwhile; not even the log works any more
            return TransitionCallbackReturn.FAILURE
        error, estimator = self._worker.error, self._worker.estimator
        if estimator is None:
            self._forget()
            self._refusal = f'the model cannot be used: {error}'
            self.get_logger().fatal(self._refusal)
            self.get_logger().debug(''.join(traceback.format_exception(error)))
            return TransitionCallbackReturn.FAILURE
        names = ', '.join(estimator.model_names)
        self.get_logger().info(f'ready: {names} on {estimator.runtime_name}')
        self._state = 'inactive'
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera."""
        self._stream = StreamStatistics()
        self._activated = time.monotonic()
        self._state = 'active'
        if self._settings.needs_transforms:
            self._transforms = Transforms(self)
        self._whereabouts = Whereabouts(self, self._settings, self._transforms)
        qos = image_qos(self._settings.qos_profile)
        self._info = self.create_subscription(
            CameraInfo, 'depth/camera_info', self._camera.update, qos
        )
        self._depth = self.create_subscription(Image, 'depth/image_rect', self._on_image, qos)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the camera and take the markers back."""
        self._state = 'inactive'
        self._let_go()
        self._restarted = True  # whatever is tracked now will be long gone
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, whatever the state."""
        self._release()
        self._state = 'finalized'
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, so that the node can be configured anew."""
        self._release()
        self._refusal = f'a transition from {state.label} failed: {self.mishap}'
        self.get_logger().error(f'{self._refusal}; the node starts afresh')
        return TransitionCallbackReturn.SUCCESS

    def _release(self) -> None:
        self._state = 'unconfigured'
        self._let_go()
        if self._worker is not None and not self._worker.stop(_PATIENCE):
            self.get_logger().error('the network does not finish its image; its memory stays')
        self._forget()

    def _let_go(self) -> None:
        for subscription in (self._depth, self._info):
            if subscription is not None:
                self.destroy_subscription(subscription)
        self._depth = self._info = None
        if self._worker is not None and not self._worker.drain(_PATIENCE):
            self.get_logger().error('the network does not finish its image; it is not waited for')
        for source in (self._whereabouts, self._transforms):
            if source is not None:
                source.destroy()
        self._whereabouts = self._transforms = None
        self._outputs.clear()

    # --- The executor's thread: store, count, answer. Nothing here takes time. ---

    def _on_image(self, image: Image) -> None:
        if self._worker is None:
            return
        now = time.monotonic()
        stamp = stamp_of(image)
        if jump := self._stream.received(now, stamp):
            self._start_afresh(jump)
        if stamp is None and self._zero_stamps.report('zero', '', now):
            self.get_logger().warning(
                'depth images have no stamp (0): results carry none either, TF and latency '
                'need one; let the camera driver stamp its images'
            )
        if self._worker.hand_over(Frame(image, now)):
            self._stream.dropped()

    def _start_afresh(self, jump: float) -> None:
        """Forget what came before stamps that jumped by some time (s)."""
        self._restarted = True
        if jump < 0 and self._transforms is not None:
            self._transforms.forget()
        self._warn('stamps', jump_text(jump))

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            self._settings = updated(self._settings, changes)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _look_after_the_network(self, now: float) -> None:
        busy = self._worker.busy(now) if self._worker else 0.0
        if busy > _PATIENCE:
            self._fail(
                'busy',
                f'the network has been at work on one image for {busy:.0f} s: when its device '
                'hangs, start the node again; when it is that slow, take a smaller model',
            )

    def _publish_diagnostics(self) -> None:
        now = time.monotonic()
        self._look_after_the_network(now)
        estimator = self._worker.estimator if self._worker else None
        stream, recently = self._stream.report(now), 2 * self._settings.diagnostics_period
        topic = self.resolve_topic_name('depth/image_rect')
        health = Health(
            stream=stream,
            topic=topic,
            publishers=self.count_publishers(topic),
            state=self._state,
            refusal=self._refusal,
            model=self._settings.model,
            runtime=estimator.runtime_name if estimator else '',
            problem=self._problems.latest(now, recently),
            failure=self._failures.latest(now, recently),
            last_problem=self._failures.latest(now) or self._problems.latest(now),
            stages=self._stages,
            degraded=estimator.degraded if estimator else '',
            gpu_memory=estimator.gpu_memory if estimator else None,
            tracking=estimator.tracking if estimator and self._state == 'active' else '',
        )
        stamp = self.get_clock().now().to_msg()
        message = diagnostics_message(stamp, self.get_fully_qualified_name(), health)
        self._diagnostics.publish(message)
        silence = now - self._activated if stream.image_age is None else stream.image_age
        if self._state == 'active' and silence > STALE_AFTER:
            self._warn('silence', message.status[0].message)

    # --- The inference thread. ---

    def _process_safely(self, frame: Frame, estimator: Estimator) -> None:
        if self._state != 'active':
            return
        try:
            self._process(frame, estimator)
            self._problems.solved()
        except InputProblem as problem:
            self._warn(problem.kind, str(problem), problem.grace)
        except Exception as error:
            # Whatever it was, the next image deserves a try. When the context is gone, so is
            # what publishers stand on, and that is no failure.
            if self.context.ok():
                kind = type(error).__name__
                text = f'{kind} in the estimator: {error}'
                self._fail(kind, text, traceback.format_exc())

    def _process(self, frame: Frame, estimator: Estimator) -> None:
        parameters, image, whereabouts = self._settings, frame.image, self._whereabouts
        if whereabouts is None:  # deactivated meanwhile
            return
        camera = self._camera.camera_of(image)
        depth = depth_of(image)
        try:
            if not depth.any():
                raise InputProblem(
                    'empty',
                    'the depth image has no measurement at all (all zero, NaN or infinite): check '
                    'that the lens is free and the projector on',
                )
            reference = whereabouts.point(image.header, parameters)
            visible = whereabouts.restrict(depth, camera, image.header, parameters)
            visible = self._room.taken_from(depth, visible)
        except InputProblem:
            # The image was looked at, and nobody is in it.
            self._publish(frame, [], parameters)
            raise
        if self._restarted:
            self._restarted = False
            estimator.reset()
        stamp = stamp_of(image)
        stamp = frame.arrival if stamp is None else stamp
        estimate = estimator(visible, camera, parameters, stamp, reference)
        self._stages = dict(estimate.timings)
        found = [each for each in estimate.skeletons if is_found(each, parameters)]
        subjects = name_subjects(found, parameters.subject, several=parameters.max_subjects > 1)
        self._publish(frame, subjects, parameters, Picture(depth, camera))

    def _publish(
        self,
        frame: Frame,
        subjects: list[Subject],
        parameters: NodeParameters,
        picture: Picture | None = None,
    ) -> None:
        """Publish what was found in a frame, which may be nothing."""
        if self._state != 'active':  # deactivated meanwhile
            return
        camera = View(frame.image.header, subjects)
        problem = None
        try:
            view = self._in_output_frame(camera, parameters)
        except InputProblem as error:
            view, problem = camera, error
        self._outputs.publish_skeletons(frame.arrival, view)
        self._count(frame, found=bool(subjects))
        self._outputs.publish_others(camera, view, parameters, picture)
        if problem is not None:
            raise InputProblem(
                'output_frame', f'the skeletons stay in the optical frame: {problem}'
            )

    def _in_output_frame(self, view: View, parameters: NodeParameters) -> View:
        """Return the subjects in the frame that was asked for; raise InputProblem."""
        frame = parameters.output_frame
        if not frame:
            return view
        transform = lookup(self._transforms, frame, view.header.frame_id, view.header)
        return view.moved(frame, transform)

    def _count(self, frame: Frame, *, found: bool) -> None:
        latency = None
        if (stamp := stamp_of(frame.image)) is not None:
            # Not by rclpy's Time, which refuses the negative stamps that a message may have.
            latency = self.get_clock().now().nanoseconds * 1e-9 - stamp
        self._stream.published(time.monotonic(), frame.arrival, latency, found=found)

    def _warn(self, kind: str, text: str, grace: float = 0.0) -> None:
        if self._problems.report(kind, text, time.monotonic(), grace=grace):
            self.get_logger().warning(text)

    def _fail(self, kind: str, text: str, details: str = '') -> None:
        if self._failures.report(kind, text, time.monotonic()):
            self.get_logger().error(f'{text}\n{details}'.strip())


def main(
    args: list[str] | None = None,
    load: Callable[[NodeParameters], Estimator] = Pipeline,
) -> int:
    """Run the node until it is interrupted; return the exit status of the process."""
    return run(NODE_NAME, lambda: PoseNode(load), args)


if __name__ == '__main__':
    sys.exit(main())
