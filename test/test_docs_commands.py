"""Commands that the documentation shows exist as they are shown, and run or say what they need."""

from pathlib import Path
import shutil

import cv2
from docs_checks import check
from docs_pages import blocks, Command, commands, SHELL
import numpy as np
import pytest
from recorded import FakeEstimator, FakeSource, Types, usual_messages, write_recording
import yaml

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.cli import main
from v2v_pose_ros.commands import predict, record
from v2v_pose_ros.synthesis import export

ALL = list(commands())
OURS = [each for each in ALL if Path(each.words[0]).name == 'v2v-pose']
RUN = [each for each in OURS if not each.is_marked]


def test_there_are_commands() -> None:
    assert len({each.page for each in ALL}) > 15
    assert len(OURS) > 25
    assert len(RUN) > 15


def test_commands_fit_what_they_call() -> None:
    problems = []
    for command in ALL:
        try:
            check(command)
        except (AssertionError, SystemExit, ValueError, LookupError) as error:
            problems.append(f'{command}\n    {error}')
    assert not problems, '\n'.join(problems)


@pytest.mark.parametrize(
    'words',
    [
        ('v2v-pose', 'predict', '--model', 'hand_lite', '--no-such-option', 'a.png'),
        ('make', 'no-such-target'),
        ('python', 'benchmarks/no_such_file.py'),
        ('python', 'benchmarks/gpu.py', '--no-such-option'),
        ('pip', 'install', '.[no_such_extra]'),
        ('ros2', 'launch', 'v2v_pose_ros', 'hand.launch.py', 'no_such_argument:=1'),
        ('ros2', 'launch', 'v2v_pose_ros', 'hand.launch.py', 'viewer:=no_such_viewer'),
        ('ros2', 'run', 'v2v_pose_ros', 'no_such_executable'),
        ('ros2', 'param', 'set', '/v2v_pose', 'no_such_parameter', '1'),
        ('ros2', 'param', 'set', '/v2v_pose', 'model', 'body_lite'),
        ('ros2', 'topic', 'echo', '/v2v_pose/no_such_topic'),
        ('no-such-program',),
    ],
    ids=' '.join,
)
def test_commands_that_are_wrong_are_found(words: tuple[str, ...]) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        check(Command('page.md', 1, words, '', fenced=True))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with what the commands name, and leave networks and long renderings away."""
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / 'my_bag', usual_messages(Types(), 4))
    for day in ('monday', 'tuesday'):
        write_recording(tmp_path / day / f'{day}_bag', usual_messages(Types(), 3))
    depth = np.full((48, 64), 500, np.uint16)
    camera = Camera(64, 48, 60.0, 60.0, 31.5, 23.5)
    (tmp_path / 'folder').mkdir()
    np.savez(tmp_path / 'folder' / 'a.npz', depth=depth, camera_matrix=camera.matrix)
    for folder in (tmp_path, tmp_path / 'frames'):
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / 'frame.png'), depth)
        (folder / 'camera.yaml').write_text(yaml.safe_dump(export.camera_document(camera)))
    monkeypatch.setattr(predict, 'load_estimator', lambda options: FakeEstimator())
    monkeypatch.setattr(record, 'settings_of', lambda options: FakeSource())
    write = export.write_frames
    monkeypatch.setattr(export, 'write_frames', lambda folder, count, *how: write(folder, 1, *how))
    return tmp_path


@pytest.mark.parametrize('command', RUN, ids=str)
def test_a_command_that_needs_nothing_runs(place: Path, command: Command) -> None:
    if command.words[1] == 'synth':
        shutil.rmtree(place / 'frames')
    expanded = [
        str(path)
        for word in command.words[1:]
        for path in (sorted(place.glob(word)) if '*' in word else [word])
    ]
    assert main(expanded) == 0


def test_what_is_not_run_says_what_it_needs() -> None:
    # docs/index.md says of these that they need ROS 2 or the network.
    explained = {'ros2', 'rosdep', 'colcon', 'pip', 'git', 'docker', 'sudo'}
    shell = {'cd', 'export', 'grep', 'mkdir', 'source'}
    run_elsewhere = {'v2v-pose', 'make'}
    silent = [
        str(each)
        for each in ALL
        if each.fenced and not each.is_marked
        if Path(each.words[0]).name not in explained | shell | run_elsewhere
        if each.words[1:3] != ('-m', 'venv')
    ]
    assert not silent, silent


def test_every_language_of_commands_is_one_that_is_read() -> None:
    known = {'', 'python', 'yaml', 'text', 'xml', *SHELL}
    unknown = {block.language for block in blocks()} - known
    assert all(language.startswith('{') for language in unknown), unknown
