"""The Torch7 binary serialisation, as much of it as files of networks hold.

A file is one value.  A value is a type tag (int32) and what belongs to it; tables, objects and
functions carry an index (int32), and an index met again stands for the same thing.  An object has
a version string ('V 1'), a class name and a body: for tensors the number of dimensions, sizes,
strides, offset counted from one (int64 each) and a storage; for storages a length and the raw
numbers; for every other class a table of its fields.  Everything is little-endian.

The reader is made for files from strangers.  Nothing is run: a function is skipped over.  A count
is believed only when the rest of the file can hold it, numbers stay in the file's bytes until a
tensor is asked for, and the depth of the nesting and the number of values are limited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
import re
import struct
from typing import Any

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.importing import ImportWeightsError

MAX_DEPTH = 100
"""Levels of nesting; the published networks have about thirty."""

MAX_VALUES = 100_000
"""Values in a file; the published networks have a few thousand."""

MAX_DIMENSIONS = 16

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN, _FUNCTION = range(7)
_RECURSIVE_FUNCTIONS = (7, 8)
_SMALLEST_ENTRY = 12  # bytes of a table's key and value: a boolean and nil

_NUMBERS = {
    'Byte': 'u1',
    'Char': 'i1',
    'Short': '<i2',
    'Int': '<i4',
    'Long': '<i8',
    'Half': '<f2',
    'Float': '<f4',
    'Double': '<f8',
}
_CLASS = re.compile(r'torch\.(?:Cuda)?(\w*?)(Tensor|Storage)')


@dataclass(eq=False)
class TorchObject:
    """An object that is neither tensor nor storage: its class name and its fields."""

    class_name: str
    fields: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Function:
    """A Lua function that was skipped."""


@dataclass(eq=False)
class Storage:
    """A run of numbers, still in the file's bytes."""

    data: memoryview
    dtype: str

    def __len__(self) -> int:
        """Return how many numbers there are."""
        return len(self.data) // np.dtype(self.dtype).itemsize

    @cached_property
    def values(self) -> Tensor:
        """The numbers [N], copied from the file when they are first asked for."""
        return torch.from_numpy(np.frombuffer(self.data, self.dtype).copy())


@dataclass(eq=False)
class StoredTensor:
    """A tensor as the file describes it: a window into a storage that others may share."""

    sizes: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    offset: int = 0
    storage: Any = None

    def tensor(self) -> Tensor:
        """Return the tensor, a view of its storage; raise ImportWeightsError if it leaves it."""
        if not isinstance(self.storage, Storage) or not self.sizes:
            raise ImportWeightsError('a tensor is empty')
        last = self.offset - 1
        count = 1
        for size, stride in zip(self.sizes, self.strides, strict=True):
            last += (size - 1) * stride
            count *= size
        legal = min(self.sizes) > 0 and min(self.strides) >= 0 and self.offset > 0
        if not legal or last >= len(self.storage) or count > len(self.storage):
            raise ImportWeightsError(
                f'a tensor of sizes {self.sizes}, strides {self.strides} and offset {self.offset} '
                f'does not lie in its storage of {len(self.storage)} numbers'
            )
        return self.storage.values.as_strided(self.sizes, self.strides, self.offset - 1)


def parse(data: bytes) -> Any:
    """Return the value that a file's bytes hold.

    Returns:
        None, float, str, bool, dict (a table), TorchObject, StoredTensor, Storage or Function.
        Values may contain themselves.

    Raises:
        ImportWeightsError: the bytes are no such file, truncated or beyond the limits.
    """
    return _Parser(data).value()


class _Parser:
    """A position in the bytes, and the indexed values met so far."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._position = 0
        self._depth = 0
        self._values = 0
        self._known: dict[int, Any] = {}

    def value(self) -> Any:
        self._values += 1
        self._depth += 1
        if self._values > MAX_VALUES:
            raise self._error(f'more than {MAX_VALUES} values; no V2V-PoseNet has so many')
        if self._depth > MAX_DEPTH:
            raise self._error(f'values nested deeper than {MAX_DEPTH} levels')
        value = self._tagged(self._int())
        self._depth -= 1
        return value

    def _tagged(self, tag: int) -> Any:
        if tag == _NIL:
            return None
        if tag == _NUMBER:
            return struct.unpack('<d', self._take(8))[0]
        if tag == _STRING:
            return self._string()
        if tag == _BOOLEAN:
            return self._int() == 1
        if tag == _FUNCTION:
            return self._function(Function())
        if tag not in (_TABLE, _OBJECT, *_RECURSIVE_FUNCTIONS):
            raise self._error(f'the type tag {tag}, which Torch7 does not have')
        index = self._int()
        if index in self._known:
            return self._known[index]
        if tag == _TABLE:
            return self._table(self._remember(index, {}))
        if tag == _OBJECT:
            return self._object(index)
        return self._function(self._remember(index, Function()))

    def _table(self, table: dict[Any, Any]) -> dict[Any, Any]:
        count = self._int()
        self._check_room(count, _SMALLEST_ENTRY)
        for _ in range(count):
            key, value = self.value(), self.value()
            if isinstance(key, float | str | bool):  # tables as keys mean nothing here
                table[key] = value
        return table

    def _function(self, function: Function) -> Function:
        """Step over a function's code and read past the values that it captured."""
        self._take(self._int())
        self.value()
        return function

    def _object(self, index: int) -> Any:
        version = self._string()
        name = self._string() if re.fullmatch(r'V \d+', version) else version
        match = _CLASS.fullmatch(name)
        # torch.CudaTensor holds floats; the other types say what they hold.
        dtype = _NUMBERS.get(match[1] or 'Float') if match else None
        if match is None or dtype is None:
            thing = self._remember(index, TorchObject(name))
            fields = self.value()
            if not isinstance(fields, dict):
                raise self._error(f'an object of class {name[:80]!r} without a table of fields')
            thing.fields = fields
            return thing
        if match[2] == 'Storage':
            count = self._long()
            size = np.dtype(dtype).itemsize
            self._check_room(count, size)
            return self._remember(index, Storage(self._take(count * size), dtype))
        return self._tensor(self._remember(index, StoredTensor()))

    def _tensor(self, tensor: StoredTensor) -> StoredTensor:
        dimensions = self._int()
        if not 0 <= dimensions <= MAX_DIMENSIONS:
            raise self._error(f'a tensor of {dimensions} dimensions')
        tensor.sizes = tuple(self._long() for _ in range(dimensions))
        tensor.strides = tuple(self._long() for _ in range(dimensions))
        tensor.offset = self._long()
        tensor.storage = self.value()
        return tensor

    def _remember(self, index: int, thing: Any) -> Any:
        """Make a value known before its parts are read: they may refer to it."""
        self._known[index] = thing
        return thing

    def _string(self) -> str:
        return bytes(self._take(self._int())).decode('latin-1')

    def _int(self) -> int:
        return int(struct.unpack('<i', self._take(4))[0])

    def _long(self) -> int:
        return int(struct.unpack('<q', self._take(8))[0])

    def _take(self, count: int) -> memoryview:
        self._check_room(count, 1)
        start, self._position = self._position, self._position + count
        return self._data[start : self._position]

    def _check_room(self, count: int, size: int) -> None:
        remaining = len(self._data) - self._position
        if count < 0:
            raise self._error(f'a negative count ({count})')
        if count * size > remaining:
            raise self._error(
                f'a declaration of {count * size} bytes where {remaining} remain: it is truncated '
                'or no Torch7 file'
            )

    def _error(self, problem: str) -> ImportWeightsError:
        return ImportWeightsError(f'at byte {self._position} the file has {problem}')
