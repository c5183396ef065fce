"""Compiled networks kept between starts, found by their content.

An artefact is made once for a key: what network, compiled by what, with what settings, for what
device.  The file's name is the key's SHA-256, and the file ends in the SHA-256 of its bytes.
Files appear under their names whole or not at all, a lock makes the second of two processes wait
for the first, and a damaged file is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
import fcntl
import hashlib
import json
import logging
import os
from pathlib import Path
import tempfile
from typing import TypeVar

Loaded = TypeVar('Loaded')

_LOG = logging.getLogger(__name__)

KEPT = 24
"""Artefacts kept; those that were not used for longest go first."""

_DIGEST = hashlib.sha256().digest_size


def default_directory() -> Path:
    """Return where artefacts are kept: XDG_CACHE_HOME or ~/.cache, then v2v_pose_ros.

    Raises:
        FileNotFoundError: the user has no home, and none of the two is said.  A folder that others
            may write to would be no place: what is compiled gets run.
    """
    base = os.environ.get('XDG_CACHE_HOME', '')
    # The specification says to ignore relative paths.
    if os.path.isabs(base):
        return Path(base) / 'v2v_pose_ros'
    try:
        return Path.home() / '.cache' / 'v2v_pose_ros'
    except RuntimeError as error:  # in containers with --user, say
        raise FileNotFoundError(
            'this user has no home folder; XDG_CACHE_HOME can name another one'
        ) from error


class ArtefactCache:
    """A folder of artefacts; where it cannot be written, everything is made anew."""

    def __init__(self, directory: Path | None = None) -> None:
        """Use a folder; by default the user's."""
        self._directory = directory

    def fetch(
        self, key: Mapping[str, object], make: Callable[[], bytes], load: Callable[[bytes], Loaded]
    ) -> Loaded:
        """Return what the artefact of a key gives, made where there is none that can be used.

        Args:
            key: plain values that say what the artefact depends on.
            make: makes the artefact; what it raises is passed on, and nothing is kept.
            load: makes use of it; where it fails on a kept artefact, that one is made again.
        """
        text = json.dumps(key, sort_keys=True)
        try:
            directory = self._directory or default_directory()
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (directory / 'lock').open('a')
        except OSError as error:
            _LOG.warning('compiled networks are not kept (%s): starts take longer', error)
            return load(make())
        path = directory / f'{hashlib.sha256(text.encode()).hexdigest()}.bin'
        with lock:
            loaded = _load(path, load)
            if loaded is not None:
                return loaded
            with _locked(lock.fileno()):
                loaded = _load(path, load)  # another process may have made it meanwhile
                if loaded is not None:
                    return loaded
                artefact = make()
                _write(path, artefact)
        return load(artefact)


def _write(path: Path, content: bytes) -> None:
    try:
        _replace(path, content + hashlib.sha256(content).digest())
        _prune(path.parent)
    except OSError as error:
        _LOG.warning('a compiled network is not kept (%s): starts take longer', error)


def _prune(directory: Path) -> None:
    """Remove the files that were not used for longest, and what crashes have left."""
    files = sorted(directory.glob('*.bin'), key=_used, reverse=True)
    for path in [*files[KEPT:], *directory.glob('*.part')]:
        path.unlink(missing_ok=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # removed by another process


def _load(path: Path, load: Callable[[bytes], Loaded]) -> Loaded | None:
    """Return what a kept artefact gives; None where there is none that can be used."""
    artefact = _read(path)
    if artefact is None:
        return None
    try:
        return load(artefact)
    except Exception as error:  # whatever a compiler's own reader raises
        _LOG.warning('%s cannot be used (%s); it is made again', path, error)
        return None


def _read(path: Path) -> bytes | None:
    """Return a file's artefact; None where there is none or it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _LOG.warning('%s cannot be read (%s); it is made again', path, error)
        return None
    artefact, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(artefact).digest() != digest:
        _LOG.warning('%s is damaged; it is made again', path)
        return None
    with suppress(OSError):
        os.utime(path)  # so that what is used is kept
    return artefact


def _replace(path: Path, content: bytes) -> None:
    """Put content under a name in one step, so that no reader and no crash sees a part of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix='.part')
    try:
        with open(descriptor, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends, where the disk knows locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:  # some network drives know none; files still appear as a whole
        _LOG.warning('the folder of compiled networks cannot be locked (%s)', error)
        yield
        return
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
