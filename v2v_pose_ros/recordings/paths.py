"""What looks like a recording, without reading it."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = ('.mcap', '.db3', '.bag')
"""Files that may be recordings; a rosbag2 recording may be a folder of them, too."""


def is_recording(path: Path) -> bool:
    """Tell whether a path looks like a recording, be it a good one or not."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() or len(storage_files(path)) == 1
    return path.suffix in SUFFIXES


def recordings_in(folder: Path) -> list[Path]:
    """Return the recordings in a folder that is none itself, in the order of their names."""
    return sorted(path for path in folder.iterdir() if is_recording(path))


def storage_files(folder: Path) -> list[Path]:
    """Return the files of a rosbag2 folder that hold messages, compressed or not."""
    return sorted(file for file in folder.iterdir() if {'.mcap', '.db3'} & set(file.suffixes))


def openable(path: Path) -> Path:
    """Return the path, or the only file of a folder whose recorder was killed before its end."""
    if path.is_dir() and not (path / 'metadata.yaml').is_file():
        files = storage_files(path)
        if len(files) == 1 and files[0].suffix in SUFFIXES:
            return files[0]
    return path
