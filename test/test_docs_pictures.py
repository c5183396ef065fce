"""The pictures of the documentation can be drawn again, and every one of them is used."""

import importlib
from pathlib import Path
import sys

import cv2
from docs_pages import PAGES, REPOSITORY
import pytest

sys.path.insert(0, str(REPOSITORY / 'tools'))

IMAGES = REPOSITORY / 'docs' / 'images'


@pytest.mark.parametrize(
    ('tool', 'prefix'), [('draw_frames', 'frames_'), ('draw_method', 'method_')]
)
def test_a_tool_draws_the_pictures_that_are_shown(
    tool: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.setattr(sys, 'argv', [tool, str(tmp_path)])
    importlib.import_module(tool).main()
    shown = {file.name for file in IMAGES.glob(f'{prefix}*.png')}
    assert {file.name for file in tmp_path.iterdir()} == shown
    for name in shown:
        drawn, kept = cv2.imread(str(tmp_path / name)), cv2.imread(str(IMAGES / name))
        assert drawn.shape == kept.shape
        assert drawn.std() > 10  # not one colour


def test_every_picture_is_on_a_page() -> None:
    text = ''.join((REPOSITORY / page).read_text() for page in PAGES)
    unused = [file.name for file in IMAGES.iterdir() if file.name not in text]
    assert not unused, unused
