"""Whether commands of the documentation fit the programs that they call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import importlib.util
from pathlib import Path
import re
import sys

from docs_pages import Command, REPOSITORY

from v2v_pose_ros.cli import make_parser

sys.path.insert(0, str(REPOSITORY / 'tools'))

from launch_files import launch_arguments

FOREIGN = frozenset(
    [
        'cd',
        'colcon',
        'docker',
        'export',
        'git',
        'mkdir',
        'nvpmodel',
        'rerun',
        'rosdep',
        'rviz2',
        'source',
        'sudo',
        'taskset',
        'tensorboard',
        'grep',
    ]
)
FOREIGN_ROS = frozenset(['bag', 'interface', 'node', 'pkg', 'security', 'topic'])
TRANSITIONS = frozenset(['configure', 'activate', 'deactivate', 'cleanup', 'shutdown'])
NODES = {'v2v_pose': 'pose_node', 'v2v_teleop': 'teleop_node', 'v2v_pose_viewer': 'viewer_node'}


def check(command: Command) -> None:
    """Fail where a command names something that is not there.

    Indented blocks hold outputs and drawings, too, so that what is unknown is passed over there.
    """
    name = Path(command.words[0]).name
    if name in CHECKS:
        CHECKS[name](command)
    elif command.fenced:
        assert name in FOREIGN, f'{name} is not known: check it, or add it to the foreign ones'


def _v2v_pose(command: Command) -> None:
    make_parser().parse_args(command.words[1:])


def _make(command: Command) -> None:
    makefile = (REPOSITORY / 'Makefile').read_text()
    targets = re.search(r'^\.PHONY: (.*)$', makefile, re.M)
    assert targets is not None
    for word in command.words[1:]:
        variable, assigned, _ = word.partition('=')
        if assigned:
            assert re.search(rf'\b{variable}\b', makefile), f'make knows no variable {variable}'
        else:
            assert word in targets[1].split(), f'make knows no target {word}'


def _python(command: Command) -> None:
    words = command.words[1:]
    if words[0] == '-m':
        assert importlib.util.find_spec(words[1]), f'there is no module {words[1]}'
    elif words[0] != '-c' and not command.is_marked:
        file = REPOSITORY / words[0]
        assert file.is_file(), f'there is no file {words[0]}'
        source = file.read_text()
        for option in (word for word in words[1:] if word.startswith('--')):
            assert f"'{option}'" in source, f'{words[0]} has no option {option}'


def _torchrun(command: Command) -> None:
    words = command.words
    module = words.index('-m')
    assert words[module + 1] == 'v2v_pose_ros.cli'
    make_parser().parse_args(words[module + 2 :])


def _pip(command: Command) -> None:
    project = (REPOSITORY / 'pyproject.toml').read_text()
    for extras in re.findall(r'(?:\.|v2v_pose_ros)\[([\w,]+)\]', ' '.join(command.words)):
        for extra in extras.split(','):
            assert re.search(rf'^{extra} = \[', project, re.M), f'there is no extra {extra}'


def _ros2(command: Command) -> None:
    verb, words = command.words[1], command.words[2:]
    if verb == 'launch' and words[0] == 'v2v_pose_ros':
        _launch(words[1], words[2:])
    elif verb == 'run' and words[0] == 'v2v_pose_ros':
        _run(words[1], words[2:])
    elif verb == 'param':
        _parameter(command, words)
    elif verb == 'lifecycle':
        assert words[1].lstrip('/') in NODES
        assert words[2] in TRANSITIONS
    elif verb in ('topic', 'service'):
        for node, name in re.findall(r'/(v2v_\w+)/([\w/]+)', ' '.join(words)):
            assert node in NODES
            assert _is_offered(name), f'no node has a topic or service ~/{name}'
    else:
        assert verb in FOREIGN_ROS or verb in ('launch', 'run'), f'ros2 {verb} is not known'


def _launch(file: str, words: Sequence[str]) -> None:
    path = REPOSITORY / 'launch' / file
    assert path.is_file(), f'there is no launch file {file}'
    arguments = {each.name: each for each in launch_arguments(path)}
    for word in words:
        name, assigned, value = word.partition(':=')
        if not assigned:
            assert word == '--show-args', f'{word} is no argument of a launch file'
            continue
        assert name in arguments, f'{file} has no argument {name}'
        choices = arguments[name].choices
        assert not choices or value in choices, f'{name} is one of {choices}'


def _run(executable: str, words: Sequence[str]) -> None:
    if executable == 'v2v-pose':
        if words:
            make_parser().parse_args(words)
        return
    assert (REPOSITORY / 'scripts' / executable).is_file(), f'there is no executable {executable}'
    known = {name for name, _ in parameters(executable)}
    for name in re.findall(r'-p (\w+):=', ' '.join(words)):
        assert name in known, f'{executable} has no parameter {name}'


def _parameter(command: Command, words: Sequence[str]) -> None:
    known = dict(parameters(NODES[words[1].lstrip('/')]))
    if words[2] == 'NAME':
        return
    assert words[2] in known, f'{words[1]} has no parameter {words[2]}'
    if words[0] == 'set':
        assert known[words[2]], f'{words[2]} cannot be set while the node runs'


def parameters(executable: str) -> Iterator[tuple[str, bool]]:
    """Yield a node's parameters and whether they are live, by the page written from the code."""
    page = (REPOSITORY / 'docs' / 'reference' / 'parameters.md').read_text()
    section = re.search(rf'^## {executable}\n(.*?)(?=^## |\Z)', page, re.M | re.S)
    assert section is not None, f'{executable} has no parameters'
    for row in re.findall(r'^\| `(\w+)` \|(.*)\|$', section[1], re.M):
        yield row[0], row[1].split(' | ')[3].strip() == 'yes'


def _is_offered(name: str) -> bool:
    sources = (REPOSITORY / 'v2v_pose_ros' / 'ros').rglob('*.py')
    last = name.rpartition('/')[2]
    return any(re.search(rf"[/']{last}'", source.read_text()) for source in sources)


CHECKS: dict[str, Callable[[Command], None]] = {
    'v2v-pose': _v2v_pose,
    'make': _make,
    'python': _python,
    'python3': _python,
    'torchrun': _torchrun,
    'pip': _pip,
    'ros2': _ros2,
}
