"""Transforms between frames at the time of an image, through tf2."""

from __future__ import annotations

import time

from builtin_interfaces.msg import Time as Stamp
import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_ros import Buffer, ExtrapolationException, TransformException, TransformListener

from v2v_pose_ros.workspace import RigidTransform

_PATIENCE = 0.05  # s that a transform may come later than the image
_POLLING_PERIOD = 0.002


class TransformUnavailable(ValueError):
    """A transform is not known; the text says which one and why."""


class Transforms:
    """What tf2 knows, for a node whose executor runs in another thread than the one that asks."""

    def __init__(self, node: Node) -> None:
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node)
        self._worked: set[tuple[str, str]] = set()

    def destroy(self) -> None:
        """Stop listening."""
        self._listener.unregister()

    def forget(self) -> None:
        """Forget all but the static ones: tf2 takes none that are older than those it has."""
        self._buffer.clear()

    def lookup(self, target: str, source: str, stamp: Stamp) -> RigidTransform:
        """Return what takes coordinates from source to target at a time (0: the latest).

        Transforms often come a little later than the image, and are waited for, unless they did
        not come the last time: a transform that is missing costs no time. Raises
        TransformUnavailable.
        """
        target, source = target.lstrip('/'), source.lstrip('/')
        if target == source:
            return RigidTransform.identity()
        if stamp.sec < 0:
            raise TransformUnavailable(
                f'no transform from {source!r} to {target!r} at the negative stamp {stamp.sec} s'
            )
        worked = (target, source) in self._worked
        deadline = time.monotonic() + (_PATIENCE if worked else 0.0)
        while True:
            try:
                found = self._buffer.lookup_transform(target, source, Time.from_msg(stamp))
                break
            except TransformException as error:
                late = isinstance(error, ExtrapolationException)
                if not late or time.monotonic() >= deadline:
                    self._worked.discard((target, source))
                    raise TransformUnavailable(
                        f'no transform from {source!r} to {target!r}: {error}'
                    ) from None
            time.sleep(_POLLING_PERIOD)
        self._worked.add((target, source))
        rotation, translation = found.transform.rotation, found.transform.translation
        place = np.array([translation.x, translation.y, translation.z])
        if not np.isfinite(place).all():
            raise TransformUnavailable(
                f'the transform from {source!r} to {target!r} is not finite'
            )
        turn = Rotation.from_quat([rotation.x, rotation.y, rotation.z, rotation.w])
        return RigidTransform(turn.as_matrix(), place)
