"""The environment is made when it must be, and only then."""

from pathlib import Path
import shutil
import sys

import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / 'tools'))
import setup_venv  # noqa: E402

STEPS = ['environment', 'packages', 'ros', 'interfaces', 'wrapper']


class RecordingSetUp(setup_venv.SetUp):
    """Runs no command; notes which steps are done, and fails or dies in one of them if told."""

    def __init__(
        self, root: Path, fail_in: str = '', error: type[BaseException] = OSError
    ) -> None:
        super().__init__(root, lock=-1)
        self.done: list[str] = []
        for name in STEPS:
            setattr(self, name, lambda name=name: self._record(name, fail_in, error))

    def _record(self, name: str, fail_in: str, error: type[BaseException]) -> None:
        if name == 'environment':
            shutil.rmtree(self.venv, ignore_errors=True)
            self.venv.mkdir()
        if name == fail_in:
            raise error(name)
        self.done.append(name)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(setup_venv, 'problems', lambda *_: [])
    for name in ('msg', 'underlay', 'requirements', 'tools'):
        (tmp_path / name).mkdir()
    files = ('CMakeLists.txt', 'package.xml', 'pyproject.toml', 'setup.py', 'msg/Skeleton.msg')
    tools = ('requirements/constraints.txt', 'requirements/ros.txt', 'tools/setup_venv.py')
    for name in files + tools:
        (tmp_path / name).write_text(name)
    return tmp_path


def set_up(checkout: Path) -> list[str]:
    """Run what is to be run and return the steps that were done."""
    recording = RecordingSetUp(checkout)
    if not recording.is_current():
        recording.run()
    return recording.done


def test_a_second_start_does_nothing(checkout: Path) -> None:
    assert set_up(checkout) == STEPS
    assert set_up(checkout) == []


@pytest.mark.parametrize(
    ('changed', 'redone'),
    [
        ('msg/Skeleton.msg', ['interfaces', 'wrapper']),
        ('msg/Added.msg', ['interfaces', 'wrapper']),
        ('underlay/tf2_ros/broadcaster.py', ['interfaces', 'wrapper']),
        ('CMakeLists.txt', ['interfaces', 'wrapper']),
        ('package.xml', ['interfaces', 'wrapper']),
        ('pyproject.toml', ['packages']),
        ('requirements/ros.txt', ['ros', 'interfaces', 'wrapper']),
        ('requirements/constraints.txt', ['packages', 'ros', 'interfaces', 'wrapper']),
        ('tools/setup_venv.py', ['packages', 'ros', 'interfaces', 'wrapper']),
        ('v2v_pose_ros/node.py', []),
    ],
)
def test_a_change_redoes_what_depends_on_it(
    checkout: Path, changed: str, redone: list[str]
) -> None:
    set_up(checkout)
    (checkout / changed).parent.mkdir(parents=True, exist_ok=True)
    (checkout / changed).write_text('changed')
    assert set_up(checkout) == redone


def test_a_checkout_that_was_moved_is_set_up_anew(checkout: Path, tmp_path: Path) -> None:
    set_up(checkout)
    moved = tmp_path / 'moved'
    shutil.copytree(checkout, moved, ignore=shutil.ignore_patterns('moved'))
    assert set_up(moved) == STEPS


@pytest.mark.parametrize('step', STEPS)
def test_a_set_up_that_was_killed_recovers(checkout: Path, step: str) -> None:
    with pytest.raises(OSError, match=step):  # leaves no chance to clean up, as a kill does
        RecordingSetUp(checkout, fail_in=step).run()
    redone = set_up(checkout)
    # A half-installed package cannot be told from a whole one, so these start from nothing.
    assert redone == (STEPS[STEPS.index(step) :] if step in ('interfaces', 'wrapper') else STEPS)
    assert set_up(checkout) == []


def test_a_set_up_that_failed_in_order_goes_on_where_it_was(checkout: Path) -> None:
    with pytest.raises(setup_venv.SetUpError):
        RecordingSetUp(checkout, fail_in='ros', error=setup_venv.SetUpError).run()
    assert set_up(checkout) == ['ros', 'interfaces', 'wrapper']


@pytest.mark.parametrize('content', ['', '{', '[]', '{"environment": 1}'])
def test_a_damaged_stamp_counts_as_none(checkout: Path, content: str) -> None:
    set_up(checkout)
    (checkout / '.venv' / 'set-up.json').write_text(content)
    assert set_up(checkout) == STEPS


def test_problems_of_the_machine_end_it_before_anything_is_made(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_venv, 'problems', lambda *_: ['No compiler.'])
    with pytest.raises(setup_venv.SetUpError, match='No compiler'):
        set_up(checkout)
    assert not (checkout / '.venv').exists()


def test_a_missing_network_is_one_sentence(tmp_path: Path) -> None:
    log = tmp_path / 'log'
    log.write_text(
        '$ pip install torch\nWARNING: Retrying ... NewConnectionError(... Temporary failure in '
        'name resolution)\nERROR: No matching distribution found for torch\n'
    )
    sentence = setup_venv.explanation(log)
    assert 'network' in sentence
    assert 'PIP_INDEX_URL' in sentence
    assert '\n' not in sentence


def test_another_failure_shows_the_end_of_the_last_command_only(tmp_path: Path) -> None:
    log = tmp_path / 'log'
    log.write_text('$ pip\nConnection refused\n$ colcon build\nfatal error: Python.h\n')
    text = setup_venv.explanation(log)
    assert 'Python.h' in text
    assert 'refused' not in text
    assert str(log) in text
