#!/usr/bin/env python3
"""Check package.xml files as a ROS build reads them: complete, with sorted dependencies."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
import sys
import xml.etree.ElementTree as ElementTree

from catkin_pkg.package import InvalidPackage, parse_package


def complaints(file: Path) -> list[str]:
    """Say what is wrong with a package.xml."""
    warnings: list[str] = []
    try:
        package = parse_package(str(file), warnings=warnings)
    except InvalidPackage as error:
        return [str(error)]
    if package.package_format != 3:
        warnings.append(f'format {package.package_format} instead of 3')
    dependencies = [
        element for element in ElementTree.parse(file).getroot() if 'depend' in element.tag
    ]
    for tag, group in groupby(dependencies, key=lambda element: element.tag):
        # Dependencies on other ROS packages come first, those of the system after them.
        names = [element.text or '' for element in group]
        order = sorted(names, key=lambda name: (name.startswith('python3-'), name))
        if names != order:
            warnings.append(f'<{tag}> are not sorted: {" ".join(names)}')
    return warnings


def main() -> int:
    """Check the files named on the command line."""
    found = [f'{name}: {text}' for name in sys.argv[1:] for text in complaints(Path(name))]
    print('\n'.join(found) or f'{len(sys.argv) - 1} package.xml files are fine.')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
