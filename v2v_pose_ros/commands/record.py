"""`v2v-pose record`: recordings in, the same plus skeletons, markers and TF out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING

from v2v_pose_ros import defaults
from v2v_pose_ros.commands import CommandError
from v2v_pose_ros.commands.estimator import add_estimator_arguments, settings_of

if TYPE_CHECKING:  # it takes a moment to import
    from rich.console import Console

    from v2v_pose_ros.recordings.jobs import Job, Outcome
    from v2v_pose_ros.recordings.progress import Display

_NAMESPACE = re.compile(r'(/[A-Za-z_][A-Za-z0-9_]*)+')

HELP = 'add skeletons, markers and TF to recordings'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        'sources',
        nargs='+',
        type=Path,
        metavar='IN',
        help='a rosbag2 folder, an .mcap, a .db3, or a .bag of ROS 1',
    )
    parser.add_argument(
        'target',
        type=Path,
        metavar='OUT',
        help='the new recording, a rosbag2 folder; the folder for them, with several IN',
    )
    add_estimator_arguments(parser, model_required=True)
    add_topic_arguments(parser)
    results = parser.add_argument_group('results')
    results.add_argument(
        '--prefix', default='/v2v_pose', help='namespace of the new topics (%(default)s)'
    )
    results.add_argument('--subject', default='', help='name of the subject, as in TF')
    results.add_argument(
        '--smooth', action='store_true', help='steady the joints with a One Euro filter'
    )
    results.add_argument(
        '--storage', default='', choices=['mcap', 'sqlite3'], help="the original's by default"
    )
    results.add_argument('--overwrite', action='store_true', help='replace OUT; begin anew')
    results.add_argument(
        '--viewer', type=Path, metavar='FILE.rrd', help='a Rerun recording, too, of a single IN'
    )
    results.add_argument('--json', action='store_true', help='print the outcome as JSON')
    several = parser.add_argument_group('several recordings')
    several.add_argument('--workers', type=int, default=1, help='processes that share the work')
    several.add_argument(
        '--ray', metavar='ADDRESS', help='a Ray cluster that does the work; auto, local'
    )


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says where the depth images of a recording are, and who may be in them."""
    group = parser.add_argument_group('recording')
    group.add_argument('--depth-topic', default='', help='found by its encoding by default')
    group.add_argument(
        '--camera-info-topic', default='', help='the one beside the depth topic by default'
    )
    group.add_argument(
        '--rectified', action='store_true', help='the images belong to P of camera_info'
    )
    group.add_argument(
        '--max-subjects',
        type=int,
        default=defaults.MAX_SUBJECTS,
        help='how many are followed at most (%(default)s)',
    )


def run(options: argparse.Namespace) -> None:
    """Process the recordings, show how far they are, and name those that failed."""
    from rich.console import Console

    from v2v_pose_ros.recordings import require_rosbags
    from v2v_pose_ros.recordings.progress import Display

    require_rosbags()
    console = Console(stderr=True)
    jobs = _jobs(options)
    with Display(console, [job.source.name for job in jobs]) as display:
        outcomes = _run(options, jobs, display)
    if options.json:
        print(json.dumps({'recordings': [_document(each) for each in outcomes]}, indent=1))
    else:
        for each in outcomes:
            _say(each)
    _raise_failures(outcomes, console)


def _jobs(options: argparse.Namespace) -> list[Job]:
    from v2v_pose_ros.recordings.jobs import Job, Options

    if options.workers < 1:
        raise CommandError(f'--workers is {options.workers}; at least one is needed')
    if options.max_subjects < 1:
        raise CommandError(f'--max-subjects is {options.max_subjects}; at least one is needed')
    if options.viewer and len(options.sources) > 1:
        raise CommandError('--viewer is for a single recording; leave it away or give one IN')
    if options.subject and not re.fullmatch(defaults.SUBJECT_NAME, options.subject):
        raise CommandError(
            f'--subject is {options.subject!r}; it must start with a letter and go on with '
            'letters, digits and underscores, to be a prefix of TF frames'
        )
    how = Options(
        estimator=settings_of(options),
        depth_topic=options.depth_topic,
        info_topic=options.camera_info_topic,
        rectified=options.rectified,
        prefix=_namespace(options.prefix),
        subject=options.subject,
        max_subjects=options.max_subjects,
        smooth=options.smooth,
        storage=options.storage,
        overwrite=options.overwrite,
    )
    how.estimator.identity()  # a model that is missing is missed now, not by every worker
    if options.viewer:
        from v2v_pose_ros.viewer.sink import load_rerun

        load_rerun()  # likewise, not when all is estimated
    if len(options.sources) == 1:
        return [Job(options.sources[0], options.target, how, options.viewer)]
    targets = [
        options.target / (source.name if source.is_dir() else source.stem)
        for source in options.sources
    ]
    for target in targets:
        if targets.count(target) > 1:
            raise CommandError(
                f'several recordings are called {target.name}; process them one at a time'
            )
    return [
        Job(source, target, how) for source, target in zip(options.sources, targets, strict=True)
    ]


def _namespace(prefix: str) -> str:
    """Return the namespace of the new topics; refuse what ROS 2 would not play."""
    name = '/' + prefix.strip('/')
    if not _NAMESPACE.fullmatch(name):
        raise CommandError(
            f'--prefix is {prefix!r}; a namespace such as /v2v_pose is expected: letters, digits '
            'and underscores, no digit first, with slashes between'
        )
    return name


def _run(options: argparse.Namespace, jobs: Sequence[Job], display: Display) -> list[Outcome]:
    from v2v_pose_ros.recordings import pool

    if options.ray:
        return pool.run_ray(jobs, options.ray, display.update)
    if options.workers > 1 and len(jobs) > 1:
        return pool.run_processes(jobs, min(options.workers, len(jobs)), display.update)
    return pool.run_here(jobs, display.update)


def _say(outcome: Outcome) -> None:
    summary = outcome.summary
    if summary is None:
        return
    resumed = f' ({summary.resumed} estimated before)' if summary.resumed else ''
    print(f'{outcome.job.target}: {summary.gaps.sentence}{resumed}')
    for problem, count in summary.problems.items():
        print(f'  {count} frames could not be used: {problem}')


def _document(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = {
        'in': str(outcome.job.source),
        'out': str(outcome.job.target),
        'error': outcome.error or None,
    }
    if outcome.summary is not None:
        document['report'] = outcome.summary.gaps.document()
        document['problems'] = dict(outcome.summary.problems)
        document['resumed'] = outcome.summary.resumed
    return document


def _raise_failures(outcomes: Sequence[Outcome], console: Console) -> None:
    failed = [outcome for outcome in outcomes if outcome.summary is None]
    if len(outcomes) == 1 and failed:
        raise CommandError(failed[0].error)
    for outcome in failed:
        console.print(f'{outcome.job.source}: {outcome.error}', style='red', soft_wrap=True)
    if failed:
        names = ', '.join(str(outcome.job.source) for outcome in failed)
        raise CommandError(f'{len(failed)} of {len(outcomes)} recordings failed: {names}')
