"""Nodes with a lifecycle as rclpy should have them, and running one until the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
import ctypes
from functools import wraps
import signal
import sys
import traceback

from lifecycle_msgs.srv import ChangeState
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.task import Future

from v2v_pose_ros.ros.declarations import ParameterError

_Transition = Callable[[LifecycleState], TransitionCallbackReturn]
_TRANSITIONS = ('on_configure', 'on_activate', 'on_deactivate', 'on_cleanup', 'on_shutdown')

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGE = 4 * 2**20  # bytes
_SPARE = 64 * 2**20  # bytes at the end of a heap


class ManagedNode(LifecycleNode):
    """A lifecycle node that survives wrong requests, and whose destruction is complete.

    ``failed`` is a future that is done, with the reason as its result, when the node was to start
    itself and cannot; ``mishap`` is the error that the latest transition to fail with one ended
    with, for ``on_error``.
    """

    def __init__(self, name: str, **options: object) -> None:
        self.mishap = ''
        for each in _TRANSITIONS:  # rclpy takes them as they are at its own start
            setattr(self, each, self._told(getattr(self, each)))
        super().__init__(name, **options)
        self.failed = Future()
        (service,) = (each for each in self.services if each.srv_type is ChangeState)
        self._change_state = service.callback
        service.callback = self._answer

    def _told(self, transition: _Transition) -> _Transition:
        """Let a transition tell its error, which rclpy keeps to itself."""

        @wraps(transition)
        def attempt(state: LifecycleState) -> TransitionCallbackReturn:
            try:
                return transition(state)
            except Exception as error:
                self.mishap = f'{type(error).__name__}: {error}'
                if self.context.ok():
                    self.get_logger().error(traceback.format_exc())
                raise

        return attempt

    def _answer(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        """Let a request for a transition that the state does not allow fail, and nothing else.

        In rclpy up to Jazzy it raises an error out of the executor, which ends the process and
        leaves the caller without an answer (ros2/rclpy#1209).
        """
        try:
            return self._change_state(request, response)
        except Exception as error:  # of rclpy's C part, and not of one class everywhere
            if not self.context.ok():
                raise
            self.get_logger().warning(f'transition refused: {error}')
            response.success = False
            return response

    def stop(self) -> None:
        """End what the node does beside answering to the executor."""

    def destroy_node(self) -> None:
        """Destroy the node at once.

        rclpy leaves the state machine to the garbage collector, and the node's handle with it:
        /rosout of a later node of the same name would be closed with the old one.
        """
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()


def serve(node: Node, executor: SingleThreadedExecutor, until: Future) -> None:
    """Spin until a future is done or ROS ends; an error in a callback costs this call alone.

    rclpy's own `spin_until_future_complete` hangs one more callback on the future at each turn: a
    megabyte in a minute, at the rate of a camera.
    """
    until.add_done_callback(lambda _: executor.wake())
    while executor.context.ok() and not until.done():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception as error:
            if not executor.context.ok():
                return
            text = ''.join(traceback.format_exception(error))
            node.get_logger().error(f'{error}\n{text}', throttle_duration_sec=1.0)


def _return_large_blocks() -> None:
    """Let glibc give large blocks back to the system as soon as they are freed.

    It would soon take them from its heaps instead, whose pieces add up: the published network's
    node had 800 MB, of which it used 250.
    """
    with suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        # Else each image would be given back, and its pages asked for anew with the next one.
        library.mallopt(_M_TRIM_THRESHOLD, _SPARE)


def run(name: str, make: Callable[[], ManagedNode], args: list[str] | None = None) -> int:
    """Run a node until it is interrupted.

    Returns the exit status of the process: 0 after an interruption, 1 when the node was to start
    itself and cannot, 2 for a parameter that cannot be.
    """
    _return_large_blocks()
    # rclpy shuts its context down on these, which ends the spinning below. Before and after that
    # they do nothing: they would only strike the clean-up, as ros2 launch and the terminal both
    # pass Ctrl-C on.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        rclpy.init(args=args)
    except Exception as error:  # of rclpy's C part, and not of one class on all distributions
        print(f'{name}: {error}', file=sys.stderr)
        return 2
    logger = rclpy.logging.get_logger(name)
    executor = SingleThreadedExecutor()
    node = None
    try:
        node = make()
        executor.add_node(node)
        serve(node, executor, until=node.failed)
        return 1 if node.failed.done() else 0
    except ParameterError as error:
        logger.fatal(f'parameter {error}')
        return 2
    except Exception:
        # A shutdown in the middle of rclpy's work surfaces as errors of various kinds.
        if rclpy.ok():
            raise
        return 0
    finally:
        if node is not None:
            node.stop()
        executor.shutdown()
        rclpy.try_shutdown()
