"""`v2v-pose predict` on folders, NPZ and recordings, and the tables that it writes."""

import csv
import json
import shutil
import sys

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from recorded import (
    depth_image,
    FakeEstimator,
    PERIOD,
    START,
    Types,
    usual_messages,
    write_recording,
    write_ros1_bag,
)
from rerun.chunk import RrdReader
import yaml

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.cli import main
from v2v_pose_ros.commands import predict
from v2v_pose_ros.recordings.tables import COLUMNS
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.export import camera_document

CAMERA = Camera(64, 48, 60, 60, 31.5, 23.5)


@pytest.fixture(autouse=True)
def estimator(monkeypatch):
    """Put an estimator without a network in the place of the real one."""
    made = FakeEstimator()
    monkeypatch.setattr(predict, 'load_estimator', lambda options: made)
    return made


def run(*arguments):
    return main(['predict', '--model', 'hand_lite', *map(str, arguments)])


def document_of(capsys, *arguments):
    assert run('--json', *arguments) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with four frames and their camera; the third shows nothing."""
    target = tmp_path / 'frames'
    target.mkdir()
    for number in range(4):
        cv2.imwrite(str(target / f'{number:03d}.png'), depth_image(number, empty=number == 2))
    (target / 'camera.yaml').write_text(yaml.safe_dump(camera_document(CAMERA)))
    return target


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / 'bag', usual_messages(Types(), 12, empty=(5, 6, 7)))


def test_a_folder_needs_nothing_but_its_name(folder, capsys):
    frames = document_of(capsys, folder)['frames']
    assert [frame['file'] for frame in frames] == [str(f) for f in sorted(folder.glob('*.png'))]
    assert [frame['found'] for frame in frames] == [True, True, False, True]
    assert 'stamp' not in frames[0]


def test_a_rate_makes_a_sequence_of_files(folder, capsys):
    document = document_of(capsys, '--rate', 10, folder)
    assert [frame['stamp'] for frame in document['frames']] == [0.0, 0.1, 0.2, 0.3]
    (report,) = document['reports']
    assert (report['frames'], report['found'], report['rate_hz']) == (4, 3, 10.0)
    assert report['gaps'] == [{'first': 2, 'frames': 1, 'seconds': pytest.approx(0.2)}]


def test_smoothing_without_stamps_is_refused(folder, capsys):
    assert run('--smooth', folder) == 1
    assert '--rate' in capsys.readouterr().err
    assert run('--smooth', '--rate', '30', folder) == 0


@pytest.mark.parametrize('kind', ['millimetres', 'metres', 'single'])
def test_npz_holds_frames_stamps_and_camera(tmp_path, capsys, kind):
    depth = np.stack([depth_image(number) for number in range(3)])
    arrays = {'depth': depth, 'stamps': np.arange(3) / 30, 'camera_matrix': CAMERA.matrix}
    if kind == 'metres':
        arrays['depth'] = np.where(depth > 0, depth / 1000, np.nan)
    if kind == 'single':
        arrays |= {'depth': depth[0], 'stamps': np.array(0.0)}
    np.savez(tmp_path / 'frames.npz', **arrays)
    frames = document_of(capsys, tmp_path / 'frames.npz')['frames']
    assert len(frames) == (1 if kind == 'single' else 3)
    assert all(frame['found'] for frame in frames)
    mean = np.mean([joint['position_m'][2] for joint in frames[0]['joints']])
    assert mean == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ('arrays', 'words'),
    [
        ({'image': np.zeros((4, 4), np.uint16)}, 'one called depth is expected'),
        ({'depth': np.zeros(4, np.uint16)}, '[H, W] or [N, H, W]'),
        ({'depth': np.zeros((2, 4, 4), np.uint16), 'stamps': np.zeros(3)}, '2 numbers, seconds'),
        ({'depth': np.zeros((4, 4), np.uint16)}, 'give --camera'),
        ({'depth': np.zeros((4, 4), np.uint16), 'camera_matrix': np.zeros(4)}, '9 are expected'),
        ({'depth': np.array({'a': 1}, object)}, 'cannot be read as an NPZ file'),
    ],
)
def test_npz_with_other_arrays_is_refused(tmp_path, capsys, arrays, words):
    np.savez(tmp_path / 'frames.npz', **arrays)
    assert run(tmp_path / 'frames.npz') == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize('content', [b'', b'PK', b'hello'])
def test_npz_that_is_none_is_refused(tmp_path, capsys, content):
    (tmp_path / 'frames.npz').write_bytes(content)
    assert run(tmp_path / 'frames.npz') == 1
    assert 'cannot be read as an NPZ file' in capsys.readouterr().err


def test_frames_without_a_camera_are_refused(folder, capsys):
    (folder / 'camera.yaml').unlink()
    assert run(folder) == 1
    assert '--camera' in capsys.readouterr().err


def test_a_folder_without_frames_is_refused(tmp_path, capsys):
    assert run(tmp_path) == 1
    assert 'neither PNG nor NPZ' in capsys.readouterr().err


def test_what_is_missing_is_said_to_be(tmp_path, capsys):
    assert run(tmp_path / 'gone') == 1
    assert f'there is no file {tmp_path / "gone"}' in capsys.readouterr().err


def test_names_of_files_may_be_in_capitals(folder, capsys):
    for file in folder.glob('*.png'):
        file.rename(file.with_suffix('.PNG'))
    np.savez(folder / '9.npz', depth=depth_image(0))
    (folder / '9.npz').rename(folder / '9.NPZ')
    assert len(document_of(capsys, '--camera', folder / 'camera.yaml', folder)['frames']) == 5


@pytest.mark.parametrize('kind', ['folders', 'mcap', 'bag'])
def test_a_folder_of_recordings_is_all_of_them(tmp_path, capsys, kind):
    place = tmp_path / 'monday'
    place.mkdir()
    paths = [place / name for name in ('one', 'two')]
    if kind == 'bag':
        paths = [write_ros1_bag(path.with_suffix('.bag'), 2) for path in paths]
    else:
        for path in paths:
            write_recording(path, usual_messages(Types(), 2))
    if kind == 'mcap':
        for path in paths:
            (path / f'{path.name}.mcap').rename(f'{path}.mcap')
            shutil.rmtree(path)
        paths = [path.with_suffix('.mcap') for path in paths]
    reports = document_of(capsys, place)['reports']
    assert [report['source'] for report in reports] == [str(path) for path in paths]
    assert [report['frames'] for report in reports] == [2, 2]


def test_frames_that_cannot_be_used_are_counted_and_named(tmp_path, capsys):
    messages = list(usual_messages(Types(), 4))
    odd = Types().image(START, np.zeros((9, 9), np.uint16))
    messages[4] = (*messages[4][:3], odd)
    path = write_recording(tmp_path / 'in', messages)
    assert run('--json', path) == 0
    said = capsys.readouterr()
    assert f'{path}: 1 frames could not be used: the depth image is 9x9' in said.err
    assert len(json.loads(said.out)['frames']) == 4


def test_a_recording_of_which_nothing_can_be_used_is_a_failure(tmp_path, capsys, recording):
    messages = [
        (topic, kind, when, Types().info(when, 32, 24) if 'info' in topic else message)
        for topic, kind, when, message in usual_messages(Types(), 3)
    ]
    path = write_recording(tmp_path / 'in', messages)
    assert run(recording, path) == 1
    said = capsys.readouterr().err
    assert '3 frames could not be used: the depth image is 64x48' in said
    assert f'no depth image can be used in {path}' in said


@pytest.mark.parametrize('ros1', [False, True])
def test_recordings_are_sequences_with_their_own_stamps(tmp_path, capsys, recording, ros1):
    path = write_ros1_bag(tmp_path / 'in.bag', 12) if ros1 else recording
    document = document_of(capsys, path)
    assert [frame['file'] for frame in document['frames']] == [f'{path}[{n}]' for n in range(12)]
    stamps = [frame['stamp'] for frame in document['frames']]
    assert stamps == pytest.approx([(START + n * PERIOD) * 1e-9 for n in range(12)], abs=1e-6)
    (report,) = document['reports']
    assert report['source'] == str(path)
    assert report['rate_hz'] == pytest.approx(30.0, abs=0.01)
    assert report['longest_gap_frames'] == (0 if ros1 else 3)
    assert report['longest_gap_s'] == pytest.approx(0 if ros1 else 4 * PERIOD * 1e-9, abs=1e-6)


def test_the_gap_report_is_said_in_words(recording, capsys):
    assert run(recording) == 0
    assert '9 of 12 frames (75.0 %)' in capsys.readouterr().out.splitlines()[-1]


def test_several_recordings_have_reports_of_their_own(tmp_path, recording, capsys):
    other = write_recording(tmp_path / 'other', usual_messages(Types(), 5))
    reports = document_of(capsys, recording, other)['reports']
    assert [(report['source'], report['frames']) for report in reports] == [
        (str(recording), 12),
        (str(other), 5),
    ]


def test_csv_has_a_row_for_each_frame_and_joint(tmp_path, recording, capsys):
    assert run('--out', tmp_path / 'joints.csv', recording) == 0
    with (tmp_path / 'joints.csv').open(newline='') as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert len(table) == 9 * len(HAND)
    assert [row['joint'] for row in table[: len(HAND)]] == list(HAND.names)
    assert {row['frame'] for row in table} == {str(n) for n in (0, 1, 2, 3, 4, 8, 9, 10, 11)}
    assert {row['subject'] for row in table} == {'hand'}
    assert float(table[0]['sd_x']) == pytest.approx(0.002)  # the root of 4e-6


def test_csv_has_a_file_of_gaps_beside_it(tmp_path, recording, capsys):
    assert run('--out', tmp_path / 'joints.csv', recording) == 0
    with (tmp_path / 'joints.gaps.csv').open(newline='') as file:
        (gap,) = csv.DictReader(file)
    assert (gap['file'], gap['first'], gap['frames']) == (str(recording), '5', '3')
    assert float(gap['seconds']) == pytest.approx(4 * PERIOD * 1e-9, abs=1e-6)


def test_parquet_csv_and_json_agree(tmp_path, recording, capsys):
    for suffix in ('csv', 'json', 'parquet'):
        assert run('--out', tmp_path / f'joints.{suffix}', recording) == 0
    table = pyarrow.parquet.read_table(tmp_path / 'joints.parquet')
    assert tuple(table.column_names) == COLUMNS
    columns = table.to_pydict()
    with (tmp_path / 'joints.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    document = json.loads((tmp_path / 'joints.json').read_text())
    joints = [joint for frame in document['frames'] for joint in frame['joints']]
    assert len(rows) == len(joints) == table.num_rows
    for place, row in enumerate(rows):
        assert columns['joint'][place] == row['joint'] == joints[place]['name']
        for axis, name in enumerate('xyz'):
            assert columns[name][place] == pytest.approx(float(row[name]), abs=1e-6)
            assert joints[place]['position_m'][axis] == pytest.approx(float(row[name]), abs=1e-5)
    metadata = pyarrow.parquet.read_metadata(tmp_path / 'joints.parquet').metadata
    reports = json.loads(metadata[b'v2v_pose_reports'])
    assert reports == document['reports']


def test_a_table_of_another_kind_is_refused(tmp_path, folder, capsys):
    assert run('--out', tmp_path / 'joints.xlsx', folder) == 1
    assert '.csv, .json, .parquet' in capsys.readouterr().err


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    assert run('--out', tmp_path / 'joints.parquet', folder) == 1
    assert "pip install 'v2v_pose_ros[tables]'" in capsys.readouterr().err


def test_a_table_that_was_not_finished_is_not_there(tmp_path, folder):
    (folder / '002.png').write_text('no image')
    assert run('--out', tmp_path / 'joints.csv', folder) == 1
    assert sorted(tmp_path.iterdir()) == [folder]


def test_overlays_of_recordings_are_numbered(tmp_path, recording):
    assert run('--overlay', tmp_path / 'overlays', recording) == 0
    names = sorted(file.name for file in (tmp_path / 'overlays').iterdir())
    assert names == [f'bag_{number:06d}.png' for number in range(12)]
    picture = cv2.imread(str(tmp_path / 'overlays' / names[0]))
    assert picture.shape == (48, 64, 3)


def test_smoothed_joints_lie_between_the_measured_and_the_last(recording, capsys):
    measured, smoothed = (
        np.array(
            [
                [joint['position_m'] for joint in frame['joints']]
                for frame in document_of(capsys, *smooth, recording)['frames'][:5]
            ]
        )
        for smooth in ([], ['--smooth'])
    )
    np.testing.assert_array_equal(smoothed[0], measured[0])
    assert np.abs(smoothed - measured).max() > 1e-4
    least = np.minimum(smoothed[:-1], measured[1:]) - 2e-5
    most = np.maximum(smoothed[:-1], measured[1:]) + 2e-5
    assert ((least <= smoothed[1:]) & (smoothed[1:] <= most)).all()


def test_a_recording_without_rosbags_says_what_to_install(recording, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rosbags.rosbag2', None)
    assert run(recording) == 1
    assert 'pip install rosbags' in capsys.readouterr().err


def test_the_viewer_is_given_the_time_of_every_stage(tmp_path, recording):
    assert run('--viewer', tmp_path / 'view.rrd', recording) == 0
    chunks = list(RrdReader(str(tmp_path / 'view.rrd')).stream())
    rows = dict.fromkeys(('/camera/depth', '/latency/network'), 0)
    for chunk in chunks:
        if chunk.entity_path in rows:
            rows[chunk.entity_path] += chunk.num_rows
    assert rows == {'/camera/depth': 12, '/latency/network': 9}  # three frames are empty
