"""What was estimated so far, in a file that survives the end of the process.

Estimating takes long and copying does not: the estimates of a recording go into a journal, frame
by frame, and the new recording is written from it in one go.  Whoever starts again after an
interruption continues the journal where it ends, with what the tracker knew there, so that the
result is the same as without the interruption.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from v2v_pose_ros.estimator import SkeletonEstimate
from v2v_pose_ros.recordings import RecordingError
from v2v_pose_ros.skeletons import DATASET_SKELETONS
from v2v_pose_ros.subjects import occluded_list
from v2v_pose_ros.tracking import TrackerMemory

Read = TypeVar('Read')


@dataclass(frozen=True)
class Entry:
    """What one frame gave.

    Attributes:
        time: when it was recorded, nanoseconds.
        stamp: when it was taken, nanoseconds.
        frame_id: the optical frame.
        skeletons: without their points.
        memory: what the tracker knew afterwards.
        problem: why the frame could not be used.
    """

    time: int
    stamp: int
    frame_id: str
    skeletons: tuple[SkeletonEstimate, ...]
    memory: TrackerMemory
    problem: str = ''

    @property
    def seconds(self) -> float:
        """The stamp in seconds, the time of recording where there is none."""
        return (self.stamp or self.time) * 1e-9


class Journal:
    """A file of entries, with a first line that says what they were made from and how.

    Attributes:
        count: entries in it.
        last: the latest, None at the beginning.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open a journal, or begin one.

        Raises:
            RecordingError: it was begun with other settings, or is damaged.
        """
        self.path = path
        self.count = 0
        self.last: Entry | None = None
        begun = path.is_file() and self._resume(dict(settings))
        self._file: BinaryIO = path.open('ab' if begun else 'wb')
        if not begun:
            self._write(dict(settings))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def append(self, entry: Entry) -> None:
        """Add an entry; it outlives the process from now on."""
        self._write(_to_document(entry))
        self.count, self.last = self.count + 1, entry

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries one by one."""
        with self.path.open('rb') as file:
            next(file)
            for line in file:
                yield _from_document(json.loads(line))

    def _write(self, document: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(document, separators=(',', ':')).encode() + b'\n')
        self._file.flush()

    def _resume(self, settings: dict[str, Any]) -> bool:
        """Find the end of what was written whole, and tell whether there is anything."""
        whole, latest = 0, b''
        with self.path.open('rb') as file:
            first = file.readline()
            if not first.endswith(b'\n'):
                return False
            self._check(self._readable(lambda line: dict(json.loads(line)), first), settings)
            whole = len(first)
            for line in file:
                if not line.endswith(b'\n'):
                    break
                whole, latest, self.count = whole + len(line), line, self.count + 1
        with self.path.open('r+b') as file:
            file.truncate(whole)  # the last line may have been cut by the end of the process
        if latest:
            self.last = self._readable(lambda line: _from_document(json.loads(line)), latest)
        return True

    def _readable(self, read: Callable[[bytes], Read], line: bytes) -> Read:
        """Return what a line holds; refuse one that a failing disk left behind."""
        try:
            return read(line)
        except (ValueError, LookupError, TypeError) as error:
            raise RecordingError(
                f'{self.path} is damaged and cannot be continued: begin anew with --overwrite'
            ) from error

    def _check(self, found: dict[str, Any], settings: dict[str, Any]) -> None:
        wanted = json.loads(json.dumps(settings))
        differing = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if differing:
            raise RecordingError(
                f'{self.path.parent} was begun with other settings ({", ".join(differing)}): '
                'repeat the command as it was, or begin anew with --overwrite'
            )


def _to_document(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {
        'time': entry.time,
        'stamp': entry.stamp,
        'frame_id': entry.frame_id,
        'skeletons': [_skeleton_document(each) for each in entry.skeletons],
        'memory': asdict(entry.memory),
    }
    if entry.problem:
        document['problem'] = entry.problem
    return document


def _from_document(document: Mapping[str, Any]) -> Entry:
    return Entry(
        document['time'],
        document['stamp'],
        document['frame_id'],
        tuple(map(_skeleton, document['skeletons'])),
        TrackerMemory(**document['memory']),
        document.get('problem', ''),
    )


def _skeleton_document(estimate: SkeletonEstimate) -> dict[str, Any]:
    numbers = np.concatenate(
        [
            np.asarray(values, '<f4').ravel()
            for values in (
                estimate.positions,
                estimate.confidences,
                estimate.covariances,
                estimate.reference_point,
            )
        ]
    )
    return {
        'name': estimate.skeleton.name,
        'cube': float(estimate.cube_size),
        'handedness': estimate.handedness,
        'number': estimate.number,
        'occluded': occluded_list(estimate),
        'numbers': base64.b64encode(numbers.tobytes()).decode(),
    }


def _skeleton(document: Mapping[str, Any]) -> SkeletonEstimate:
    skeleton = DATASET_SKELETONS[document['name']]
    joints = len(skeleton)
    numbers = np.frombuffer(base64.b64decode(document['numbers']), '<f4')
    positions, confidences, covariances, centre = np.split(
        numbers, np.cumsum([3 * joints, joints, 9 * joints])
    )
    return SkeletonEstimate(
        skeleton=skeleton,
        positions=positions.reshape(joints, 3),
        confidences=confidences,
        covariances=covariances.reshape(joints, 3, 3),
        reference_point=centre,
        cube_size=document['cube'],
        points=np.zeros((0, 3), np.float32),
        handedness=document['handedness'],
        number=document['number'],
        occluded=np.array(document['occluded'], bool),
    )
