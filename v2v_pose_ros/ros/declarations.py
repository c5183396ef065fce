"""Parameters of a node as a frozen dataclass: declared, described and checked in one place.

A node's parameters are a subclass of ``Parameters`` whose fields are made with ``parameter``.
``declare`` is called once; what it returns is what the rest of the node uses. Parameters that may
change while the node runs give a new dataclass, through ``updated``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, Field, field, fields, replace
import math
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

_KINDS = {
    bool: 'true or false',
    int: 'a whole number',
    float: 'a number; write whole numbers with a point, as in 1.0',
    str: "a text; put it in quotes, as in '1'",
}


class ParameterError(ValueError):
    """A parameter cannot have the value it was given; the text says why."""


def parameter(
    default: Any,
    description: str,
    *,
    live: bool = False,
    choices: Iterable[str] = (),
    span: tuple[float, float] | None = None,
) -> Any:
    """Describe one field of ``Parameters``.

    Args:
        default: its value, which also says its type.
        description: what it means, for `ros2 param describe`.
        live: whether it may change while the node runs.
        choices: the texts that are possible; any by default.
        span: the least and the greatest number that is possible; any by default.
    """
    metadata = {'description': description, 'live': live, 'choices': tuple(choices), 'span': span}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Parameters:
    """All parameters of a node; a subclass has the fields."""

    def check(self) -> None:
        """Raise ParameterError for what a range alone cannot express."""
        for entry in fields(self):
            choices, value = entry.metadata['choices'], getattr(self, entry.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ParameterError(f'{entry.name} is {value}; it must be a finite number')
            if choices and value not in choices:
                raise ParameterError(
                    f'{entry.name} is {value!r}; it must be one of {", ".join(choices)}'
                )


Kind = TypeVar('Kind', bound=Parameters)


def declare(node: Node, kind: type[Kind]) -> Kind:
    """Declare every parameter of a kind on a node and return their values.

    Raises ParameterError, naming the parameter and the reason, when one was given a value (on the
    command line or in a file) that it cannot have.
    """
    values: dict[str, Any] = {}
    for entry in fields(kind):
        try:
            declared = node.declare_parameter(entry.name, entry.default, _descriptor(entry))
        except InvalidParameterTypeException as error:
            raise ParameterError(_type_problem(entry, error)) from None
        except (InvalidParameterValueException, ParameterException) as error:
            raise ParameterError(_range_problem(entry, error)) from None
        values[entry.name] = declared.value
    parameters = kind(**values)
    parameters.check()
    return parameters


def updated(parameters: Kind, changes: Iterable[Parameter]) -> Kind:
    """Return the parameters with changes made while the node runs.

    Parameters of other origin (use_sim_time, qos overrides) are passed over. Raises
    ParameterError when the change is not possible; type, range and read-only flags were checked
    by rclpy before.
    """
    known = {entry.name for entry in fields(parameters)}
    changed = replace(
        parameters, **{change.name: change.value for change in changes if change.name in known}
    )
    changed.check()
    return changed


def _descriptor(entry: Field[Any]) -> ParameterDescriptor:
    metadata = entry.metadata
    descriptor = ParameterDescriptor(
        description=metadata['description'], read_only=not metadata['live']
    )
    if metadata['choices']:
        descriptor.additional_constraints = f'One of {", ".join(metadata["choices"])}.'
    if metadata['span']:
        low, high = metadata['span']
        if isinstance(entry.default, int):
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def _type_problem(entry: Field[Any], error: Exception) -> str:
    kind = type(entry.default)
    return f'{entry.name} must be of type {kind.__name__}, {_KINDS[kind]} ({error})'


def _range_problem(entry: Field[Any], error: Exception) -> str:
    if entry.metadata['span']:
        low, high = entry.metadata['span']
        return f'{entry.name} must be from {low:g} to {high:g} ({error})'
    return f'{entry.name}: {error}'
