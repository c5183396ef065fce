#!/usr/bin/env python3
"""Prepare ``.venv``: Python packages, ROS 2 Jazzy and the messages of this package.

``make demo`` and ``make test`` call this every time. A step has a key, the hash of all it depends
on, and is skipped when the stamp file holds that key, so a second start only hashes a few small
files. What a step that was killed worked on is thrown away and made anew. Only the standard
library is used, because this runs before anything is installed. No root rights are needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time

from machine_checks import dotted, problems

EXTRAS = 'datasets,dev,docs,onnx,tables,train,viewer'
SHARED = ('config', 'launch', 'models')
INSTALLATION_GB = 6.0
BUILD_GB = 0.5
NETWORK_SIGNS = re.compile(
    'NewConnectionError|NameResolutionError|name resolution|ConnectTimeoutError|ProxyError|'
    'Network is unreachable|Connection refused|Read timed out|Max retries exceeded'
)


class SetUpError(Exception):
    """Set-up cannot go on; the message says what is wrong and what to do."""


def fingerprint(root: Path, *parts: str | Path) -> str:
    """Hash texts, files, and directories (names and contents of all files in them)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode() + b'\0')
            continue
        for file in sorted(part.rglob('*')) if part.is_dir() else [part]:
            if file.is_file() and '__pycache__' not in file.parts:
                digest.update(str(file.relative_to(root)).encode() + b'\0' + file.read_bytes())
    return digest.hexdigest()


class Stamp:
    """Which steps are done, kept in the environment itself so that both vanish together."""

    def __init__(self, venv: Path) -> None:
        self._file = venv / 'set-up.json'
        self._running = venv / 'set-up.running'

    def keys(self) -> dict[str, str]:
        """Return the key of each finished step; none when the file is missing or damaged."""
        try:
            keys = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return keys if isinstance(keys, dict) else {}

    def interrupted(self) -> str | None:
        """Return the step that was killed half-way, if one was."""
        return self._running.read_text() if self._running.exists() else None

    def begin(self, step: str) -> None:
        """Note that ``step`` is under way and no longer done."""
        self._running.write_text(step)
        self._write({name: key for name, key in self.keys().items() if name != step})

    def end(self, step: str, key: str | None) -> None:
        """Note that ``step`` is no longer under way; with a key, that it is done."""
        if key:
            self._write({**self.keys(), step: key})
        self._running.unlink(missing_ok=True)

    def _write(self, keys: dict[str, str]) -> None:
        temporary = self._file.with_suffix('.new')
        temporary.write_text(json.dumps(keys, indent=1))
        temporary.replace(self._file)


class SetUp:
    """The steps that make ``root/.venv``; each method named as a step does that step."""

    def __init__(self, root: Path, lock: int) -> None:
        self.root = root
        self.venv = root / '.venv'
        self.prefix = self.venv / 'ros2' / 'install'
        self.stamp = Stamp(self.venv)
        self._lock = lock
        self._title = ''

    def steps(self) -> list[tuple[str, str, str]]:
        """Return name, key and title of each step, in order."""
        root = self.root
        base = fingerprint(root, str(root), sys.base_prefix, dotted(sys.version_info[:2]))
        pins = [root / 'tools' / 'setup_venv.py', root / 'requirements' / 'constraints.txt']
        packages = fingerprint(root, base, *pins, root / 'pyproject.toml', root / 'setup.py')
        ros = fingerprint(root, base, *pins, root / 'requirements' / 'ros.txt')
        sources = [root / name for name in ('CMakeLists.txt', 'package.xml', 'msg', 'underlay')]
        interfaces = fingerprint(root, ros, *sources)
        return [
            ('environment', base, 'Creating .venv'),
            ('packages', packages, 'Installing PyTorch and other Python packages'),
            ('ros', ros, 'Installing ROS 2 Jazzy wheels'),
            ('interfaces', interfaces, 'Building the ROS messages'),
            ('wrapper', interfaces, 'Writing .venv/bin/ros-env'),
        ]

    def is_current(self) -> bool:
        """Tell whether there is nothing to do."""
        done = self.stamp.keys()
        return self.stamp.interrupted() is None and all(
            done.get(name) == key for name, key, _ in self.steps()
        )

    def run(self) -> None:
        """Do the steps that are not done yet."""
        started = time.monotonic()
        steps = self.steps()
        self._title = f'[1/{len(steps) + 1}] Checking this machine'
        if self.stamp.interrupted() in ('packages', 'ros'):
            self._discard()
        done = self.stamp.keys()
        found = problems(self.root, BUILD_GB if 'packages' in done else INSTALLATION_GB)
        if found:
            raise SetUpError('\n'.join(found))
        self._show('done\n')
        for number, (name, key, title) in enumerate(steps, start=2):
            if self.stamp.keys().get(name) != key:
                self._title = f'[{number}/{len(steps) + 1}] {title}'
                self._do(name, key)
        print(f'The environment is ready, after {time.monotonic() - started:.0f} s.', flush=True)

    def _do(self, name: str, key: str) -> None:
        began = time.monotonic()
        if not sys.stdout.isatty():
            self._show('')
        if name != 'environment':  # that one starts from nothing and needs no note
            self.stamp.begin(name)
        try:
            getattr(self, name)()
        except SetUpError:
            self.stamp.end(name, None)
            raise
        self.stamp.end(name, key)
        self._show(f'{time.monotonic() - began:.0f} s\n', again=sys.stdout.isatty())

    def environment(self) -> None:
        """Create the virtual environment."""
        self._discard()
        self.venv.mkdir()
        (self.venv / 'COLCON_IGNORE').touch()
        interpreter = getattr(sys, '_base_executable', sys.executable)
        self._call('environment', interpreter, '-m', 'venv', str(self.venv))

    def packages(self) -> None:
        """Install this package, editable, with all it depends on."""
        self._pip('packages', '--upgrade', 'pip', 'setuptools', 'wheel')
        self._pip('packages', '--no-build-isolation', '--editable', f'{self.root}[{EXTRAS}]')

    def ros(self) -> None:
        """Install the ROS wheels and repair the paths of their build machine in CMake files."""
        self._pip('ros', '--requirement', str(self.root / 'requirements' / 'ros.txt'))
        include = sysconfig.get_paths()['include']
        numpy = next(self.venv.glob('lib/python*/site-packages/numpy/_core/include'))
        for file in self.venv.glob('share/*/cmake/*.cmake'):
            text = file.read_text()
            fixed = re.sub(r'/opt/python/[^;"\s]*/numpy/_core/include', str(numpy), text)
            fixed = re.sub(r'/opt/python/[^;"\s/]*/include/python[\d.]+', include, fixed)
            if fixed != text:
                file.write_text(fixed)

    def interfaces(self) -> None:
        """Build the stand-ins in ``underlay/`` and this package with colcon, from nothing."""
        workspace = self.prefix.parent
        shutil.rmtree(workspace, ignore_errors=True)
        workspace.mkdir()
        packages = sorted(file.parent for file in self.root.glob('underlay/*/package.xml'))
        packages.append(self._staged(workspace / 'src' / 'v2v_pose_ros'))
        command = [str(self.venv / 'bin' / 'colcon'), '--log-base', str(workspace / 'log')]
        command += ['build', '--merge-install', '--symlink-install', '--parallel-workers', '2']
        command += ['--build-base', str(workspace / 'build'), '--install-base', str(self.prefix)]
        command += ['--paths', *map(str, packages)]
        command += ['--cmake-args', '-DCMAKE_BUILD_TYPE=Release', '-DBUILD_TESTING=OFF']
        command += [f'-DPython3_EXECUTABLE={self.venv}/bin/python']
        self._call('interfaces', *command)
        for name in SHARED:
            target = self.prefix / 'share' / 'v2v_pose_ros' / name
            if target.is_dir():
                target.rmdir()
            target.symlink_to(self.root / name)

    def _staged(self, directory: Path) -> Path:
        """Link the package's parts into a directory without .venv.

        CMake refuses the headers of NumPy when they lie below the sources of the package.
        """
        directory.mkdir(parents=True)
        for name in ('CMakeLists.txt', 'package.xml', 'msg', 'scripts', 'v2v_pose_ros'):
            (directory / name).symlink_to(self.root / name)
        for name in SHARED:  # empty here, linked as a whole later: files come and go in them
            (directory / name).mkdir()
        return directory

    def wrapper(self) -> None:
        """Write the program that runs another one in the ROS environment."""
        messages = next(self.prefix.glob('**/v2v_pose_ros/msg/__init__.py'))
        variables = self.ros_variables()
        variables['PYTHONPATH'] = f'{self.root}:{messages.parents[2]}'
        profiles = shlex.quote(str(self.root / 'config' / 'fastdds.xml'))
        lines = [
            '#!/bin/sh',
            '# Run a command in the ROS environment: ros-env COMMAND ARGUMENT...',
            *(f'export {name}={shlex.quote(value)}' for name, value in variables.items()),
            f'export PATH={shlex.quote(str(self.venv / "bin"))}:"$PATH"',
            # Fast DDS 2 (Jazzy) knows only the second name, Fast DDS 3 the first.
            'profiles="${FASTDDS_DEFAULT_PROFILES_FILE:-${FASTRTPS_DEFAULT_PROFILES_FILE:-}}"',
            f'[ -n "$profiles" ] || [ ! -f {profiles} ] || profiles={profiles}',
            '[ -z "$profiles" ] || export FASTDDS_DEFAULT_PROFILES_FILE="$profiles" \\',
            '    FASTRTPS_DEFAULT_PROFILES_FILE="$profiles"',
            'exec "$@"',
        ]
        file = self.venv / 'bin' / 'ros-env'
        file.write_text('\n'.join(lines) + '\n')
        file.chmod(0o755)

    def ros_variables(self) -> dict[str, str]:
        """Return what ROS needs in the environment, in place of what another ROS put there."""
        prefixes = f'{self.prefix}:{self.venv}'
        bundled = sorted(self.venv.glob('lib/python*/site-packages/ros_*.libs'))
        libraries = [self.prefix / 'lib', self.venv / 'lib', *bundled]
        return {
            'AMENT_PREFIX_PATH': prefixes,
            'CMAKE_PREFIX_PATH': prefixes,
            'LD_LIBRARY_PATH': ':'.join(map(str, libraries)),
            'PYTHONPATH': '',
            'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
            'ROS_DISTRO': 'jazzy',
            'ROS_PYTHON_VERSION': '3',
            'ROS_VERSION': '2',
            # The wheels start Python a second time to set LD_LIBRARY_PATH, unless told it is set.
            '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1',
        }

    def _discard(self) -> None:
        """Put the environment out of the way and delete it, which can take minutes, meanwhile."""
        if self.venv.exists():
            self.venv.rename(self.root / f'.venv.old-{os.getpid()}-{time.monotonic_ns()}')
        for old in self.root.glob('.venv.old-*'):
            subprocess.Popen(['rm', '-rf', str(old)], start_new_session=True)

    def _pip(self, step: str, *arguments: str) -> None:
        constraints = str(self.root / 'requirements' / 'constraints.txt')
        command = [str(self.venv / 'bin' / 'python'), '-m', 'pip', 'install']
        command += ['--disable-pip-version-check', '--no-input', '--constraint', constraints]
        self._call(step, *command, *arguments)

    def _call(self, step: str, *command: str) -> None:
        """Run a command with its output in a log; it holds the lock too, lest it outlives us."""
        environment = {**os.environ, **self.ros_variables(), 'MAKEFLAGS': '-j2'}
        environment['PATH'] = f'{self.venv}/bin:{environment["PATH"]}'
        for name in ('MFLAGS', 'MAKELEVEL', 'PYTHONHOME', 'VIRTUAL_ENV'):
            environment.pop(name, None)
        file = self.venv / f'set-up-{step}.log'
        with file.open('a') as log:
            log.write(f'$ {shlex.join(command)}\n')
            log.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.root,
                env=environment,
                pass_fds=(self._lock,),
            )
            self._wait(process)
        if process.returncode:
            raise SetUpError(explanation(file))

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        while True:
            try:
                process.wait(timeout=1)
                return
            except subprocess.TimeoutExpired:
                if sys.stdout.isatty():
                    self._show(f'{time.monotonic() - began:.0f} s', again=True)
            except KeyboardInterrupt:
                process.wait()
                raise

    def _show(self, result: str, again: bool = False) -> None:
        lead = '\r' if again else ''
        ended = not sys.stdout.isatty() and result[:1].isdigit()
        print(f'{lead}{"" if ended else self._title + " ... "}{result}', end='', flush=True)


def explanation(log: Path) -> str:
    """Say in one sentence why the command that wrote ``log`` failed, with its last lines."""
    text = log.read_text(errors='replace')
    text = text[text.rfind('\n$ ') + 1 :]
    if NETWORK_SIGNS.search(text):
        return (
            'The Python package index cannot be reached: connect this machine to the network, or '
            f'name a mirror in PIP_INDEX_URL, and run the same command again ({log} has details).'
        )
    if 'No space left on device' in text:
        return f'The disk is full: free some space and run the same command again ({log}).'
    last = [line for line in text.splitlines() if line.strip()][-12:]
    return '\n'.join([*last, f'The command above failed; its whole output is in {log}.'])


def main() -> int:
    """Bring ``.venv`` up to date, one process at a time."""
    root = Path(__file__).resolve().parent.parent
    lock = os.open(root, os.O_RDONLY)  # released when the last process that has it open ends
    try:
        wait_for(lock)
        set_up = SetUp(root, lock)
        if not set_up.is_current():
            set_up.run()
    except SetUpError as error:
        print(f'\nSet-up failed.\n{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nSet-up was interrupted. The same command takes it up again.', file=sys.stderr)
        return 130
    return 0


def wait_for(lock: int) -> None:
    """Take the lock, saying so when that takes time."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print('Another set-up runs in this checkout; waiting for it to end.', flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


if __name__ == '__main__':
    sys.exit(main())
