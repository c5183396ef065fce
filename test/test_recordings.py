"""Recordings in, the same with skeletons out."""

import hashlib
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from recorded import (
    DELAY,
    DEPTH,
    FakeSource,
    FRAME_ID,
    INFO,
    PERIOD,
    START,
    Types,
    usual_messages,
    write_recording,
    write_ros1_bag,
)

from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.recordings import RecordingError
from v2v_pose_ros.recordings.jobs import Job, Options
from v2v_pose_ros.recordings.pool import run_here, run_processes
from v2v_pose_ros.recordings.processing import process
from v2v_pose_ros.recordings.recording import Recording
from v2v_pose_ros.skeletons import HAND

FRAMES = 12
ADDED = {'/v2v_pose/skeletons', '/v2v_pose/markers', '/tf'}


def options(**changes):
    return Options(**{'estimator': FakeSource(), **changes})


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def read(path: Path, topic: str):
    """Return the times and messages of a topic."""
    with Recording(path) as recording:
        return [(each.time, recording.decode(each)) for each in recording.messages([topic])]


def copied(path: Path) -> list[tuple[str, int, bytes]]:
    with Recording(path) as recording:
        return [
            (each.topic.name, each.time, bytes(each.data))
            for each in recording.messages()
            if each.topic.name not in ADDED
        ]


@pytest.fixture
def usual(tmp_path):
    return write_recording(tmp_path / 'usual', usual_messages(Types(), FRAMES, empty=(6, 7)))


@pytest.mark.parametrize(
    ('storage', 'compression'),
    [
        ('mcap', ''),
        ('mcap', 'storage'),
        ('mcap', 'file'),
        ('mcap', 'message'),
        ('sqlite3', ''),
        ('sqlite3', 'file'),
        ('sqlite3', 'message'),
    ],
)
def test_the_original_is_copied_and_results_come_beside_it(tmp_path, storage, compression):
    source = write_recording(
        tmp_path / 'in', usual_messages(Types(), FRAMES), storage, compression
    )
    summary = process(Job(source, tmp_path / 'out', options()))
    assert summary.gaps.found == summary.gaps.frames == FRAMES
    assert copied(tmp_path / 'out') == copied(source)
    with Recording(tmp_path / 'out') as result:
        assert result.storage == storage
        assert result.compressed == (storage == 'mcap' and compression != '')
        assert set(result.topics) == {DEPTH, INFO, '/chatter', *ADDED}
    assert not (tmp_path / 'out.part').exists()


def test_results_have_stamp_and_frame_of_their_image(usual, tmp_path):
    process(Job(usual, tmp_path / 'out', options()))
    arrays = read(tmp_path / 'out', '/v2v_pose/skeletons')
    assert [when for when, _ in arrays] == [START + n * PERIOD + DELAY for n in range(FRAMES)]
    for number, (_, array) in enumerate(arrays):
        stamp = array.header.stamp
        assert stamp.sec * 1_000_000_000 + stamp.nanosec == START + number * PERIOD
        assert array.header.frame_id == FRAME_ID
        assert len(array.skeletons) == (number not in (6, 7))
    skeleton = arrays[0][1].skeletons[0]
    assert tuple(skeleton.joint_names) == HAND.names
    assert (skeleton.subject_id, skeleton.skeleton_name) == ('hand', 'hand')
    assert skeleton.confidences == pytest.approx([0.9] * 21)
    np.testing.assert_allclose(
        np.reshape(skeleton.position_covariances, (21, 3, 3))[5], np.eye(3) * 4e-6
    )


def test_transforms_are_the_joints_and_markers_the_bones(usual, tmp_path):
    process(Job(usual, tmp_path / 'out', options()))
    skeleton = read(tmp_path / 'out', '/v2v_pose/skeletons')[0][1].skeletons[0]
    joints = np.array([[p.position.x, p.position.y, p.position.z] for p in skeleton.poses])
    turned = bone_orientations(HAND, joints.astype(np.float32))
    transforms = read(tmp_path / 'out', '/tf')
    assert len(transforms) == FRAMES - 2
    for index, each in enumerate(transforms[0][1].transforms):
        assert each.header.frame_id == FRAME_ID
        assert each.child_frame_id == f'hand/{HAND.names[index]}'
        move, turn = each.transform.translation, each.transform.rotation
        assert (move.x, move.y, move.z) == pytest.approx(joints[index])
        assert (turn.x, turn.y, turn.z, turn.w) == pytest.approx(turned[index], abs=1e-6)
    bones, spheres = read(tmp_path / 'out', '/v2v_pose/markers')[0][1].markers
    assert [(p.x, p.y, p.z) for p in spheres.points] == [pytest.approx(j) for j in joints]
    ends = [(p.x, p.y, p.z) for p in bones.points]
    assert ends == [pytest.approx(joints[i]) for bone in HAND.bones for i in bone]


def test_markers_of_a_subject_that_left_are_deleted_once(usual, tmp_path):
    process(Job(usual, tmp_path / 'out', options()))
    actions = [
        {marker.action for marker in array.markers}
        for _, array in read(tmp_path / 'out', '/v2v_pose/markers')
    ]
    assert actions == [{0}] * 6 + [{2}] + [{0}] * 4


def test_a_bag_of_ros_1_becomes_mcap_that_ros_2_reads(tmp_path):
    source = write_ros1_bag(tmp_path / 'in.bag', FRAMES)
    assert process(Job(source, tmp_path / 'out', options())).gaps.found == FRAMES
    expected = write_recording(tmp_path / 'expected', usual_messages(Types(), FRAMES))
    assert copied(tmp_path / 'out') == copied(expected)
    assert (tmp_path / 'out' / 'out.mcap').is_file()


def long_recording(path: Path, frames: int, storage: str) -> Path:
    """Write images of 150 kB; three in four of them are as the one before."""
    types = Types()

    def messages():
        for number in range(frames):
            stamp = START + number * PERIOD
            depth = np.full((240, 320), 500 + number // 4, np.uint16)
            yield INFO, 'sensor_msgs/msg/CameraInfo', stamp, types.info(stamp, 320, 240)
            yield DEPTH, 'sensor_msgs/msg/Image', stamp, types.image(stamp, depth)

    return write_recording(path, messages(), storage)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_memory_does_not_grow_with_the_length(tmp_path, storage):
    short, long = (long_recording(tmp_path / str(frames), frames, storage) for frames in (30, 250))
    program = (
        'import resource, sys; from pathlib import Path; from recorded import FakeSource; '
        'from v2v_pose_ros.recordings.jobs import Job, Options; '
        'from v2v_pose_ros.recordings.processing import process\n'
        'for name in sys.argv[1:]:\n'
        '    process(Job(Path(name), Path(name + "_out"), Options(FakeSource())))\n'
        '    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)'
    )
    done = subprocess.run(
        [sys.executable, '-c', program, str(short), str(long)],
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    before, after = (1024 * int(line) for line in done.stdout.split())
    size = sum(file.stat().st_size for file in long.iterdir())
    assert size > 38e6
    assert after - before < size / 4


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(usual, tmp_path):
    process(Job(usual, tmp_path / 'whole' / 'out', options()))
    target = tmp_path / 'resumed' / 'out'
    program = (
        'import sys; from pathlib import Path; from recorded import FakeSource; '
        'from v2v_pose_ros.recordings.jobs import Job, Options; '
        'from v2v_pose_ros.recordings.processing import process; '
        'process(Job(Path(sys.argv[1]), Path(sys.argv[2]), Options(FakeSource(0.2))))'
    )
    child = subprocess.Popen(
        [sys.executable, '-c', program, str(usual), str(target)],
        env={**os.environ, 'PYTHONPATH': str(Path(__file__).parent)},
    )
    journal = tmp_path / 'resumed' / 'out.part' / 'estimates.jsonl'
    deadline = time.monotonic() + 60
    while not (journal.is_file() and journal.read_bytes().count(b'\n') > 3):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with journal.open('ab') as file:
        file.write(b'{"time":17')  # what a cut write leaves behind
    summary = process(Job(usual, target, options()))
    assert 3 <= summary.resumed < FRAMES
    assert digests(target) == digests(tmp_path / 'whole' / 'out')


def test_a_run_that_was_killed_while_writing_writes_again(usual, tmp_path):
    process(Job(usual, tmp_path / 'whole' / 'out', options()))
    target = tmp_path / 'again' / 'out'

    def interrupt(progress):
        if progress.stage == 'writing' and progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process(Job(usual, target, options()), interrupt)
    assert not target.exists()
    assert process(Job(usual, target, options())).resumed == FRAMES
    assert digests(target) == digests(tmp_path / 'whole' / 'out')


def test_other_settings_do_not_continue_a_journal(usual, tmp_path):
    def interrupt(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process(Job(usual, tmp_path / 'out', options()), interrupt)
    with pytest.raises(RecordingError, match=r'other settings \(rectified\).*--overwrite'):
        process(Job(usual, tmp_path / 'out', options(rectified=True)))
    assert process(Job(usual, tmp_path / 'out', options(rectified=True, overwrite=True)))


@pytest.mark.parametrize('line', [0, -1])
@pytest.mark.parametrize('content', [b'\n', bytes(40) + b'\n', b'17\n'])
def test_a_journal_that_the_disk_damaged_is_not_continued(usual, tmp_path, line, content):
    def interrupt(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process(Job(usual, tmp_path / 'out', options()), interrupt)
    journal = tmp_path / 'out.part' / 'estimates.jsonl'
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[line] = content
    journal.write_bytes(b''.join(lines))
    with pytest.raises(RecordingError, match=r'is damaged.*--overwrite'):
        process(Job(usual, tmp_path / 'out', options()))
    assert process(Job(usual, tmp_path / 'out', options(overwrite=True)))


def test_what_exists_is_replaced_only_if_told_so(usual, tmp_path):
    job = Job(usual, tmp_path / 'out', options())
    process(job)
    with pytest.raises(RecordingError, match='exists already'):
        process(job)
    before = digests(tmp_path / 'out')
    process(Job(usual, tmp_path / 'out', options(overwrite=True)))
    assert digests(tmp_path / 'out') == before


def test_two_processes_do_not_work_on_one_result(usual, tmp_path):
    refused = []

    def again(progress):
        if progress.stage == 'estimating' and progress.done == 2:
            with pytest.raises(RecordingError) as error:
                process(Job(usual, tmp_path / 'out', options()))
            refused.append(str(error.value))

    process(Job(usual, tmp_path / 'out', options()), again)
    assert 'another process' in refused[0]


def test_a_result_is_not_mixed_with_another(usual, tmp_path):
    process(Job(usual, tmp_path / 'once', options()))
    with pytest.raises(RecordingError, match='--prefix'):
        process(Job(tmp_path / 'once', tmp_path / 'twice', options()))
    process(Job(tmp_path / 'once', tmp_path / 'twice', options(prefix='/again', subject='second')))
    with Recording(tmp_path / 'twice') as recording:
        assert {'/v2v_pose/skeletons', '/again/skeletons'} <= set(recording.topics)
        assert recording.topics['/tf'].count == 2 * (FRAMES - 2)


def test_smoothing_keeps_still_what_shakes(tmp_path):
    source = write_recording(tmp_path / 'in', usual_messages(Types(), 30))
    paths = []
    for name, smooth in (('raw', False), ('smooth', True)):
        process(Job(source, tmp_path / name, options(smooth=smooth)))
        places = [
            array.skeletons[0].poses[0].position
            for _, array in read(tmp_path / name, '/v2v_pose/skeletons')
        ]
        paths.append(np.abs(np.diff([(p.x, p.y, p.z) for p in places], n=2, axis=0)).sum())
    assert paths[1] < paths[0]


def test_frames_that_cannot_be_used_are_counted_and_the_others_done(tmp_path):
    types = Types()
    messages = list(usual_messages(types, FRAMES))
    odd = types.image(START, np.zeros((9, 9), np.uint16))
    messages[13] = (*messages[13][:3], odd)
    summary = process(Job(write_recording(tmp_path / 'in', messages), tmp_path / 'out', options()))
    assert summary.gaps.found == FRAMES - 1
    ((text, count),) = summary.problems.items()
    assert count == 1
    assert '9x9 and its camera_info describes 64x48' in text


def test_several_recordings_go_to_several_processes(tmp_path):
    sources = [
        write_recording(tmp_path / f'in{n}', usual_messages(Types(), FRAMES + n)) for n in range(3)
    ]
    (tmp_path / 'foreign.mcap').write_text('no recording')
    sources.append(tmp_path / 'foreign.mcap')
    told = set()

    def jobs(folder):
        return [Job(source, tmp_path / folder / source.name, options()) for source in sources]

    outcomes = run_processes(jobs('many'), 2, lambda number, _: told.add(number))
    assert told == {0, 1, 2}
    assert [outcome.summary is not None for outcome in outcomes] == [True, True, True, False]
    assert 'foreign.mcap' in outcomes[3].error
    for one in run_here(jobs('here'), lambda *_: None)[:3]:
        assert digests(one.job.target) == digests(tmp_path / 'many' / one.job.target.name)
