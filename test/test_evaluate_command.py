"""`v2v-pose evaluate`: published figures, tables, pictures."""

import json
from pathlib import Path
import time

import cv2
from dataset_files import write_icvl, write_itop, write_msra
import numpy as np
import pytest

from v2v_pose_ros.cli import main
from v2v_pose_ros.datasets.conventions import CONVENTIONS
from v2v_pose_ros.evaluation.conventions import PROTOCOLS
from v2v_pose_ros.evaluation.results import write_results

FILES = {
    'icvl': ('icvl_test_groundtruth_label.txt', 'CVPR18_ICVL_V2V_PoseNet.txt'),
    'nyu': ('nyu_test_groundtruth_label.txt', 'CVPR18_NYU_V2V_PoseNet.txt'),
    'itop_front': ('groundtruth_world.txt', 'v2v_reimplementation_world.txt'),
}


def published(test_data: Path, dataset: str) -> list[str]:
    """Return the arguments that score published predictions."""
    folder = test_data / 'evaluation' / dataset
    if not folder.is_dir():
        pytest.skip(f'there is no {folder}')
    truth, found = (str(folder / name) for name in FILES[dataset])
    return ['evaluate', '--dataset', dataset, '--ground-truth', truth, '--predictions', found]


def scored(command: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert main([*command, '--json']) == 0
    (method,) = json.loads(capsys.readouterr().out)['methods']
    return method


def within(method: dict, millimetres: float) -> str:
    place = method['success']['thresholds_mm'].index(millimetres)
    return f'{100 * method["success"]["max_frame"][place]:.2f}'


def test_icvl_is_as_published(test_data, capsys):
    command = published(test_data, 'icvl')
    method = scored(command, capsys)
    assert f'{method["mean_error_mm"]:.3f}' == '6.284'
    assert within(method, 20) == '84.65'
    assert main(command) == 0
    table = capsys.readouterr().out
    assert '1,596 frames (the whole test set), 16 joints' in table
    assert '6.284' in table
    assert '84.65 %' in table


def test_nyu_is_as_published(test_data, capsys):
    command = published(test_data, 'nyu')
    method = scored(command, capsys)
    assert f'{method["mean_error_mm"]:.3f}' == '8.419'
    assert within(method, 20) == '71.24'
    parts = [(part['frames'], f'{part["mean_error_mm"]:.2f}') for part in method['parts']]
    assert parts == [(2440, '4.22'), (5812, '10.18')]
    assert main(command) == 0
    table = capsys.readouterr().out
    for figure in ('8.419', '71.24 %', '4.22', '10.18'):
        assert figure in table


def test_itop_is_as_published(test_data, capsys):
    command = published(test_data, 'itop_front')
    method = scored(command, capsys)
    assert f'{method["mean_error_mm"] / 10:.2f}' == '6.95'
    assert f'{100 * method["map_10cm"]:.2f}' == '85.40'
    rows = {part: f'{100 * share:.2f}' for part, share in method['body_parts_10cm'].items()}
    assert rows == {
        'head': '98.17',
        'neck': '99.03',
        'shoulders': '95.47',
        'elbows': '75.65',
        'hands': '63.01',
        'torso': '98.27',
        'hip': '89.37',
        'knees': '89.32',
        'feet': '79.95',
    }
    assert main(command) == 0
    table = capsys.readouterr().out
    assert '6.95' in table
    assert '85.40 %' in table


def test_nyu_is_scored_in_less_than_a_second(test_data, capsys):
    command = published(test_data, 'nyu')
    assert main([*command, '--json']) == 0  # imports what it needs
    start = time.process_time()
    assert main([*command, '--json']) == 0
    assert time.process_time() - start < 1
    capsys.readouterr()


def make_results(folder: Path, dataset: str, methods: int, frames: int = 40) -> list[str]:
    """Write a ground truth and predictions and return the arguments that score them."""
    generator = np.random.default_rng(8)
    protocol = PROTOCOLS[dataset]
    size, depth = (0.6, 3.0) if protocol.people else (0.07, 0.4)
    shape = (frames, len(protocol.skeleton), 3)
    truth = generator.normal(0, size, shape) + np.array([0, 0, depth])
    truth[..., 2] = truth[..., 2].clip(depth / 2)
    write_results(folder / 'truth.txt', truth, protocol)
    paths = []
    for number in range(methods):
        paths.append(str(folder / f'method {number}.txt'))
        found = truth + generator.normal(0, 0.05 * size * (1 + number), truth.shape)
        write_results(Path(paths[-1]), found, protocol)
    command = ['evaluate', '--dataset', dataset, '--ground-truth', str(folder / 'truth.txt')]
    return [*command, '--predictions', *paths]


@pytest.mark.parametrize('dataset', PROTOCOLS)
def test_methods_stand_side_by_side(dataset, tmp_path, capsys):
    command = make_results(tmp_path, dataset, 2)
    assert main([*command, '--names', 'ours', 'theirs']) == 0
    table = capsys.readouterr().out
    assert table.startswith(f'{CONVENTIONS[dataset].title}: 40 frames, ')
    assert max(map(len, table.splitlines())) < 125
    for joint in CONVENTIONS[dataset].skeleton.names:
        assert f'\n{joint} ' in table
    assert main([*command, '--json']) == 0
    first, second = json.loads(capsys.readouterr().out)['methods']
    assert (first['name'], second['name']) == ('method 0', 'method 1')
    assert first['mean_error_mm'] < second['mean_error_mm']


@pytest.mark.parametrize('dataset', ['icvl', 'msra', 'itop_top'])
@pytest.mark.parametrize('methods', [1, 3])
def test_figures_are_written(dataset, methods, tmp_path, capsys):
    path = tmp_path / 'new' / 'figure.png'
    assert main([*make_results(tmp_path, dataset, methods), '--plot', str(path)]) == 0
    picture = cv2.imread(str(path))
    assert picture.shape[1] == pytest.approx(7.16 * 300, abs=2)
    assert picture.std() > 10
    capsys.readouterr()


def test_figures_come_as_pdf_too(tmp_path, capsys):
    command = make_results(tmp_path, 'nyu', 2)
    assert main([*command, '--plot', str(tmp_path / 'figure.pdf')]) == 0
    assert (tmp_path / 'figure.pdf').read_bytes().startswith(b'%PDF')
    assert main([*command, '--plot', str(tmp_path / 'figure.docx')]) == 1
    assert 'figure.docx is no kind of picture; known are' in capsys.readouterr().err


@pytest.mark.parametrize('dataset', PROTOCOLS)
def test_skeletons_are_drawn_in_3d(dataset, tmp_path, capsys):
    command = make_results(tmp_path, dataset, 1)
    assert main([*command, '--draw', str(tmp_path / 'out'), '--draw-count', '2']) == 0
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['000000.png', '000039.png']
    assert cv2.imread(str(tmp_path / 'out' / names[0])).shape == (465, 900, 3)
    capsys.readouterr()


@pytest.mark.parametrize('dataset', ['icvl', 'msra', 'itop_front'])
def test_skeletons_are_drawn_on_the_datasets_frames(dataset, tmp_path, capsys):
    protocol, data = PROTOCOLS[dataset], tmp_path / 'data'
    count = {'icvl': 3, 'msra': 9 * 17, 'itop_front': 2}[dataset]
    command = make_results(tmp_path, dataset, 1, count)
    if dataset == 'icvl':
        write_icvl(data, np.tile([100.0, 100.0, 400.0], (3, 16, 1)))
    elif dataset == 'msra':
        write_msra(data, dict.fromkeys(range(9), np.full((17, 21, 3), -300.0)), 90, 90, 400)
    else:
        pytest.importorskip('h5py')
        write_itop(data, np.full((3, 15, 3), 3.0), [1, 0, 1], 90, 90)
    draw = ['--draw', str(tmp_path / 'out'), '--draw-count', '1', '--data', str(data)]
    assert main([*command, *draw]) == 0
    picture = cv2.imread(str(tmp_path / 'out' / '000000.png'))
    assert picture.shape == (930, 900, 3)
    (tmp_path / 'less').mkdir()
    command = make_results(tmp_path / 'less', dataset, 1, count - 1)
    assert main([*command, *draw]) == 1
    error = capsys.readouterr().err
    assert f'has {count} valid frames' in error
    assert f'has {count - 1}' in error
    assert protocol.test_set(count) is None


@pytest.mark.parametrize('arguments', [['--dataset', 'mnist'], ['--dataset', 'nyu']])
def test_wrong_use_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as stop:
        main(['evaluate', *arguments])
    assert stop.value.code == 2


def test_failures_are_one_line_and_exit_code_1(tmp_path, capsys):
    command = make_results(tmp_path, 'nyu', 1)
    path = Path(command[-1])
    lines = path.read_text().splitlines()
    lines[6] = lines[6].replace(lines[6].split()[4], 'nan', 1)
    path.write_text('\n'.join(lines))
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error == (
        f'v2v-pose evaluate: {path}:7: number 5 is nan; every coordinate must be finite\n'
    )
    assert main([*make_results(tmp_path, 'nyu', 1), '--draw', 'x', '--draw-count', '0']) == 1
    assert '0 frames cannot be drawn' in capsys.readouterr().err
