"""Commands on the pages about recordings and the viewer run, or say what they need."""

from pathlib import Path
import re
import shlex

import numpy as np
import pytest
from recorded import FakeEstimator, FakeSource, Types, usual_messages, write_recording

from v2v_pose_ros.cli import main
from v2v_pose_ros.commands import predict, record

DOCS = Path(__file__).parents[1] / 'docs'
PAGES = ('recordings.md', 'viewer.md')
FOREIGN = ('rerun ', 'pip install ')  # commands of others, which need a screen or the network


def commands() -> list[str]:
    """Return the indented command lines of the pages, with what is said behind a hash."""
    lines = [
        line.strip()
        for page in PAGES
        for line in (DOCS / page).read_text().splitlines()
        if re.match(r' {4}\S', line)
    ]
    return [line for line in lines if re.match(r'(v2v-pose|ros2|rerun|pip) ', line)]


OURS = [line for line in commands() if line.startswith('v2v-pose') and 'needs a' not in line]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Go to a folder with what the commands name, and leave the networks away."""
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / 'my_bag', usual_messages(Types(), 4))
    for day in ('monday', 'tuesday'):
        write_recording(tmp_path / day / f'{day}_bag', usual_messages(Types(), 3))
    (tmp_path / 'folder').mkdir()
    depth = np.full((48, 64), 500, np.uint16)
    matrix = np.array([[60, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
    np.savez(tmp_path / 'folder' / 'a.npz', depth=depth, camera_matrix=matrix)
    monkeypatch.setattr(predict, 'load_estimator', lambda options: FakeEstimator())
    monkeypatch.setattr(record, 'settings_of', lambda options: FakeSource())
    return tmp_path


@pytest.mark.parametrize('line', OURS)
def test_a_command_of_the_pages_runs(place, line):
    words = shlex.split(line, comments=True)[1:]
    expanded = [
        str(path)
        for word in words
        for path in (sorted(place.glob(word)) if '*' in word else [word])
    ]
    assert main(expanded) == 0


def test_the_pages_have_commands_and_the_others_say_what_they_need():
    assert len(OURS) >= 8
    for line in set(commands()) - set(OURS):
        assert 'needs' in line or line.startswith(FOREIGN), line


def test_files_that_the_pages_link_to_exist():
    for page in PAGES:
        for target in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', (DOCS / page).read_text()):
            assert (DOCS / target).is_file(), target
