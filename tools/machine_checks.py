"""What a machine must offer for ``make`` to set up ROS 2 from PyPI.

Each check takes what was found; it returns None when that will do, else one sentence. Only the
standard library is used, in a form that a Python too old for the package can still run.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
import platform
import shutil
import sys
import sysconfig

SUPPORTED_PYTHON = ((3, 10), (3, 14))
OLDEST_GLIBC = (2, 28)  # the wheels are manylinux_2_28


def dotted(version: tuple[int, ...]) -> str:
    """Write a version as people do, 3.11 for (3, 11)."""
    return '.'.join(map(str, version))


def check_platform(system: str, machine: str) -> str | None:
    """Tell whether ROS wheels exist for this operating system and processor."""
    if (system, machine) == ('Linux', 'x86_64'):
        return None
    return (
        f'ROS 2 wheels exist for x86-64 Linux only and this is {machine} {system}: install ROS 2 '
        'with apt and build this package with colcon, as README.md describes.'
    )


def check_python(version: tuple[int, int]) -> str | None:
    """Tell whether ROS wheels exist for this version of Python."""
    oldest, newest = SUPPORTED_PYTHON
    if oldest <= version <= newest:
        return None
    return (
        f'Python {dotted(oldest)} to {dotted(newest)} is needed and this is {dotted(version)}: '
        'install one of these and name it, as in `make PYTHON=python3.12 demo`.'
    )


def check_glibc(library: str, version: str) -> str | None:
    """Tell whether the C library is one that the wheels run on."""
    numbers = tuple(int(part) for part in version.split('.')[:2] if part.isdigit())
    if library == 'glibc' and numbers >= OLDEST_GLIBC:
        return None
    return (
        f'ROS 2 wheels need glibc {dotted(OLDEST_GLIBC)} or newer and this system has '
        f'{" ".join((library, version)).strip() or "another C library"}: use Debian 10, '
        'Ubuntu 20.04 or anything newer, or a container of one.'
    )


def check_venv_module(has_ensurepip: bool) -> str | None:
    """Tell whether this Python can make virtual environments; Debian packs that separately."""
    if has_ensurepip:
        return None
    return (
        'This Python cannot make virtual environments, because its module ensurepip is missing: '
        '`sudo apt install python3-venv`.'
    )


def check_compiler(c_compiler: str | None, cxx_compiler: str | None) -> str | None:
    """Tell whether C and C++ can be compiled; the code of ROS messages needs both."""
    if c_compiler and cxx_compiler:
        return None
    return (
        f'No {"C++" if c_compiler else "C"} compiler was found, which building the ROS messages '
        'needs: `sudo apt install gcc g++ python3-dev`.'
    )


def check_headers(include: Path) -> str | None:
    """Tell whether the C headers of this Python are there."""
    if (include / 'Python.h').is_file():
        return None
    return (
        f'The C headers of this Python are missing (no {include}/Python.h), which building the '
        'ROS messages needs: `sudo apt install python3-dev`.'
    )


def check_make(make: str | None) -> str | None:
    """Tell whether make is there; CMake comes from PyPI."""
    return None if make else '`make` was not found: `sudo apt install make`.'


def check_disk(directory: Path, free_gb: float, needed_gb: float) -> str | None:
    """Tell whether what is to be installed fits on the disk."""
    if free_gb >= needed_gb:
        return None
    return (
        f'Set-up needs {needed_gb:.1f} GB and {free_gb:.1f} GB are free on the disk of '
        f'{directory}: free some, or move the checkout to another disk.'
    )


def problems(directory: Path, needed_gb: float) -> list[str]:
    """Say everything that keeps this machine from being set up in ``directory``."""
    found = [
        check_platform(platform.system(), platform.machine()),
        check_python(sys.version_info[:2]),
        check_glibc(*platform.libc_ver()),
        check_venv_module(importlib.util.find_spec('ensurepip') is not None),
        check_compiler(_tool('CC', 'cc', 'gcc'), _tool('CXX', 'c++', 'g++')),
        check_headers(Path(sysconfig.get_paths()['include'])),
        check_make(shutil.which('make')),
        check_disk(directory, shutil.disk_usage(directory).free / 1e9, needed_gb),
    ]
    return [sentence for sentence in found if sentence]


def _tool(variable: str, *names: str) -> str | None:
    """Find a program that the user named in the environment, or else the first of ``names``."""
    chosen = os.environ.get(variable, '').split()
    return next(filter(None, map(shutil.which, chosen[:1] or names)), None)
