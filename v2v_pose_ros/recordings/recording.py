"""A recording as a stream of ROS 2 messages, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
from dataclasses import dataclass
from functools import cached_property
import io
from pathlib import Path
import struct
from typing import Any

from rosbags.convert.converter import generate_message_converter, LATCH
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, MessageDefinitionFormat, QosDurability
from rosbags.rosbag2 import Reader, Writer
from rosbags.typesys import get_types_from_msg
import yaml

from v2v_pose_ros.recordings import RecordingError
from v2v_pose_ros.recordings.damaged import topics_of
from v2v_pose_ros.recordings.paths import (
    is_recording,
    openable,
    recordings_in,
    storage_files,
)
from v2v_pose_ros.recordings.types import TYPES

_UNKNOWN_HASH = 'RIHS01_' + '0' * 64
_RENAMED = {'tf/msg/tfMessage': 'tf2_msgs/msg/TFMessage'}  # in ROS 1 bags of old

_MCAP_MAGIC = 8  # bytes at the beginning
_MCAP_RECORD = struct.Struct('<BQ')  # what a record is, and how many bytes follow
_MCAP_CHUNK = 6
_MCAP_CHUNK_COMPRESSION = 28  # bytes of times, size and checksum before the compression's name

RESULT_QOS = [LATCH[0]._replace(durability=QosDurability.VOLATILE)]
"""How results are offered to whoever plays them: reliable and volatile, as the node publishes."""

Convert = Callable[[bytes], 'bytes | memoryview']


@dataclass(frozen=True)
class Topic:
    """A topic of a recording."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class RecordedMessage:
    """A message: its topic, when it was recorded (ns), and its bytes in ROS 2's format (CDR)."""

    topic: Topic
    time: int
    data: bytes | memoryview


class Recording:
    """An open recording; a context manager.

    Raises:
        RecordingError: the recording is missing, empty, damaged or none at all.
    """

    def __init__(self, path: Path) -> None:
        """Open a folder of rosbag2, an .mcap or .db3 file, or a ROS 1 .bag."""
        self.path = path
        self._reader: Any = None
        self._converters: dict[str, Convert] = {}
        _refuse_what_is_none(path)
        with self._explained('cannot be opened'):
            if path.suffix == '.bag':
                self._reader = AnyReader([path])
            else:
                self._reader = Reader(openable(path))
            self._reader.open()
        self._connections: list[Connection] = list(self._reader.connections)
        self.is_ros1 = path.suffix == '.bag'
        self.message_count = int(self._reader.message_count)
        if not self.message_count:
            self.close()
            topics = f'. Its topics are:\n{self.listing}' if self.topics else ''
            raise RecordingError(f'{path} is empty: no message was recorded{topics}')

    def __enter__(self) -> Recording:
        """Return the recording itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        if self._reader is not None:
            with contextlib.suppress(Exception):
                self._reader.close()
            self._reader = None

    @cached_property
    def topics(self) -> dict[str, Topic]:
        """The topics by name."""
        found: dict[str, Topic] = {}
        for connection in self._connections:
            name, kind = connection.topic, _type_of(connection)
            before = found.get(name, Topic(name, kind, 0))
            found[name] = Topic(name, kind, before.count + connection.msgcount)
        return dict(sorted(found.items()))

    @property
    def listing(self) -> str:
        """The topics as lines of a text."""
        return _lines(self.topics.values())

    @property
    def storage(self) -> str:
        """How it is stored: 'sqlite3' or 'mcap', 'ros1' for bags of ROS 1."""
        if self.is_ros1:
            return 'ros1'
        return 'sqlite3' if any('.db3' in file.suffixes for file in self._files()) else 'mcap'

    @property
    def compressed(self) -> bool:
        """Whether its files, its messages or its chunks are compressed."""
        if self.is_ros1:
            return False
        return bool(self._reader.compression_mode) or any(map(_has_small_chunks, self._files()))

    def _files(self) -> list[Path]:
        return storage_files(self.path) if self.path.is_dir() else [self.path]

    def messages(self, topics: Collection[str] = ()) -> Iterator[RecordedMessage]:
        """Yield the messages of topics, of all by default, as they were recorded.

        Raises:
            RecordingError: the recording is damaged from here on.
        """
        chosen = [each for each in self._connections if not topics or each.topic in topics]
        if not chosen:
            return
        known = {connection.topic: self.topics[connection.topic] for connection in chosen}
        with self._explained('is damaged: it can be read only in part'):
            for connection, time, data in self._reader.messages(connections=chosen):
                convert = self._converter(connection)
                yield RecordedMessage(known[connection.topic], time, convert(data))

    def first(self, topic: str) -> Any:
        """Return the first message of a topic, decoded; None when there is none."""
        message = next(self.messages([topic]), None)
        return None if message is None else self.decode(message)

    def decode(self, message: RecordedMessage) -> Any:
        """Return a message as an object with the fields of its type in ROS 2."""
        with self._explained(f'has a message on {message.topic.name} that cannot be decoded'):
            return TYPES.deserialize_cdr(message.data, message.topic.type)

    def copy_topics(self, writer: Writer) -> dict[str, Connection]:
        """Announce all topics to a writer and return its connections by topic."""
        made: dict[str, Connection] = {}
        for connection in self._connections:
            if connection.topic in made:
                continue
            self._converter(connection)  # it registers types of ROS 1 that ROS 2 does not know
            definition, digest = self._definition(connection)
            made[connection.topic] = writer.add_connection(
                connection.topic,
                _type_of(connection),
                msgdef=definition,
                rihs01=digest,
                offered_qos_profiles=_qos(connection),
            )
        return made

    def _definition(self, connection: Connection) -> tuple[str, str]:
        """Return the text and the hash of a topic's type, as far as somebody knows them."""
        kind = _type_of(connection)
        known = kind in TYPES.fielddefs
        text, digest = '', _UNKNOWN_HASH
        if known:
            text, digest = TYPES.generate_msgdef(kind, ros_version=2)[0], TYPES.hash_rihs01(kind)
        if not self.is_ros1:
            if connection.msgdef.format != MessageDefinitionFormat.NONE:
                text = connection.msgdef.data
            digest = connection.digest or digest
        return text, digest

    def _converter(self, connection: Connection) -> Convert:
        """Return what makes ROS 2 messages of a connection's."""
        if not self.is_ros1:
            return _unchanged
        if connection.msgtype not in self._converters:
            self._converters[connection.msgtype] = self._make_converter(connection.msgtype)
        return self._converters[connection.msgtype]

    def _make_converter(self, source: str) -> Convert:
        target = _RENAMED.get(source, source)
        if target not in TYPES.fielddefs:
            text, _ = self._reader.typestore.generate_msgdef(source, ros_version=2)
            added = get_types_from_msg(text, target)
            TYPES.register(
                {key: each for key, each in added.items() if key not in TYPES.fielddefs}
            )
        with contextlib.redirect_stdout(io.StringIO()):  # it tells which types differ
            converter: Convert = generate_message_converter(
                self._reader.typestore, TYPES, source, target, {}, src_is2=False, dst_is2=True
            )
        return converter

    @contextlib.contextmanager
    def _explained(self, problem: str) -> Iterator[None]:
        """Turn what goes wrong in reading, by several libraries, into a RecordingError."""
        try:
            yield
        except (RecordingError, GeneratorExit):
            raise
        except Exception as error:
            reason = f'{error}'.rstrip('.') or type(error).__name__
            raise RecordingError(
                f'{self.path} {problem} ({reason}); a rosbag2 folder, an .mcap, a .db3 or a '
                'ROS 1 .bag is expected. One that was cut off can often be repaired: '
                f'"ros2 bag reindex", "mcap recover" or "rosbag reindex"{_announced(self.path)}'
            ) from error


def _refuse_what_is_none(path: Path) -> None:
    if not path.exists():
        raise RecordingError(
            f'there is no {path}; a rosbag2 folder, an .mcap, a .db3 or a ROS 1 .bag is expected'
        )
    if path.is_dir() and not is_recording(path) and recordings_in(path):
        raise RecordingError(
            f'{path} is no recording and holds some: name those that are meant, such as {path}/*'
        )


def _lines(topics: Collection[Topic]) -> str:
    """Return topics as lines of a text."""
    return _table({each.name: f'{each.type}  {each.count} messages' for each in topics})


def _table(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows), default=0)
    return '\n'.join(f'  {name:{width}}  {text}' for name, text in rows.items())


def _announced(path: Path) -> str:
    """Return what a recording that cannot be opened should hold, as the end of a text."""
    if topics := _topics_in_metadata(path):
        return f'. It should hold:\n{_lines(topics)}'
    file = openable(path)
    if named := topics_of(file) if file.is_file() else {}:
        return f'. Its beginning names the topics:\n{_table(dict(sorted(named.items())))}'
    return ''


def _topics_in_metadata(path: Path) -> list[Topic]:
    """Return the topics that a folder's metadata.yaml names, none where it cannot be read."""
    try:
        document = yaml.safe_load((path / 'metadata.yaml').read_text())
        return [
            Topic(
                each['topic_metadata']['name'],
                each['topic_metadata']['type'],
                each['message_count'],
            )
            for each in document['rosbag2_bagfile_information']['topics_with_message_count']
        ]
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return []


def _has_small_chunks(path: Path) -> bool:
    """Tell whether the first chunk of an MCAP file is compressed; see the format's records."""
    if path.suffix != '.mcap':
        return False
    with path.open('rb') as file:
        file.seek(_MCAP_MAGIC)
        while len(head := file.read(_MCAP_RECORD.size)) == _MCAP_RECORD.size:
            kind, size = _MCAP_RECORD.unpack(head)
            if kind == _MCAP_CHUNK:
                file.seek(_MCAP_CHUNK_COMPRESSION, io.SEEK_CUR)
                return file.read(4) != bytes(4)  # the length of the compression's name
            file.seek(size, io.SEEK_CUR)
    return False


def _unchanged(data: bytes) -> bytes:
    return data


def _type_of(connection: Connection) -> str:
    return _RENAMED.get(connection.msgtype, connection.msgtype)


def _qos(connection: Connection) -> list[Any]:
    """Return the QoS a topic was offered with; latched topics of ROS 1 become transient local."""
    extension: Any = connection.ext
    if hasattr(extension, 'offered_qos_profiles'):
        return list(extension.offered_qos_profiles)
    return list(LATCH) if extension.latching else []
