"""A recording in; the same with skeletons, markers and TF out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
import contextlib
import fcntl
from functools import lru_cache
from pathlib import Path
import shutil
from typing import Any, TYPE_CHECKING

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from v2v_pose_ros import __version__
from v2v_pose_ros.recordings import messages, RecordingError
from v2v_pose_ros.recordings.jobs import EstimatorSource, Job, Options, Progress, Report, Summary
from v2v_pose_ros.recordings.journal import Entry, Journal
from v2v_pose_ros.recordings.paths import is_recording
from v2v_pose_ros.recordings.recording import RecordedMessage, Recording, RESULT_QOS
from v2v_pose_ros.recordings.sequence import GapCounter, Smoother
from v2v_pose_ros.recordings.stream import FrameDecoder, recorded_frames, RecordedFrame
from v2v_pose_ros.recordings.topics import find_streams, Streams
from v2v_pose_ros.recordings.types import MARKERS, SKELETONS, TRANSFORMS, TYPES
from v2v_pose_ros.subjects import name_subjects, Subject
from v2v_pose_ros.tracking import Tracker, TrackerOptions

if TYPE_CHECKING:
    from v2v_pose_ros.estimator import PoseEstimator, SkeletonEstimate


def process(job: Job, report: Report = lambda _: None) -> Summary:
    """Process a recording; what an earlier run had estimated is not estimated again.

    Args:
        job: what to do.
        report: told about the progress.

    Raises:
        RecordingError: the recording cannot be used, or the result is there already.
    """
    _check_target(job)
    part = job.target.with_name(job.target.name + '.part')
    with Recording(job.source) as recording, _locked(part):
        streams = find_streams(recording, job.options.depth_topic, job.options.info_topic)
        _check_topics(recording, job.options)
        path = part / 'estimates.jsonl'
        if job.options.overwrite:
            path.unlink(missing_ok=True)
        journal = Journal(path, _settings(job, streams))
        try:
            resumed = journal.count
            _estimate(recording, streams, journal, job.options, report)
        finally:
            journal.close()
        summary = _summary(journal, resumed)
        if sum(summary.problems.values()) == summary.gaps.frames:
            raise RecordingError(
                f'{job.source} has no depth image on {streams.depth.name} that can be used: '
                f'{next(iter(summary.problems))}'
            )
        written = part / job.target.name
        shutil.rmtree(written, ignore_errors=True)  # of a run that was killed while writing
        _write(recording, streams, journal, job, written, report)
        if job.target.exists():
            _remove(job.target)
        written.rename(job.target)
    shutil.rmtree(part)
    return summary


def _check_target(job: Job) -> None:
    """Refuse to write where something is, and to remove what is no earlier result."""
    target = job.target
    if not target.exists():
        return
    original, replaced = job.source.resolve(), target.resolve()
    if replaced == original or replaced in original.parents:
        raise RecordingError(f'{target} is where the original is; name another')
    if target.is_dir() and not is_recording(target):
        raise RecordingError(
            f'{target} is a folder and no earlier result; name a new one, such as '
            f'{target / job.source.stem}'
        )
    if not job.options.overwrite:
        raise RecordingError(f'{target} exists already; name another, or give --overwrite')


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[None]:
    """Make the folder of unfinished work and keep others out of it."""
    part.mkdir(parents=True, exist_ok=True)
    with (part / 'lock').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordingError(f'another process is at work in {part}; let it finish') from None
        yield


def _remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()


def _settings(job: Job, streams: Streams) -> dict[str, Any]:
    """Return what the estimates depend on."""
    files = sorted(job.source.iterdir()) if job.source.is_dir() else [job.source]
    return {
        'version': __version__,
        'recording': [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        'topics': [streams.depth.name, streams.info.name],
        'rectified': job.options.rectified,
        'max_subjects': job.options.max_subjects,
        'estimator': job.options.estimator.identity(),
    }


@lru_cache(maxsize=1)
def load_once(source: EstimatorSource) -> PoseEstimator:
    """Return the estimator; a process that does several jobs loads it for the first."""
    return source.load()


def _estimate(
    recording: Recording, streams: Streams, journal: Journal, options: Options, report: Report
) -> None:
    """Continue the journal to the end of the recording."""
    total = streams.depth.count
    report(Progress('estimating', journal.count, total))
    if journal.count >= total:
        return
    limits = TrackerOptions(max_subjects=options.max_subjects)
    tracker = Tracker(load_once(options.estimator), limits)
    if journal.last is not None:
        tracker.memory = journal.last.memory
    frames = recorded_frames(recording, streams, rectified=options.rectified, skip=journal.count)
    for frame in frames:
        journal.append(_entry(tracker, frame))
        report(Progress('estimating', journal.count, total))


def _entry(tracker: Tracker, frame: RecordedFrame) -> Entry:
    skeletons: tuple[SkeletonEstimate, ...] = ()
    if frame.picture is not None:
        estimate = tracker(frame.picture.depth, frame.picture.camera, frame.seconds)
        skeletons = estimate.skeletons
    return Entry(frame.time, frame.stamp, frame.frame_id, skeletons, tracker.memory, frame.problem)


def _summary(journal: Journal, resumed: int) -> Summary:
    gaps, problems = GapCounter(), Counter[str]()
    for entry in journal:
        gaps.add(bool(entry.skeletons), entry.seconds)
        if entry.problem:
            problems[entry.problem] += 1
    return Summary(gaps.report(), dict(problems), resumed)


def _result_topics(options: Options) -> dict[str, str]:
    return {f'{options.prefix}/skeletons': SKELETONS, f'{options.prefix}/markers': MARKERS}


def _check_topics(recording: Recording, options: Options) -> None:
    """Refuse to mix results with those that are there."""
    for name in _result_topics(options):
        if name in recording.topics:
            raise RecordingError(
                f'{recording.path} has a topic {name} already; give another namespace for the new '
                'one, such as --prefix /again'
            )
    if '/tf' in recording.topics and recording.topics['/tf'].type != TRANSFORMS:
        raise RecordingError(f'{recording.path} has a topic /tf that is no {TRANSFORMS}')


def _write(
    recording: Recording,
    streams: Streams,
    journal: Journal,
    job: Job,
    path: Path,
    report: Report,
) -> None:
    """Copy the recording, with the results of a depth image right behind it."""
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(_open_writer(recording, job.options, path))
        copies = recording.copy_topics(writer)
        results = _Results(writer, copies, job.options)
        show = _shower(recording, streams, job, stack)
        entries = iter(journal)
        for number, message in enumerate(recording.messages()):
            report(Progress('writing', number, recording.message_count))
            writer.write(copies[message.topic.name], message.time, message.data)
            if message.topic == streams.depth:
                show(message, results.write(_entry_of(message, entries, recording)))
            elif message.topic == streams.info:
                show(message, [])
        report(Progress('writing', recording.message_count, recording.message_count))


def _shower(
    recording: Recording, streams: Streams, job: Job, stack: contextlib.ExitStack
) -> Callable[[RecordedMessage, list[Subject]], None]:
    """Return what shows frames in the viewer, if there is to be one."""
    if job.viewer is None:
        return lambda _message, _subjects: None
    from v2v_pose_ros.viewer.scene import Scene
    from v2v_pose_ros.viewer.sink import Viewer

    viewer = stack.enter_context(Viewer.to_file(job.viewer))
    decoder = FrameDecoder(recording, streams, job.options.rectified)

    def show(message: RecordedMessage, subjects: list[Subject]) -> None:
        decoder.see(message)
        if message.topic != streams.depth:
            return
        frame = decoder.frame(message)
        if frame.picture is not None:
            viewer.show(Scene(frame.picture.depth, frame.picture.camera, subjects, frame.seconds))

    return show


def _entry_of(message: RecordedMessage, entries: Iterator[Entry], recording: Recording) -> Entry:
    entry = next(entries, None)
    if entry is None or entry.time != message.time:
        raise RecordingError(f'{recording.path} was changed meanwhile: begin with --overwrite')
    return entry


def _open_writer(recording: Recording, options: Options, path: Path) -> Writer:
    """Return a writer of the same kind; ROS 1 bags become MCAP."""
    storage = options.storage or recording.storage
    plugin = StoragePlugin.SQLITE3 if storage == 'sqlite3' else StoragePlugin.MCAP
    # The older of the two versions that rosbags writes: who reads the newer one reads this, too.
    writer = Writer(path, version=8, storage_plugin=plugin)
    if recording.compressed and plugin is StoragePlugin.MCAP:
        # Inside MCAP's chunks, where Foxglove and every other reader expect it.
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    return writer


class _Results:
    """Writes what was found in a frame."""

    def __init__(self, writer: Writer, copies: Mapping[str, Any], options: Options) -> None:
        self._writer, self._options = writer, options
        wanted = {**_result_topics(options), '/tf': TRANSFORMS}
        self._topics = {
            kind: copies.get(name)
            or writer.add_connection(name, kind, typestore=TYPES, offered_qos_profiles=RESULT_QOS)
            for name, kind in wanted.items()
        }
        self._smoother = Smoother() if options.smooth else None
        self._shown: set[str] = set()

    def write(self, entry: Entry) -> list[Subject]:
        """Write skeletons, markers and transforms and return the subjects."""
        skeletons = entry.skeletons
        if self._smoother is not None:
            skeletons = self._smoother(skeletons, entry.seconds)
        name = self._options.subject or (skeletons[0].skeleton.name if skeletons else '')
        subjects = name_subjects(skeletons, name, several=self._options.max_subjects > 1)
        head = messages.header(entry.stamp, entry.frame_id)
        present = {subject.identity for subject in subjects}
        gone, self._shown = sorted(self._shown - present), present
        self._put(SKELETONS, entry, messages.skeletons_message(head, subjects))
        if subjects or gone:
            self._put(MARKERS, entry, messages.markers_message(head, subjects, gone))
        if subjects and entry.frame_id:
            self._put(TRANSFORMS, entry, messages.transforms_message(head, subjects))
        return subjects

    def _put(self, kind: str, entry: Entry, data: memoryview) -> None:
        self._writer.write(self._topics[kind], entry.time, data)
