"""A viewer that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import threading

from v2v_pose_ros.viewer.scene import Scene
from v2v_pose_ros.viewer.sink import Viewer


class LiveViewer:
    """Draws the newest scene in a thread of its own; scenes that come meanwhile are dropped.

    What a scene costs its giver is a reference, whatever drawing costs.

    Attributes:
        shown: scenes that were drawn.
        dropped: scenes that a newer one replaced.
    """

    def __init__(
        self, viewer: Viewer, warn: Callable[[str], None], least_period: float = 0.0
    ) -> None:
        """Start the thread.

        Args:
            viewer: what draws; it belongs to this object from now on.
            warn: told why drawing failed, once; nothing is drawn afterwards.
            least_period: seconds from one drawing to the next at least.
        """
        self._viewer, self._warn, self._least_period = viewer, warn, least_period
        self.address = viewer.address
        self.shown = self.dropped = 0
        self._condition = threading.Condition()
        self._scene: Scene | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name='viewer', daemon=True)
        self._thread.start()

    def show(self, scene: Scene) -> None:
        """Hand over a scene; this returns at once."""
        with self._condition:
            self.dropped += self._scene is not None
            self._scene = scene
            self._condition.notify()

    def close(self) -> None:
        """Draw the scene that waits and end the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (scene := self._next()) is not None:
                self._viewer.show(scene)
                self.shown += 1
                with self._condition:
                    self._condition.wait_for(lambda: self._closed, self._least_period)
        except Exception as error:  # whatever a viewer does, it must not take the poses along
            self._warn(f'the viewer failed and shows nothing more: {error}')
        finally:
            with contextlib.suppress(Exception):
                self._viewer.close()

    def _next(self) -> Scene | None:
        """Wait for a scene; None at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._scene is not None)
            scene, self._scene = self._scene, None
            return scene
