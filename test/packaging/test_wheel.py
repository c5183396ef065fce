"""What `pip install .` installs."""

from pathlib import Path
import subprocess
import sys
import zipfile

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel from a copy of the checked-in parts and list its files."""
    pytest.importorskip('setuptools')
    directory = tmp_path_factory.mktemp('wheel')
    source = directory / 'source'
    source.mkdir()
    parts = ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE', 'v2v_pose_ros', 'models', 'msg')
    for name in parts:
        (source / name).symlink_to(REPOSITORY / name)
    program = (
        'from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))'
    )
    subprocess.run(
        [sys.executable, '-c', program, str(directory)],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(zipfile.ZipFile(next(directory.glob('*.whl'))).namelist())


def test_the_wheel_holds_every_module(wheel_names: set[str]) -> None:
    modules = {
        str(file.relative_to(REPOSITORY)) for file in (REPOSITORY / 'v2v_pose_ros').rglob('*.py')
    }
    assert modules <= wheel_names


def test_the_wheel_holds_models_meshes_and_message_definitions(wheel_names: set[str]) -> None:
    models = {
        f'v2v_pose_ros/models/{file.name}'
        for file in (REPOSITORY / 'models').glob('*.safetensors')
    }
    assets = {
        str(file.relative_to(REPOSITORY))
        for file in (REPOSITORY / 'v2v_pose_ros' / 'synthesis' / 'assets').glob('*.npz')
    }
    messages = {
        f'v2v_pose_ros/recordings/msg/{file.name}' for file in (REPOSITORY / 'msg').glob('*.msg')
    }
    assert models | assets | messages <= wheel_names


def test_the_source_tree_holds_no_copy_of_the_models(wheel_names: set[str]) -> None:
    assert not list((REPOSITORY / 'v2v_pose_ros').glob('models/*.safetensors'))


def test_the_wheel_holds_nothing_else(wheel_names: set[str]) -> None:
    assert {name.split('/')[0].split('-')[0] for name in wheel_names} == {'v2v_pose_ros'}
