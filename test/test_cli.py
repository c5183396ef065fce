"""The command line as a user types it."""

import json
from pathlib import Path
import subprocess
import sys
from typing import get_args

import cv2
import numpy as np
import pytest

from v2v_pose_ros import defaults
from v2v_pose_ros.cli import main
from v2v_pose_ros.commands import evaluate, import_weights
from v2v_pose_ros.evaluation.conventions import PROTOCOLS
from v2v_pose_ros.importing.weights import JOINT_ORDERS_OF_DATASETS
from v2v_pose_ros.skeletons import HAND

ROOT = Path(__file__).parents[1]


def predict(folder, *arguments):
    """Run `v2v-pose predict` with the shipped model on frames of a folder."""
    camera = str(folder / 'camera.yaml')
    return main(['predict', '--model', 'hand_lite', '--camera', camera, *map(str, arguments)])


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp('frames') / 'hand'
    assert main(['synth', '--count', '3', '--seed', '11', str(folder)]) == 0
    return folder


def test_the_installed_command_runs():
    done = subprocess.run(
        [sys.executable, '-m', 'v2v_pose_ros.cli', 'models', '--json'],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    models = {model['name']: model for model in json.loads(done.stdout)['models']}
    assert models['hand_lite']['skeleton'] == 'hand'
    assert len(models['hand_lite']['sha256']) == 64
    assert done.stderr == ''


def test_help_waits_for_no_library():
    program = (
        'import sys; from v2v_pose_ros.cli import make_parser; make_parser().format_help(); '
        "print([name for name in ('torch', 'numpy', 'cv2', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == '[]\n'


def test_names_of_the_command_line_are_those_of_the_core():
    assert set(evaluate.DATASETS) == set(PROTOCOLS)
    assert set(import_weights.JOINT_ORDERS) == set(JOINT_ORDERS_OF_DATASETS)
    assert set(defaults.HANDEDNESSES) == set(get_args(defaults.Handedness))


def test_models_are_listed_for_people(capsys):
    assert main(['models']) == 0
    assert 'hand_lite: v2v, hand, cube 0.25 m' in capsys.readouterr().out


def test_predict_writes_joints_and_overlays(frames, tmp_path, capsys):
    out, overlay = tmp_path / 'joints.json', tmp_path / 'overlay'
    images = sorted(map(str, frames.glob('*.png')))
    assert predict(frames, '--out', out, '--overlay', overlay, *images) == 0
    found = json.loads(out.read_text())['frames']
    assert [frame['file'] for frame in found] == images
    assert any(frame['found'] for frame in found)
    for frame in found:
        if frame['found']:
            assert [joint['name'] for joint in frame['joints']] == list(HAND.names)
            assert all(0 <= joint['confidence'] <= 1 for joint in frame['joints'])
            assert all(0.1 < joint['position_m'][2] < 1.6 for joint in frame['joints'])
        picture = cv2.imread(str(overlay / Path(frame['file']).name))
        assert picture.shape == (480, 640, 3)
    assert capsys.readouterr().out.count('\n') == 3


def test_predict_prints_one_document_with_json(frames, capsys):
    assert predict(frames, '--json', frames / '000000.png') == 0
    assert len(json.loads(capsys.readouterr().out)['frames']) == 1


def test_an_empty_image_is_not_found(frames, tmp_path, capsys):
    path = tmp_path / 'empty.png'
    cv2.imwrite(str(path), np.zeros((480, 640), np.uint16))
    assert predict(frames, '--json', path) == 0
    assert json.loads(capsys.readouterr().out)['frames'] == [
        {'file': str(path), 'found': False, 'joints': []}
    ]


def write(path, image):
    cv2.imwrite(str(path), image)
    return str(path)


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda folder: str(folder / 'missing.png'), 'there is no file'),
        (lambda folder: write(folder / 'rgb.png', np.zeros((480, 640, 3), np.uint8)), '16 bits'),
        (lambda folder: write(folder / 'small.png', np.zeros((9, 9), np.uint16)), '640 x 480'),
        (
            lambda folder: (folder / 'text.png').write_text('x') and str(folder / 'text.png'),
            'cannot be read as an image',
        ),
    ],
)
def test_frames_that_are_none_fail_with_a_sentence(frames, tmp_path, capsys, make, words):
    assert predict(frames, make(tmp_path)) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith('v2v-pose predict: ')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['predict', '--model', 'nothing', '--camera', 'CAMERA', 'x.png'], "no model 'nothing'"),
        (['predict', '--model', 'hand_lite', '--camera', 'gone.yaml', 'x.png'], 'gone.yaml'),
        (['bench', '--model', 'hand_lite', '--device', 'abacus'], 'abacus'),
        (['bench', '--model', 'hand_lite', '--frames', '0'], '--frames is 0'),
        (['synth', '--count', '0', 'out'], '--count is 0'),
        (['train', 'gone.yaml'], 'gone.yaml'),
    ],
)
def test_failures_are_one_line_and_exit_code_1(frames, capsys, arguments, words):
    camera = str(frames / 'camera.yaml')
    assert main([camera if word == 'CAMERA' else word for word in arguments]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert 'Traceback' not in error


@pytest.mark.parametrize('arguments', [[], ['dance'], ['predict'], ['bench', '--frames', 'many']])
def test_wrong_use_is_exit_code_2(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_bench_reports_every_stage(capsys):
    assert main(['bench', '--model', 'hand_lite', '--frames', '3', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert {'crop', 'voxels', 'network', 'decoding'} <= report['detection']['stages_ms'].keys()
    assert report['tracking']['whole_ms']['p50'] > 0
    assert report['models'] == ['hand_lite']
    assert main(['bench', '--model', 'hand_lite', '--frames', '2']) == 0
    assert 'tracking' in capsys.readouterr().out


def test_training_from_the_command_line_can_be_continued(tmp_path, capsys):
    config = tmp_path / 'tiny.yaml'
    config.write_text(
        'name: tiny\nnetwork: {channels: [2, 2, 4, 4], stem: fold}\n'
        'codec: {cube_size: 0.25, input_size: 16}\ndata: {window: 64, workers: 1}\n'
        'batch: 2\nsteps: 4\ncheckpoint_every: 2\nvalidation_samples: 2\n'
    )
    command = ['train', str(config), '--out', str(tmp_path / 'run'), '--device', 'cpu']
    assert main([*command, '--minutes', '0']) == 0
    assert 'the same command continues' in capsys.readouterr().out
    assert main(command) == 0
    assert 'finished' in capsys.readouterr().out
    assert (tmp_path / 'run' / 'tiny.safetensors').is_file()


def test_training_without_its_packages_says_what_to_install(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith('v2v_pose_ros.training')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    assert main(['train', 'config/train/hand_lite.yaml']) == 1
    assert "pip install 'v2v_pose_ros[train]'" in capsys.readouterr().err
