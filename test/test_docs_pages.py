"""Python and YAML on the pages of the documentation fit the package, and the site builds."""

import ast
import importlib
from pathlib import Path
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import cv2
from docs_checks import NODES, parameters
from docs_pages import Block, blocks, REPOSITORY
import numpy as np
import pytest
import yaml

from v2v_pose_ros.datasets.conventions import CONVENTIONS
from v2v_pose_ros.training.config import load_config

PYTHON = [block for block in blocks() if block.language == 'python']
WHOLE = [block for block in PYTHON if '/own-' in block.page or 'coordinates' in block.page]
YAML = [block for block in blocks() if block.language == 'yaml']


def named(block: Block) -> str:
    return f'{block.page}:{block.line}'


@pytest.mark.parametrize('block', PYTHON, ids=named)
def test_what_python_imports_from_the_package_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        if not node.module.startswith('v2v_pose_ros'):
            continue
        if node.module == 'v2v_pose_ros.msg':  # generated, with ROS alone
            messages = {file.stem for file in (REPOSITORY / 'msg').glob('*.msg')}
            assert {alias.name for alias in node.names} <= messages
            continue
        module = importlib.import_module(node.module)
        for alias in node.names:
            assert hasattr(module, alias.name), f'{node.module} has no {alias.name}'


@pytest.fixture
def own_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the files there that the page on datasets reads, and forget its dataset afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CONVENTIONS, 'mine', CONVENTIONS['nyu'])  # the page enters its own
    folder = tmp_path / 'datasets' / 'mine' / 'train'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / 'a.png'), np.full((480, 640), 500, np.uint16))
    numbers = ' '.join(['10.0 20.0 500.0'] * 21)
    (folder / 'labels.txt').write_text(f'a.png {numbers}\n')


@pytest.mark.parametrize('block', WHOLE, ids=named)
def test_whole_programs_run(block: Block, own_frames: None) -> None:
    names: dict[str, object] = {}
    exec(compile(block.text, named(block), 'exec'), names)
    if 'frame' in names:
        frame = names['frame']
        np.testing.assert_allclose(frame.joints, np.tile([0.01, 0.02, 0.5], (21, 1)), atol=1e-6)
        assert frame.depth.shape == (480, 640)


@pytest.mark.parametrize('block', YAML, ids=named)
def test_yaml_is_understood(block: Block, tmp_path: Path) -> None:
    values = yaml.safe_load(block.text)
    if '/**' in values:
        known = {name for node in NODES.values() for name, _ in parameters(node)}
        assert set(values['/**']['ros__parameters']) <= known
    else:
        file = tmp_path / 'experiment.yaml'
        file.write_text(block.text)
        assert load_config(file).name == values['name']


def test_there_are_blocks() -> None:
    assert len(WHOLE) >= 4
    assert len(YAML) >= 3


@pytest.mark.parametrize('page', ['README.md', 'models/README.md', 'underlay/README.md'])
def test_links_of_pages_outside_the_site_lead_somewhere(page: str) -> None:
    file = REPOSITORY / page
    for link in re.findall(r'\]\(([^)\s]+)\)', file.read_text()):
        if '://' in link:
            continue
        path, _, anchor = link.partition('#')
        target = file.parent / path
        assert target.exists(), f'{page} links to {link}'
        if anchor:
            titles = re.findall(r'^#+ (.*)$', target.read_text(), re.M)
            anchors = {re.sub(r'[^\w -]', '', title).lower().replace(' ', '-') for title in titles}
            assert anchor in anchors, f'{page} links to {link}'


def test_every_topic_and_service_that_the_policy_allows_is_described() -> None:
    page = (REPOSITORY / 'docs' / 'reference' / 'topics.md').read_text()
    policy = ElementTree.parse(REPOSITORY / 'config' / 'sros2_policy.xml')
    names = [each.text or '' for kind in ('topic', 'service') for each in policy.iter(kind)]
    assert len(names) > 20
    usual = {'clock', 'parameter_events', 'rosout'}
    missing = [name for name in names if name not in usual and not re.search(f'`/?{name}`', page)]
    assert not missing, missing


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    makefile = (REPOSITORY / 'Makefile').read_text()
    options = re.search(r'^SPHINX = \S+ -m sphinx (.*)$', makefile, re.M)
    assert options is not None
    command = [sys.executable, '-m', 'sphinx', *options[1].split(), '-b', 'html']
    command += [str(REPOSITORY / 'docs'), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'index.html').is_file()
