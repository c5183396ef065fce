"""The Dockerfile takes what is there, and nothing that it needs is hidden from it."""

from pathlib import Path
import re

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / 'docker' / 'Dockerfile').read_text()
IGNORE = (REPOSITORY / 'docker' / 'Dockerfile.dockerignore').read_text().splitlines()
SHOWN = {line[1:] for line in IGNORE if line.startswith('!')}


def test_every_file_that_is_copied_exists_and_is_shown_to_docker() -> None:
    sources = re.findall(r'^COPY (\S+) ', DOCKERFILE, re.M)
    assert len(sources) >= 4
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert source == '.' or source in SHOWN


def test_what_cmake_installs_is_shown_to_docker() -> None:
    cmake = (REPOSITORY / 'CMakeLists.txt').read_text()
    folders = {'v2v_pose_ros', *re.findall(r'^ +"?(msg|scripts)/', cmake, re.M)}
    shared = re.search(r'install\(DIRECTORY ((?:\w+ ?)+)\n', cmake)
    assert shared is not None
    assert folders | set(shared[1].split()) | {'CMakeLists.txt', 'package.xml'} <= SHOWN


def test_what_is_shown_exists() -> None:
    assert 'v2v_pose_ros' in SHOWN
    for path in SHOWN:
        assert (REPOSITORY / path).exists()


def test_the_distribution_keeps_its_own_numpy() -> None:
    constraints = (REPOSITORY / 'requirements' / 'constraints.txt').read_text()
    pattern = re.search(r"sed -i '/(\S+)/d'", DOCKERFILE)
    assert pattern is not None
    dropped = [line for line in constraints.splitlines() if re.search(pattern[1], line)]
    assert dropped
    assert all(line.startswith('numpy==') for line in dropped)
