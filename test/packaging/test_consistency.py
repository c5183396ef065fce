"""Files that must agree with each other do."""

from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

import pytest

import v2v_pose_ros

REPOSITORY = Path(__file__).parents[2]
PACKAGE_XML = ElementTree.parse(REPOSITORY / 'package.xml').getroot()
CMAKE_LISTS = (REPOSITORY / 'CMakeLists.txt').read_text()


def dependencies() -> set[str]:
    return {element.text for element in PACKAGE_XML if 'depend' in element.tag and element.text}


def test_there_is_one_version() -> None:
    project = re.search(r'^version = "(.+)"', (REPOSITORY / 'pyproject.toml').read_text(), re.M)
    assert project is not None
    assert PACKAGE_XML.findtext('version') == project[1] == v2v_pose_ros.__version__


def test_every_message_is_generated() -> None:
    files = {f'msg/{file.name}' for file in (REPOSITORY / 'msg').iterdir()}
    assert files == set(re.findall(r'"(msg/\w+\.msg)"', CMAKE_LISTS))


def test_every_script_is_installed_and_executable() -> None:
    scripts = list((REPOSITORY / 'scripts').iterdir())
    installed = set(re.findall(r'^ +scripts/(\S+)$', CMAKE_LISTS, re.M))
    assert {script.name for script in scripts} == installed
    for script in scripts:
        assert script.stat().st_mode & 0o111
        assert script.read_text().startswith('#!/usr/bin/env python3\n')


def test_cmake_finds_only_declared_dependencies() -> None:
    found = set(re.findall(r'find_package\((\w+)', CMAKE_LISTS))
    assert found <= dependencies()


def test_ros_packages_that_the_nodes_import_are_declared() -> None:
    sources = list((REPOSITORY / 'v2v_pose_ros' / 'ros').glob('**/*.py'))
    imported = {
        name
        for source in sources
        for name in re.findall(r'^(?:from|import) (\w+)', source.read_text(), re.M)
    }
    ros_names = re.compile(r'\w+_msgs$|rclpy|tf2_ros|cv_bridge|sensor_msgs_py|builtin_interfaces')
    assert {name for name in imported if ros_names.match(name)} <= dependencies()


@pytest.mark.parametrize('package', sorted(REPOSITORY.glob('underlay/*/package.xml')))
def test_the_underlay_stands_in_for_declared_dependencies(package: Path) -> None:
    # Not released for every distribution, so used where it is there, and no dependency.
    optional = {'hri_msgs'}
    assert ElementTree.parse(package).findtext('name') in dependencies() | optional


def test_colcon_leaves_the_underlay_alone() -> None:
    assert (REPOSITORY / 'underlay' / 'COLCON_IGNORE').exists()
