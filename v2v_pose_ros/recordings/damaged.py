"""The topics of a recording that nobody can open, to name them where it is refused."""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterator
import contextlib
import importlib
import io
from pathlib import Path
import sqlite3
import struct
import sys
from typing import Any, BinaryIO

_LOOK = 256 * 1024 * 1024  # bytes from the beginning: topics are announced before their messages

_MCAP_MAGIC = 8  # bytes
_MCAP_RECORD = struct.Struct('<BQ')  # what it is, and how many bytes follow
_MCAP_SCHEMA, _MCAP_CHANNEL, _MCAP_CHUNK = 3, 4, 6
_MCAP_CHUNK_HEAD = 28  # bytes of times, size and checksum before the compression's name

_BAG_MAGIC = b'#ROSBAG V2.0\n'
_BAG_CHUNK, _BAG_CONNECTION = b'\x05', b'\x07'


def topics_of(path: Path) -> dict[str, str]:
    """Return topics and their types as far as the beginning of a file tells; none at worst."""
    found: dict[str, str] = {}
    with contextlib.suppress(Exception):  # whatever is broken, it is known already that it is
        for name, kind in _READERS[path.suffix](path):
            found[name] = kind
    return found


def _sqlite3_topics(path: Path) -> Iterator[tuple[str, str]]:
    with contextlib.closing(
        sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro&immutable=1', uri=True)
    ) as database:
        # Without this, SQLite does not look into a file that is shorter than it should be.
        database.execute('PRAGMA writable_schema=ON')
        yield from database.execute('SELECT name, type FROM topics')


def _mcap_topics(path: Path) -> Iterator[tuple[str, str]]:
    kinds: dict[int, str] = {}
    with path.open('rb') as file:
        file.seek(_MCAP_MAGIC)
        for record, body in _mcap_records(file):
            if record == _MCAP_SCHEMA:
                kinds[_uint16(body, 0)] = _text(body, 2)
            elif record == _MCAP_CHANNEL:
                yield _text(body, 4), kinds.get(_uint16(body, 2), 'of an unknown type')


def _mcap_records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a file, those in its chunks included, up to where it was cut."""
    while file.tell() < _LOOK and len(head := file.read(_MCAP_RECORD.size)) == _MCAP_RECORD.size:
        record, size = _MCAP_RECORD.unpack(head)
        if record not in (_MCAP_SCHEMA, _MCAP_CHANNEL, _MCAP_CHUNK):
            file.seek(size, io.SEEK_CUR)
            continue
        body = file.read(size)
        if record == _MCAP_CHUNK:
            compression = _text(body, _MCAP_CHUNK_HEAD)
            begin = _MCAP_CHUNK_HEAD + 4 + len(compression) + 8
            yield from _mcap_records(io.BytesIO(_unpacked(body[begin:], compression)))
        elif len(body) == size:
            yield record, body


def _ros1_topics(path: Path) -> Iterator[tuple[str, str]]:
    with path.open('rb') as file:
        file.seek(len(_BAG_MAGIC))
        for head, body in _ros1_records(file):
            yield head[b'topic'].decode(), _ros1_kind(_fields(body)[b'type'].decode())


def _ros1_records(file: BinaryIO) -> Iterator[tuple[dict[bytes, bytes], bytes]]:
    """Yield head and data of the connections of a bag, those in its chunks included."""
    while file.tell() < _LOOK and len(size := file.read(4)) == 4:
        head = _fields(file.read(*struct.unpack('<I', size)))
        (count,) = struct.unpack('<I', file.read(4))
        if head[b'op'] not in (_BAG_CHUNK, _BAG_CONNECTION):
            file.seek(count, io.SEEK_CUR)
            continue
        body = file.read(count)
        if head[b'op'] == _BAG_CONNECTION:
            yield head, body
        else:
            compression = head[b'compression'].decode()
            yield from _ros1_records(io.BytesIO(_unpacked(body, compression)))


def _fields(data: bytes) -> dict[bytes, bytes]:
    """Return the fields of a head: a length, a name, an equals sign and a value each."""
    fields: dict[bytes, bytes] = {}
    place = 0
    while place < len(data):
        (size,) = struct.unpack_from('<I', data, place)
        name, _, value = data[place + 4 : place + 4 + size].partition(b'=')
        fields[name], place = value, place + 4 + size
    return fields


def _ros1_kind(kind: str) -> str:
    """Return a type of ROS 1 as ROS 2 writes it."""
    return kind if '/msg/' in kind else kind.replace('/', '/msg/')


def _unpacked(data: bytes, compression: str) -> bytes:
    """Return the content of a chunk, up to where it was cut."""
    if not compression or compression == 'none':
        return data
    return bytes(_DECOMPRESSORS[compression]().decompress(data))


def _lz4() -> Any:
    return importlib.import_module('lz4.frame').LZ4FrameDecompressor()


def _zstd() -> Any:
    name = 'compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd'
    return importlib.import_module(name).ZstdDecompressor()


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    'bz2': bz2.BZ2Decompressor,
    'lz4': _lz4,
    'zstd': _zstd,
}
"""What Python does not have, rosbags brings with it."""


def _uint16(data: bytes, place: int) -> int:
    return int(struct.unpack_from('<H', data, place)[0])


def _text(data: bytes, place: int) -> str:
    (size,) = struct.unpack_from('<I', data, place)
    return data[place + 4 : place + 4 + size].decode()


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, str]]]] = {
    '.bag': _ros1_topics,
    '.db3': _sqlite3_topics,
    '.mcap': _mcap_topics,
}
"""What is not among them, such as files that rosbag2 compressed as a whole, tells nothing."""
