"""A store of transforms that answers where one frame is, seen from another, at some time."""

from bisect import bisect_left
from dataclasses import dataclass
from threading import RLock
import time as wall_clock

from builtin_interfaces.msg import Time as Stamp
from geometry_msgs.msg import TransformStamped
import numpy as np
from rclpy.duration import Duration
from rclpy.logging import get_logger

from .exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)

_POLLING_PERIOD = 0.02  # seconds


@dataclass(frozen=True)
class _Edge:
    """The pose of a frame in its parent at one time.

    ``x_parent = rotation * x_child + translation``; the rotation is a unit quaternion x, y, z, w.
    """

    parent: str
    stamp: int  # nanoseconds
    translation: np.ndarray
    rotation: np.ndarray


class Buffer:
    """Keeps the transforms of the last seconds and combines them."""

    def __init__(self, cache_time=None, node=None):
        """Keep ``cache_time`` (a ``Duration``, 10 s by default) back from the newest transform."""
        self._cache_time = (cache_time or Duration(seconds=10)).nanoseconds
        self._histories = {}
        self._static = {}
        self._lock = RLock()

    def set_transform(self, transform, authority):
        """Store a ``TransformStamped``.

        One older than what is kept is dropped, and so is, with an error in the log, one that is
        none: without frames, with NaN, or with a quaternion that is not normalized.
        """
        child, edge = _edge_of(transform)
        if edge is None:
            return
        with self._lock:
            self._static.pop(child, None)
            history = self._histories.setdefault(child, [])
            if history and edge.stamp < history[-1].stamp - self._cache_time:
                return
            index = bisect_left([other.stamp for other in history], edge.stamp)
            if index < len(history) and history[index].stamp == edge.stamp:
                history[index] = edge
            else:
                history.insert(index, edge)
            oldest = history[-1].stamp - self._cache_time
            while history[0].stamp < oldest:
                history.pop(0)

    def set_transform_static(self, transform, authority):
        """Store a ``TransformStamped`` that holds at all times."""
        child, edge = _edge_of(transform)
        if edge is None:
            return
        with self._lock:
            self._histories.pop(child, None)
            self._static[child] = edge

    def clear(self):
        """Forget all transforms but the static ones."""
        with self._lock:
            self._histories.clear()

    def lookup_transform(self, target_frame, source_frame, time, timeout=None):
        """Return the transform that takes coordinates from the source frame to the target frame.

        Args:
            target_frame: frame to express coordinates in.
            source_frame: frame in which they are given.
            time: ``rclpy.time.Time``; zero means the latest for which all is known.
            timeout: ``Duration`` to wait for it, none by default.

        Raises:
            LookupException: a frame is not known.
            ConnectivityException: the frames are not connected.
            ExtrapolationException: the time is outside of what was received.
            InvalidArgumentException: a frame name is empty or starts with a slash.
        """
        self.can_transform(target_frame, source_frame, time, timeout)
        return self._lookup(target_frame, source_frame, _nanoseconds(time))

    def can_transform(
        self, target_frame, source_frame, time, timeout=None, return_debug_tuple=False
    ):
        """Tell whether :meth:`lookup_transform` would succeed, waiting up to ``timeout``.

        With ``return_debug_tuple`` the answer comes with the reason, as a tuple.
        """
        deadline = self._now() + (timeout.nanoseconds if timeout is not None else 0)
        while True:
            try:
                self._lookup(target_frame, source_frame, _nanoseconds(time))
                return (True, '') if return_debug_tuple else True
            except TransformException as error:
                if self._now() >= deadline:
                    return (False, str(error)) if return_debug_tuple else False
            wall_clock.sleep(_POLLING_PERIOD)

    def _now(self):
        return wall_clock.time_ns()  # also for nodes whose clock is simulated, and may stand still

    def _lookup(self, target, source, time):
        with self._lock:
            for argument, frame in (('target_frame', target), ('source_frame', source)):
                self._check_frame(argument, frame)
            if time == 0:
                time = self._latest_common_time(target, source)
            up, down = self._branches(target, source, time)
            result = TransformStamped()
            result.header.stamp = _stamp(time)
            result.header.frame_id = target
            result.child_frame_id = source
            translation, rotation = _compose(*_invert(*_chain(down)), *_chain(up))
        pose = result.transform
        pose.translation.x, pose.translation.y, pose.translation.z = map(float, translation)
        pose.rotation.x, pose.rotation.y, pose.rotation.z, pose.rotation.w = map(float, rotation)
        return result

    def _check_frame(self, argument, frame):
        if not frame or frame.startswith('/'):
            raise InvalidArgumentException(
                f'Invalid argument "{frame}" passed to lookupTransform argument {argument}: frame '
                'ids can be neither empty nor start with a slash'
            )
        parents = {edge.parent for history in self._histories.values() for edge in history}
        parents |= {edge.parent for edge in self._static.values()}
        if frame not in parents and frame not in self._histories and frame not in self._static:
            raise LookupException(
                f'"{frame}" passed to lookupTransform argument {argument} does not exist. '
            )

    def _latest_common_time(self, target, source):
        """Return the newest time at which all edges between the frames are known, or 0."""
        up, down = self._branches(target, source, None)
        dynamic = [edge.stamp for child, edge in up + down if child not in self._static]
        return min(dynamic, default=0)

    def _branches(self, target, source, time):
        """Return the edges from source and from target up to the frame they have in common."""
        up, source_error = self._ancestry(source, time)
        down, target_error = self._ancestry(target, time)
        source_frames = [source, *(edge.parent for _, edge in up)]
        target_frames = [target, *(edge.parent for _, edge in down)]
        for depth, frame in enumerate(source_frames):
            if frame in target_frames:
                return up[:depth], down[: target_frames.index(frame)]
        raise (
            source_error
            or target_error
            or ConnectivityException(
                f"Could not find a connection between '{target}' and '{source}' because they "
                'are not part of the same tree. Tf has two or more unconnected trees.'
            )
        )

    def _ancestry(self, frame, time):
        """Return (child, edge) from ``frame`` upwards, and the error that ended it early."""
        edges = []
        visited = {frame}
        while True:
            try:
                edge = self._edge_at(frame, time)
            except ExtrapolationException as error:
                return edges, error
            if edge is None or edge.parent in visited:
                return edges, None
            edges.append((frame, edge))
            frame = edge.parent
            visited.add(frame)

    def _edge_at(self, child, time):
        """Return the edge above ``child`` at ``time`` (None: the newest), interpolated."""
        if child in self._static:
            return self._static[child]
        history = self._histories.get(child)
        if not history:
            return None
        if time is None:
            return history[-1]
        if not history[0].stamp <= time <= history[-1].stamp:
            limit, side = (
                (history[0], 'past') if time < history[0].stamp else (history[-1], 'future')
            )
            raise ExtrapolationException(
                f'Lookup would require extrapolation into the {side}.  Requested time '
                f'{time / 1e9:.6f} but the data nearest to it is at time '
                f'{limit.stamp / 1e9:.6f}, when looking up the frame [{child}]'
            )
        index = bisect_left([edge.stamp for edge in history], time)
        after = history[index]
        if after.stamp == time:
            return after
        return _interpolate(history[index - 1], after, time)


def _nanoseconds(time):
    return time.nanoseconds if hasattr(time, 'nanoseconds') else _since_epoch(time)


def _since_epoch(stamp):
    """Return nanoseconds; a message may hold negative ones, which ``rclpy.time.Time`` refuses."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def _stamp(nanoseconds):
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Stamp(sec=seconds, nanosec=rest)


def _edge_of(transform):
    """Return the child frame and the edge of a ``TransformStamped``; None as edge if it is bad."""
    child = transform.child_frame_id.removeprefix('/')
    parent = transform.header.frame_id.removeprefix('/')
    translation = transform.transform.translation
    rotation = transform.transform.rotation
    position = np.array([translation.x, translation.y, translation.z])
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w])
    problem = None
    if not child or not parent or child == parent:
        problem = f'its frames are "{parent}" and "{child}"'
    elif np.any(np.isnan([*position, *quaternion])):
        problem = 'of a nan value in the transform'
    elif not abs(np.dot(quaternion, quaternion) - 1.0) <= 1e-2:
        problem = 'of an invalid quaternion in the transform'
    if problem:
        get_logger('tf2').error(
            f'Ignoring transform for child_frame_id "{child}" because {problem}'
        )
        return child, None
    quaternion /= np.linalg.norm(quaternion)
    return child, _Edge(parent, _since_epoch(transform.header.stamp), position, quaternion)


def _interpolate(before, after, time):
    """Interpolate linearly and spherically; across a change of parent the older one holds."""
    if before.parent != after.parent:
        return before
    ratio = (time - before.stamp) / (after.stamp - before.stamp)
    translation = (1 - ratio) * before.translation + ratio * after.translation
    cosine = float(np.dot(before.rotation, after.rotation))
    end = after.rotation if cosine >= 0 else -after.rotation
    angle = np.arccos(min(abs(cosine), 1.0))
    if angle < 1e-6:
        rotation = (1 - ratio) * before.rotation + ratio * end
    else:
        rotation = np.sin((1 - ratio) * angle) * before.rotation + np.sin(ratio * angle) * end
    return _Edge(before.parent, time, translation, rotation / np.linalg.norm(rotation))


def _chain(branch):
    """Combine (child, edge) pairs, lowest first, into one translation and rotation."""
    translation, rotation = np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])
    for _, edge in branch:
        translation, rotation = _compose(edge.translation, edge.rotation, translation, rotation)
    return translation, rotation


def _compose(outer_translation, outer_rotation, inner_translation, inner_rotation):
    """Return the transform that does the inner one first."""
    return (
        outer_translation + _rotate(outer_rotation, inner_translation),
        _multiply(outer_rotation, inner_rotation),
    )


def _invert(translation, rotation):
    conjugate = rotation * np.array([-1.0, -1.0, -1.0, 1.0])
    return -_rotate(conjugate, translation), conjugate


def _rotate(quaternion, vector):
    axis, scalar = quaternion[:3], quaternion[3]
    return vector + 2.0 * np.cross(axis, np.cross(axis, vector) + scalar * vector)


def _multiply(left, right):
    axis = left[3] * right[:3] + right[3] * left[:3] + np.cross(left[:3], right[:3])
    return np.append(axis, left[3] * right[3] - np.dot(left[:3], right[:3]))
