"""Nodes with a lifecycle as rclpy should have them, and serving one until the end."""

from __future__ import annotations

import traceback

from lifecycle_msgs.srv import ChangeState
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.task import Future


class ManagedNode(LifecycleNode):
    """A lifecycle node that survives wrong requests, and whose destruction is complete."""

    def __init__(self, name: str, **options: object) -> None:
        super().__init__(name, **options)
        (service,) = (each for each in self.services if each.srv_type is ChangeState)
        self._change_state = service.callback
        service.callback = self._answer

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

    def destroy_node(self) -> None:
        """Destroy the node at once.

        rclpy leaves the state machine to the garbage collector, and the node's handle with it:
        /rosout of a later node of the same name would be closed with the old one.
        """
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()


def serve(node: Node, executor: SingleThreadedExecutor, until: Future) -> None:
    """Spin until a future is done or ROS ends; an error in a callback costs this call alone."""
    while rclpy.ok() and not until.done():
        try:
            executor.spin_until_future_complete(until)
        except ExternalShutdownException:
            return
        except Exception as error:
            if not rclpy.ok():
                return
            text = ''.join(traceback.format_exception(error))
            node.get_logger().error(f'{error}\n{text}', throttle_duration_sec=1.0)
