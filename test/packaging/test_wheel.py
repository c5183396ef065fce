"""What `pip install` installs, from the checkout and from the source distribution."""

from pathlib import Path
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

import v2v_pose_ros

REPOSITORY = Path(__file__).parents[2]
PARTS = (
    'CHANGELOG.rst',
    'CMakeLists.txt',
    'LICENSE',
    'MANIFEST.in',
    'README.md',
    'config',
    'launch',
    'models',
    'msg',
    'package.xml',
    'pyproject.toml',
    'scripts',
    'setup.py',
    'v2v_pose_ros',
)


def build(kind: str, source: Path, target: Path) -> Path:
    """Build a 'wheel' or an 'sdist' of a source tree as pip does, without its network."""
    program = (
        f'from setuptools import build_meta; import sys; build_meta.build_{kind}(sys.argv[1])'
    )
    target.mkdir()
    subprocess.run(
        [sys.executable, '-c', program, str(target)],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree with links to the checked-in parts, which the builds may fill with theirs."""
    source = tmp_path_factory.mktemp('source')
    for name in PARTS:
        (source / name).symlink_to(REPOSITORY / name)
    return source


@pytest.fixture(scope='module')
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build('wheel', source, tmp_path_factory.mktemp('wheel') / 'dist')


@pytest.fixture(scope='module')
def wheel_names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope='module')
def unpacked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that comes out of the source distribution."""
    folder = tmp_path_factory.mktemp('sdist')
    with tarfile.open(build('sdist', source, folder / 'dist')) as archive:
        archive.extractall(folder, filter='data')
    (root,) = folder.glob('v2v_pose_ros-*')
    return root


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


def test_the_wheel_installs_into_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / 'venv', with_pip=False)
    python = tmp_path / 'venv' / 'bin' / 'python'
    pip = [sys.executable, '-m', 'pip', '--python', str(python), 'install', '--quiet']
    # The environment of ROS has the checkout on its path, where pip would find it installed.
    subprocess.run([*pip, '--no-index', '--no-deps', str(wheel)], check=True, env={})
    # What it depends on is not installed: the version and the help must not need it.
    for arguments, answer in (('--version', v2v_pose_ros.__version__), ('--help', 'predict')):
        program = subprocess.run(
            [tmp_path / 'venv' / 'bin' / 'v2v-pose', arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={},
        )
        assert answer in program.stdout


def test_the_source_distribution_gives_the_same_wheel(
    unpacked: Path, wheel_names: set[str], tmp_path: Path
) -> None:
    wheel = build('wheel', unpacked, tmp_path / 'dist')
    assert set(zipfile.ZipFile(wheel).namelist()) == wheel_names


def test_the_source_distribution_is_a_ros_package(unpacked: Path) -> None:
    for part in ('config', 'launch', 'models', 'msg', 'scripts'):
        wanted = {
            str(file.relative_to(REPOSITORY))
            for file in (REPOSITORY / part).rglob('*')
            if file.is_file() and '__pycache__' not in file.parts
        }
        found = {str(file.relative_to(unpacked)) for file in (unpacked / part).rglob('*')}
        assert wanted <= found
    for file in ('CMakeLists.txt', 'package.xml', 'LICENSE', 'CHANGELOG.rst'):
        assert (unpacked / file).is_file()
    assert not list(unpacked.rglob('*.pyc'))
