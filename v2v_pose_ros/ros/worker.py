"""The inference thread: it makes an estimator and gives it the newest image, one after another.

A network compiled for one thread stays in it, from loading and warming up to its last image.
"""

from __future__ import annotations

from collections.abc import Callable
import threading

from v2v_pose_ros.ros.images import Frame, NewestFrame
from v2v_pose_ros.ros.pipeline import Estimator


class Worker:
    """An estimator in a thread of its own.

    Args:
        make: Makes the estimator.
        process: Uses it on an image; it raises nothing.

    ``settled`` is set once the estimator is ready, or ``error`` says why it will never be.
    """

    def __init__(
        self, make: Callable[[], Estimator], process: Callable[[Frame, Estimator], None]
    ) -> None:
        self._make, self._process = make, process
        self.settled = threading.Event()
        self.estimator: Estimator | None = None
        self.error: Exception | None = None
        self._frames = NewestFrame()
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)
        self._thread.start()

    def hand_over(self, frame: Frame) -> bool:
        """Give the newest image and tell whether it replaced one whose turn had not come."""
        return self._frames.put(frame)

    def drain(self, timeout: float) -> bool:
        """Let go of the image that waits and tell whether the one in work is done in time (s)."""
        return self._frames.drain(timeout)

    def busy(self, now: float) -> float:
        """Return for how long (s) one image has been in work, 0 when none is."""
        return self._frames.busy(now)

    def stop(self, timeout: float) -> bool:
        """End the thread after the image in work and tell whether it ended in time (s)."""
        self._frames.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            estimator = self._make()
            estimator.warm_up()
        except Exception as error:
            self.error = error
            self.settled.set()
            return
        self.estimator = estimator
        self.settled.set()
        while (frame := self._frames.take()) is not None:
            self._process(frame, estimator)
        self.estimator = None  # and its memory, where it is the last to know it
