"""`v2v-pose record` as a user types it."""

import json
import os
from pathlib import Path
import re
import socket
import sys

import pytest
from recorded import FakeSource, Types, usual_messages, write_recording

from v2v_pose_ros.cli import main
from v2v_pose_ros.commands import record
from v2v_pose_ros.recordings.jobs import Job, Options
from v2v_pose_ros.recordings.pool import run_here, run_ray
from v2v_pose_ros.recordings.recording import Recording


@pytest.fixture
def fake(monkeypatch):
    """Put an estimator without a network in the place of the real one, in every process."""
    monkeypatch.setattr(record, 'settings_of', lambda options: FakeSource())


def run(*arguments):
    return main(['record', *map(str, arguments), '--model', 'hand_lite'])


@pytest.fixture
def sources(tmp_path):
    return [
        write_recording(tmp_path / name, usual_messages(Types(), 6)) for name in ('one', 'two')
    ]


def test_one_recording_becomes_another(fake, sources, tmp_path, capsys):
    assert run(sources[0], tmp_path / 'out') == 0
    said = capsys.readouterr()
    assert '6 of 6 frames (100.0 %) show the subject' in said.out
    assert 'one: estimating' in said.err
    with Recording(tmp_path / 'out') as recording:
        assert recording.topics['/v2v_pose/skeletons'].count == 6


def test_the_outcome_is_one_json_document(fake, sources, tmp_path, capsys):
    assert run(sources[0], tmp_path / 'out', '--json') == 0
    (outcome,) = json.loads(capsys.readouterr().out)['recordings']
    assert outcome['error'] is None
    assert outcome['report']['found'] == 6


@pytest.mark.parametrize('workers', [1, 2])
def test_of_several_recordings_the_failed_ones_are_named(fake, sources, tmp_path, capsys, workers):
    bad = tmp_path / 'bad.mcap'
    bad.write_text('nothing')
    assert run(*sources, bad, tmp_path / 'out', '--workers', workers) == 1
    said = capsys.readouterr()
    assert said.err.rstrip().endswith(f'1 of 3 recordings failed: {bad}')
    assert said.out.count('6 of 6 frames') == 2
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['one', 'two']


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--workers', '0'], '--workers is 0'),
        (['--max-subjects', '0'], '--max-subjects is 0'),
        (['--prefix', ''], "--prefix is ''"),
        (['--prefix', 'a name'], "--prefix is 'a name'"),
        (['--subject', 'a/b'], "--subject is 'a/b'"),
        (['--depth-topic', '/none'], 'has no depth images on /none'),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(
    fake, sources, tmp_path, capsys, arguments, words
):
    assert run(sources[0], tmp_path / 'out', *arguments) == 1
    assert words in capsys.readouterr().err


def test_recordings_of_one_name_are_refused(fake, sources, tmp_path, capsys):
    assert run(sources[0], sources[0], tmp_path / 'out') == 1
    assert 'several recordings are called one' in capsys.readouterr().err


@pytest.mark.parametrize('workers', [1, 2])
def test_an_unexpected_failure_is_the_failure_of_one_recording(
    monkeypatch, sources, tmp_path, capsys, workers
):
    foreign = tmp_path / 'foreign.mcap'
    foreign.write_text('nothing')
    monkeypatch.setattr(record, 'settings_of', lambda options: FakeSource(pause=None))
    assert run(*sources, foreign, tmp_path / 'out', '--workers', workers) == 1
    said = capsys.readouterr().err
    assert len(re.findall(r'(?:one|two) failed: TypeError', said)) == 2
    assert '3 of 3 recordings failed' in said


@pytest.mark.parametrize('options', [[], ['--overwrite']])
def test_only_results_are_overwritten(fake, sources, tmp_path, capsys, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / 'results' / 'notes.txt'
    kept.parent.mkdir()
    kept.write_text('kept')
    for target, words in (
        (kept.parent, f'name a new one, such as {kept.parent}/one'),
        (sources[0], 'is where the original is'),
        (tmp_path, 'is where the original is'),
        ('.', 'is where the original is'),
    ):
        assert run(sources[0], target, *options) == 1
        assert words in capsys.readouterr().err
    assert kept.read_text() == 'kept'
    with Recording(sources[0]) as recording:
        assert '/v2v_pose/skeletons' not in recording.topics


def test_a_folder_of_recordings_is_refused_with_what_to_type(fake, sources, tmp_path, capsys):
    assert run(tmp_path, tmp_path / 'out') == 1
    assert f'such as {tmp_path}/*' in capsys.readouterr().err


def test_results_have_the_whole_names_of_folders(fake, tmp_path):
    names = ['rosbag2_10.30.00', 'rosbag2_10.30.01']
    for name in names:
        write_recording(tmp_path / name, usual_messages(Types(), 2))
    assert run(*(tmp_path / name for name in names), tmp_path / 'out') == 0
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == names


def test_a_missing_viewer_is_missed_before_the_work(fake, sources, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    assert run(sources[0], tmp_path / 'out', '--viewer', tmp_path / 'view.rrd') == 1
    assert "pip install 'v2v_pose_ros[viewer]'" in capsys.readouterr().err
    assert not (tmp_path / 'out.part').exists()


def test_a_missing_model_is_missed_before_the_work(sources, tmp_path, capsys):
    assert main(['record', str(sources[0]), str(tmp_path / 'out'), '--model', 'gone']) == 1
    assert "no model 'gone'" in capsys.readouterr().err
    assert not (tmp_path / 'out.part').exists()


def test_the_shipped_model_works_on_a_recording(sources, tmp_path, capsys):
    # There is no hand in it; what counts is that model, journal and messages fit.
    assert run(sources[0], tmp_path / 'out') == 0
    with Recording(tmp_path / 'out') as recording:
        assert recording.topics['/v2v_pose/skeletons'].count == 6


def test_without_ray_it_says_what_to_install(fake, sources, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    assert run(sources[0], tmp_path / 'out', '--ray', 'auto') == 1
    assert "pip install 'v2v_pose_ros[ray]'" in capsys.readouterr().err


def test_a_cluster_that_nobody_reaches_is_said_at_once(fake, sources, tmp_path, capsys):
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{closed.getsockname()[1]}'
        assert run(sources[0], tmp_path / 'out', '--ray', address) == 1
    assert f'cluster {address} cannot be reached' in capsys.readouterr().err


def test_a_ray_cluster_gives_what_this_process_gives(sources, tmp_path, monkeypatch):
    pytest.importorskip('ray')
    # The workers have to find the estimator of this test.
    path = [str(Path(__file__).parent), *filter(None, [os.environ.get('PYTHONPATH')])]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(path))

    def jobs(name):
        options = Options(FakeSource())
        return [Job(each, tmp_path / name / each.name, options) for each in sources]

    told = set()
    outcomes = run_ray(jobs('ray'), 'local', lambda number, _: told.add(number))
    assert told == {0, 1}
    here = run_here(jobs('here'), lambda *_: None)
    assert [each.summary for each in outcomes] == [each.summary for each in here]
