"""Each thing a machine lacks is named in one sentence, with what to do about it."""

from collections.abc import Callable
from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))
import machine_checks as checks


@pytest.mark.parametrize(
    ('check', 'found', 'remedy'),
    [
        (checks.check_platform, ('Linux', 'aarch64'), 'colcon'),
        (checks.check_platform, ('Darwin', 'x86_64'), 'README.md'),
        (checks.check_python, ((3, 9),), 'make PYTHON='),
        (checks.check_python, ((3, 15),), 'make PYTHON='),
        (checks.check_glibc, ('glibc', '2.27'), 'Ubuntu 20.04'),
        (checks.check_glibc, ('', ''), 'container'),
        (checks.check_venv_module, (False,), 'apt install python3-venv'),
        (checks.check_compiler, (None, None), 'apt install gcc'),
        (checks.check_compiler, ('/usr/bin/cc', None), 'C++ compiler'),
        (checks.check_headers, (Path('/nowhere'),), 'apt install python3-dev'),
        (checks.check_make, (None,), 'apt install make'),
        (checks.check_disk, (Path('/'), 1.0, 6.0), 'free some'),
    ],
)
def test_what_is_missing_is_named_in_one_sentence(
    check: Callable[..., str | None], found: tuple, remedy: str
) -> None:
    sentence = check(*found)
    assert sentence is not None
    assert remedy in sentence
    assert sentence.endswith('.')
    assert '\n' not in sentence


@pytest.mark.parametrize(
    ('check', 'found'),
    [
        (checks.check_platform, ('Linux', 'x86_64')),
        (checks.check_python, ((3, 10),)),
        (checks.check_python, ((3, 14),)),
        (checks.check_glibc, ('glibc', '2.28')),
        (checks.check_glibc, ('glibc', '2.36')),
        (checks.check_venv_module, (True,)),
        (checks.check_compiler, ('/usr/bin/cc', '/usr/bin/c++')),
        (checks.check_make, ('/usr/bin/make',)),
        (checks.check_disk, (Path('/'), 6.0, 6.0)),
    ],
)
def test_what_will_do_is_passed_over(check: Callable[..., str | None], found: tuple) -> None:
    assert check(*found) is None


def test_python_headers_are_recognised(tmp_path: Path) -> None:
    (tmp_path / 'Python.h').touch()
    assert checks.check_headers(tmp_path) is None


def test_a_compiler_named_by_the_user_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CC', 'no-such-compiler -O2')
    found = checks.problems(Path('/'), needed_gb=0.0)
    assert any('No C compiler' in sentence for sentence in found)
