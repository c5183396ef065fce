"""What a pickle would do, found out without doing it.

Everything but the building of tensors and of the containers about them is refused.  So are tuples
of many parts: nested deeply, or of one another again and again, as the key of a dictionary they
take the processor's stack or time without end.
"""

from __future__ import annotations

import pickletools
import re
from typing import Any

from v2v_pose_ros.importing import ImportWeightsError

MAX_OPERATIONS = 500_000
"""Steps of a pickle; a checkpoint with the state of its optimiser has about ten thousand."""

MAX_PARTS = 1000
"""Of a tuple, those of the tuples in it counted; what describes a tensor has about thirty."""

_ALLOWED = re.compile(
    r'collections OrderedDict'
    r'|torch\._utils _rebuild_(tensor|tensor_v2|parameter)'
    r'|torch (\w+Storage|Size|device|float16|float32|float64|bfloat16|int64)'
    r'|torch\.storage (Untyped|Typed)Storage'
)
_TUPLES = ('TUPLE', 'TUPLE1', 'TUPLE2', 'TUPLE3')
_MARK = -1


def check_pickle(data: bytes, number: int) -> None:
    """Refuse a pickle that calls anything but the building of tensors; run nothing of it.

    Args:
        data: bytes that begin with the pickle.
        number: of the pickle in its file, for the error.

    Raises:
        ImportWeightsError: it is damaged, too long, or would do something else.
    """
    sizes = _Sizes()
    try:
        for step, (operation, argument, _) in enumerate(pickletools.genops(data)):
            if step > MAX_OPERATIONS:
                raise ImportWeightsError(f'its pickle has more than {MAX_OPERATIONS} steps')
            if operation.name in ('GLOBAL', 'INST', 'STACK_GLOBAL'):
                _check_call(operation.name, str(argument or 'something'))
            sizes.follow(operation, argument)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, ImportWeightsError):
            raise
        raise ImportWeightsError(f'its pickle (number {number}) is damaged: {error}') from error


def _check_call(operation: str, called: str) -> None:
    if operation != 'GLOBAL' or not _ALLOWED.fullmatch(called):
        raise ImportWeightsError(
            f'its pickle calls for {called.replace(" ", ".")[:120]!r}, which could run code: it '
            'is a whole pickled module, not a state dict; in the program that made it, save '
            'torch.save(model.state_dict(), FILE)'
        )


class _Sizes:
    """How many parts the tuples have that the values on a pickle's stack and in its memo hold."""

    def __init__(self) -> None:
        self._stack: list[int] = []
        self._memo: dict[int, int] = {}

    def follow(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        """Do to the sizes what an operation does to the values."""
        name = operation.name
        if name == 'MARK':
            self._stack.append(_MARK)
        elif name in ('PUT', 'BINPUT', 'LONG_BINPUT'):
            self._memo[int(argument)] = self._stack[-1]
        elif name == 'MEMOIZE':
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in ('GET', 'BINGET', 'LONG_BINGET'):
            self._stack.append(self._memo[int(argument)])
        else:
            parts = self._take(operation)
            size = len(parts) + sum(parts) if name in _TUPLES else max(parts, default=0)
            if size > MAX_PARTS:
                raise ImportWeightsError(
                    f'its pickle has a tuple of more than {MAX_PARTS} parts; no state dict has'
                )
            self._stack.extend([size] * len(operation.stack_after))

    def _take(self, operation: pickletools.OpcodeInfo) -> list[int]:
        """Take from the stack what an operation takes, down to the last mark where it says so."""
        before, taken = operation.stack_before, []
        count = len(before)
        if pickletools.markobject in before:
            while (size := self._stack.pop()) != _MARK:
                taken.append(size)
            count = before.index(pickletools.markobject)
        taken.extend(self._stack.pop() for _ in range(count))
        return taken
