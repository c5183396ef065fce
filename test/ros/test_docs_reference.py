"""The pages of the reference that are written from the code are what the code says."""

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))

from write_reference import main, pages


@pytest.mark.parametrize('file', sorted(pages()), ids=lambda file: file.name)
def test_a_page_is_up_to_date(file: Path) -> None:
    assert file.read_text() == pages()[file], 'run `make reference`'


def test_a_page_that_is_out_of_date_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('write_reference.ROOT', tmp_path)
    monkeypatch.setattr('write_reference.pages', lambda: {tmp_path / 'page.md': 'new'})
    monkeypatch.setattr(sys, 'argv', ['write_reference.py', '--check'])
    assert main() == 1
    assert 'page.md is out of date: run `make reference`' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['write_reference.py'])
    assert main() == 0
    assert (tmp_path / 'page.md').read_text() == 'new'
