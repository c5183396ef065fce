"""`v2v-pose predict`: the joints in depth images, in files and recordings."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
import contextlib
from dataclasses import replace
import io
from pathlib import Path
import re
import sys
from typing import TYPE_CHECKING

from v2v_pose_ros.commands import CommandError
from v2v_pose_ros.commands.estimator import add_estimator_arguments, load_estimator
from v2v_pose_ros.commands.record import add_topic_arguments

if TYPE_CHECKING:  # it would import PyTorch
    from v2v_pose_ros.estimator import PoseEstimator
    from v2v_pose_ros.frames import DepthFrame
    from v2v_pose_ros.recordings.tables import Table
    from v2v_pose_ros.subjects import Subject
    from v2v_pose_ros.viewer.sink import Viewer

HELP = 'find the joints in depth images'

Found = tuple[str, 'DepthFrame', Sequence['Subject'], Mapping[str, float]]
"""The sequence that a frame belongs to, the frame, who is in it, and the seconds it took."""

_FILES = 'files'  # the sequence of all PNG and NPZ files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        'frames',
        nargs='+',
        type=Path,
        metavar='FRAME',
        help='16-bit PNG (millimetres, 0 = no measurement), NPZ, recordings (rosbag2, .mcap, '
        '.db3, .bag of ROS 1), and folders of them',
    )
    add_estimator_arguments(parser, model_required=True)
    parser.add_argument(
        '--camera',
        type=Path,
        metavar='camera.yaml',
        help='the calibration, as camera_calibration writes it; of PNG and NPZ files that have '
        'none beside or in them',
    )
    parser.add_argument(
        '--rate',
        type=float,
        metavar='HZ',
        help='the files are a sequence of this rate: the subject is followed through it',
    )
    parser.add_argument(
        '--smooth', action='store_true', help='steady the joints with a One Euro filter'
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='write the joints as .json, .csv or .parquet'
    )
    parser.add_argument('--overlay', type=Path, metavar='DIR', help='write overlay images')
    parser.add_argument('--viewer', type=Path, metavar='FILE.rrd', help='write a Rerun recording')
    parser.add_argument('--json', action='store_true', help='print the joints as JSON')
    add_topic_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Estimate frame by frame, then say how completely the subject was seen."""
    from v2v_pose_ros.recordings.sequence import GapCounter

    frames = _frames(options)
    estimator = load_estimator(options)
    printed = io.StringIO()
    with contextlib.ExitStack() as stack:
        tables = _tables(options, printed, stack)
        overlays = _Overlays(options.overlay) if options.overlay else None
        viewer = _viewer(options, stack)
        counters: dict[str, GapCounter] = {}
        problems = _Problems()
        found = _estimates(frames, estimator, options)
        for number, (sequence, frame, subjects, timings) in enumerate(found):
            counters.setdefault(sequence, GapCounter()).add(bool(subjects), frame.stamp)
            problems.add(sequence, frame.problem)
            for table in tables:
                table.add(number, frame.name, frame.stamp, subjects)
            status = _status(frame, subjects)
            if overlays is not None:
                overlays.write(frame, subjects, status)
            if viewer is not None:
                _show(viewer, number, frame, subjects, timings)
            if not options.json:
                print(f'{frame.name}: {status}')
        reports = {sequence: counter.report() for sequence, counter in counters.items()}
        for table in tables:
            table.close(reports)
    if options.json:
        sys.stdout.write(printed.getvalue())
    else:
        for sequence, report in reports.items():
            if report.rate:
                print(f'{sequence}: {report.sentence}')
    problems.say()


def _frames(options: argparse.Namespace) -> Iterator[tuple[str, DepthFrame]]:
    """Return the frames, each with the sequence it belongs to."""
    from v2v_pose_ros.camera import Camera
    from v2v_pose_ros.frames import frame_files, read_frames

    if options.rate is not None and not 0 < options.rate < 1e6:
        raise CommandError(f'--rate is {options.rate}; frames per second are meant')
    if options.max_subjects < 1:
        raise CommandError(f'--max-subjects is {options.max_subjects}; at least one is needed')
    camera = Camera.from_yaml(options.camera) if options.camera else None
    paths, recordings = _divided(options.frames)
    files = frame_files(paths)

    def generate() -> Iterator[tuple[str, DepthFrame]]:
        for number, frame in enumerate(read_frames(files, camera)):
            stamped = options.rate is None
            yield _FILES, frame if stamped else replace(frame, stamp=number / options.rate)
        for path in recordings:
            for frame in _recorded(path, options):
                yield str(path), frame

    return generate()


def _divided(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return files and folders of frames, and recordings, those in folders among them."""
    from v2v_pose_ros.frames import files_in
    from v2v_pose_ros.recordings.paths import is_recording, recordings_in

    frames, recordings = [], []
    for path in paths:
        if is_recording(path):
            recordings.append(path)
        elif path.is_dir() and not files_in(path) and (inside := recordings_in(path)):
            recordings += inside
        else:
            frames.append(path)
    return frames, recordings


def _recorded(path: Path, options: argparse.Namespace) -> Iterator[DepthFrame]:
    """Yield the depth frames of a recording."""
    from v2v_pose_ros.recordings import require_rosbags

    require_rosbags()
    from v2v_pose_ros.frames import DepthFrame
    from v2v_pose_ros.recordings.recording import Recording
    from v2v_pose_ros.recordings.stream import recorded_frames
    from v2v_pose_ros.recordings.topics import find_streams

    with Recording(path) as recording:
        streams = find_streams(recording, options.depth_topic, options.camera_info_topic)
        frames = recorded_frames(recording, streams, rectified=options.rectified)
        for number, frame in enumerate(frames):
            depth = camera = None
            if frame.picture is not None:
                depth, camera = frame.picture.depth, frame.picture.camera
            yield DepthFrame(f'{path}[{number}]', depth, camera, frame.seconds, frame.problem)


def _estimates(
    frames: Iterator[tuple[str, DepthFrame]],
    estimator: PoseEstimator,
    options: argparse.Namespace,
) -> Iterator[Found]:
    """Yield who is in every frame; subjects are followed where frames have stamps."""
    from v2v_pose_ros.recordings.sequence import Smoother
    from v2v_pose_ros.subjects import name_subjects
    from v2v_pose_ros.tracking import Tracker, TrackerOptions

    limits = TrackerOptions(max_subjects=options.max_subjects)
    tracker, smoother, current = Tracker(estimator, limits), Smoother(), _FILES
    for sequence, frame in frames:
        if sequence != current:
            tracker, smoother, current = Tracker(estimator, limits), Smoother(), sequence
        if frame.depth is None or frame.camera is None:
            yield sequence, frame, [], {}
            continue
        if frame.stamp is None:
            if options.smooth:
                raise CommandError(
                    f'{frame.name} has no stamp, which --smooth needs: give --rate, too'
                )
            estimate = estimator(frame.depth, frame.camera)
            skeletons = estimate.skeletons
        else:
            estimate = tracker(frame.depth, frame.camera, frame.stamp)
            skeletons = estimate.skeletons
            if options.smooth:
                skeletons = smoother(skeletons, frame.stamp)
        name = estimator.skeleton.name
        subjects = name_subjects(skeletons, name, several=options.max_subjects > 1)
        yield sequence, frame, subjects, estimate.timings


def _tables(
    options: argparse.Namespace, printed: io.StringIO, stack: contextlib.ExitStack
) -> list[Table]:
    from v2v_pose_ros.recordings.tables import JsonTable, open_table

    tables: list[Table] = []
    if options.out:
        tables.append(stack.enter_context(open_table(options.out)))
    if options.json:
        tables.append(JsonTable(printed))
    return tables


def _viewer(options: argparse.Namespace, stack: contextlib.ExitStack) -> Viewer | None:
    if not options.viewer:
        return None
    from v2v_pose_ros.viewer.sink import Viewer

    return stack.enter_context(Viewer.to_file(options.viewer))


def _show(
    viewer: Viewer,
    number: int,
    frame: DepthFrame,
    subjects: Sequence[Subject],
    timings: Mapping[str, float],
) -> None:
    from v2v_pose_ros.viewer.scene import Scene

    if frame.depth is not None and frame.camera is not None:
        stamp = float(number) if frame.stamp is None else frame.stamp
        viewer.show(Scene(frame.depth, frame.camera, subjects, stamp, timings))


def _status(frame: DepthFrame, subjects: Sequence[Subject]) -> str:
    if frame.problem:
        return frame.problem
    if not subjects:
        return 'not found'
    if len(subjects) == 1:
        return f'confidence {subjects[0].estimate.confidence:.2f}'
    return ', '.join(f'{each.identity} {each.estimate.confidence:.2f}' for each in subjects)


class _Problems:
    """Why frames could not be used."""

    def __init__(self) -> None:
        self._problems: dict[str, Counter[str]] = {}

    def add(self, sequence: str, problem: str) -> None:
        """Count a frame; one that was used has no problem."""
        self._problems.setdefault(sequence, Counter())[problem] += 1

    def say(self) -> None:
        """Name the problems; raise CommandError where not one frame could be used."""
        useless = []
        for sequence, counts in self._problems.items():
            if not counts.pop('', 0):
                useless.append(sequence)
            for problem, count in counts.items():
                print(f'{sequence}: {count} frames could not be used: {problem}', file=sys.stderr)
        if useless:
            raise CommandError(f'no depth image can be used in {", ".join(useless)}')


class _Overlays:
    """A folder of overlay images."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._written: set[Path] = set()

    def write(self, frame: DepthFrame, subjects: Sequence[Subject], status: str) -> None:
        """Write the overlay of a frame, if it can be seen."""
        import cv2

        from v2v_pose_ros.overlay import add_status, color_depth, draw_skeletons

        if frame.depth is None or frame.camera is None:
            return
        target = self._file(frame.name)
        estimates = [subject.estimate for subject in subjects]
        picture = draw_skeletons(color_depth(frame.depth), frame.camera, estimates)
        if not cv2.imwrite(str(target), add_status(picture, f'{Path(frame.name).name}  {status}')):
            raise CommandError(f'{target} cannot be written')

    def _file(self, name: str) -> Path:
        """Return where a frame's overlay goes; frames of one name in several places stay apart."""
        path, number = name, ''
        if match := re.fullmatch(r'(.*)\[(\d+)\]', name):
            path, number = match[1], f'_{int(match[2]):06d}'
        stem = Path(path).stem + number
        target, copies = self._folder / f'{stem}.png', 1
        while target in self._written:
            copies += 1
            target = self._folder / f'{stem}_{copies}.png'
        self._written.add(target)
        return target
