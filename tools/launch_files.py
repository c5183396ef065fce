"""What the launch files declare, read without the launch system, which has no wheels."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import dataclass
from pathlib import Path
import runpy
import sys
from types import ModuleType
from typing import Any

SHARED = 'v2v_pose_ros.ros.launching'  # what the launch files share; it imports launch, too
CLASSES = {
    'launch': 'LaunchContext LaunchDescription',
    'launch.actions': 'DeclareLaunchArgument OpaqueFunction SetEnvironmentVariable',
    'launch.substitutions': 'EnvironmentVariable LaunchConfiguration PathJoinSubstitution',
    'launch_ros': '',
    'launch_ros.actions': 'Node',
    'launch_ros.parameter_descriptions': 'ParameterValue',
    'launch_ros.substitutions': 'FindPackageShare',
}


@dataclass(frozen=True)
class LaunchArgument:
    """One argument of a launch file."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...]


class Recorded:
    """Remembers what it was made of."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.arguments = arguments
        self.options = options

    def __str__(self) -> str:
        """Return a path in the package's share folder; nothing else is asked for as a text."""
        parts = [part for part in self.arguments[0] if isinstance(part, str)]
        return '/'.join(parts)


def launch_arguments(file: Path) -> list[LaunchArgument]:
    """Return the arguments that a launch file declares, in order."""
    with _stand_ins():
        (entities,) = runpy.run_path(str(file))['generate_launch_description']().arguments
    return [
        LaunchArgument(
            each.arguments[0],
            str(each.options['default_value']),
            each.options['description'],
            tuple(each.options.get('choices', ())),
        )
        for each in entities
        if type(each).__name__ == 'DeclareLaunchArgument'
    ]


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Put classes that only remember in the place of the launch system's, for a while."""
    hidden = {name: sys.modules.pop(name, None) for name in (*CLASSES, SHARED)}
    for name, classes in CLASSES.items():
        module = ModuleType(name)
        for each in classes.split():
            setattr(module, each, type(each, (Recorded,), {}))
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module in hidden.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
