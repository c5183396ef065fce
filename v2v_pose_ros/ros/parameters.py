"""The node's parameters: declared, described and checked in one place.

``declare`` is called once; what it returns is a frozen dataclass that the rest of the node uses.
Parameters that may change while the node runs give a new dataclass, through ``updated``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
import re
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import (
    HistoryPolicy,
    qos_profile_sensor_data,
    qos_profile_system_default,
    QoSProfile,
    ReliabilityPolicy,
)

from v2v_pose_ros import defaults

QOS_PROFILES = ('sensor_data', 'default', 'system_default')

_QUEUE = 5  # images, as in the sensor data profile

_DEVICE = re.compile(r'auto|cpu|cuda(:\d+)?')
_SUBJECT = re.compile(r'[A-Za-z][A-Za-z0-9_]*')


class ParameterError(ValueError):
    """A parameter cannot have the value it was given; the text says why."""


def _parameter(
    default: Any,
    description: str,
    *,
    live: bool = False,
    choices: Iterable[str] = (),
    span: tuple[float, float] | None = None,
) -> Any:
    """Describe one field of ``NodeParameters``."""
    metadata = {'description': description, 'live': live, 'choices': tuple(choices), 'span': span}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NodeParameters:
    """All parameters of the node, checked. Lengths are metres, times seconds."""

    model: str = _parameter(
        defaults.MODEL,
        'Model file: a path, or the name of a shipped one (v2v-pose models lists them). Several, '
        'separated by commas, are averaged, which costs as much time as they are many.',
    )
    device: str = _parameter(
        'auto',
        'Where the network runs: auto (a GPU if there is one), cpu, cuda or cuda:N.',
    )
    runtime: str = _parameter(
        'auto',
        'What executes the network: auto takes the fastest installed.',
        choices=defaults.RUNTIMES,
    )
    subject: str = _parameter(
        'hand',
        'Name of the subject: prefix of its TF frames, namespace of its markers. Two nodes on one '
        'robot need two names.',
    )
    handedness: str = _parameter(
        defaults.HANDEDNESS,
        'Which hand the camera sees; the models know right ones.',
        choices=defaults.HANDEDNESSES,
    )
    rectified: bool = _parameter(
        False,
        'True: the depth image is rectified, so P of camera_info applies. False: K and the '
        'distortion D apply. It makes no difference to a camera whose D is zero.',
    )
    qos_profile: str = _parameter(
        'sensor_data',
        'Quality of service of the subscriptions: sensor_data (best effort), default (reliable) '
        'or system_default. Best effort receives from every publisher.',
        choices=QOS_PROFILES,
    )
    min_depth: float = _parameter(
        defaults.DEPTH_RANGE[0],
        'Measurements nearer than this (m) are ignored.',
        live=True,
        span=(0.0, 20.0),
    )
    max_depth: float = _parameter(
        defaults.DEPTH_RANGE[1],
        'Measurements farther than this (m) are ignored.',
        live=True,
        span=(0.0, 20.0),
    )
    cube_size: float = _parameter(
        0.0,
        'Edge (m) of the cube around the subject that the network sees; 0 takes the one that the '
        'model was trained with.',
        span=(0.0, 5.0),
    )
    passes: int = _parameter(
        defaults.PASSES,
        'How often the network looks at an image in which it searches for the subject: every pass '
        'after the first centres the cube on the joints found before.',
        span=(1, 4),
    )
    tracking: bool = _parameter(
        True,
        'True: look first, in a single pass, where the subject was an image ago. False: search '
        'in every image, which takes longer.',
    )
    min_confidence: float = _parameter(
        defaults.MIN_CONFIDENCE,
        'A skeleton whose mean joint confidence (0 to 1) is below this counts as not found.',
        live=True,
        span=(0.0, 1.0),
    )
    marker_lifetime: float = _parameter(
        0.3, 'Markers vanish when not renewed for this time (s).', live=True, span=(0.0, 10.0)
    )
    publish_tf: bool = _parameter(
        True, 'Whether to broadcast a TF frame for every joint.', live=True
    )
    diagnostics_period: float = _parameter(
        1.0, 'Time (s) between two messages on /diagnostics.', span=(0.1, 60.0)
    )

    @property
    def models(self) -> tuple[str, ...]:
        """The model files, as many as are averaged."""
        return tuple(name.strip() for name in self.model.split(','))

    def check(self) -> None:
        """Raise ParameterError for what a range alone cannot express."""
        for entry in fields(self):
            choices, value = entry.metadata['choices'], getattr(self, entry.name)
            if choices and value not in choices:
                raise ParameterError(
                    f'{entry.name} is {value!r}; it must be one of {", ".join(choices)}'
                )
        if not all(self.models):
            raise ParameterError(
                f'model is {self.model!r}; it must name a model file, or several separated by '
                'commas'
            )
        if not _DEVICE.fullmatch(self.device):
            raise ParameterError(
                f'device is {self.device!r}; it must be auto, cpu, cuda or cuda:N'
            )
        if not _SUBJECT.fullmatch(self.subject):
            raise ParameterError(
                f'subject is {self.subject!r}; it must start with a letter and go on with '
                'letters, digits and underscores, because it names TF frames'
            )
        if not self.min_depth < self.max_depth:
            raise ParameterError(
                f'min_depth is {self.min_depth:g} m and max_depth {self.max_depth:g} m; '
                'min_depth must be smaller'
            )


def declare(node: Node) -> NodeParameters:
    """Declare every parameter on a node and return their values.

    Raises ParameterError, naming the parameter and the reason, when one was given a value (on the
    command line or in a file) that it cannot have.
    """
    values: dict[str, Any] = {}
    for entry in fields(NodeParameters):
        try:
            parameter = node.declare_parameter(entry.name, entry.default, _descriptor(entry))
        except InvalidParameterTypeException as error:
            raise ParameterError(_type_problem(entry, error)) from None
        except (InvalidParameterValueException, ParameterException) as error:
            raise ParameterError(_range_problem(entry, error)) from None
        values[entry.name] = parameter.value
    parameters = NodeParameters(**values)
    parameters.check()
    return parameters


def updated(parameters: NodeParameters, changes: Iterable[Parameter]) -> NodeParameters:
    """Return the parameters with changes made while the node runs.

    Parameters of other origin (use_sim_time, qos overrides) are passed over. Raises
    ParameterError when the change is not possible; type, range and read-only flags were checked
    by rclpy before.
    """
    known = {entry.name for entry in fields(NodeParameters)}
    changed = replace(
        parameters, **{change.name: change.value for change in changes if change.name in known}
    )
    changed.check()
    return changed


def subscription_qos(profile: str) -> QoSProfile:
    """Return the quality of service of a subscription.

    The newest frame wins in the node, which takes each as it comes; the middleware's queue only
    bridges the moments in which a busy machine does not let the node run.
    """
    if profile == 'default':
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=_QUEUE,
            reliability=ReliabilityPolicy.RELIABLE,
        )
    base = qos_profile_sensor_data if profile == 'sensor_data' else qos_profile_system_default
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_QUEUE,
        reliability=base.reliability,
        durability=base.durability,
    )


def _descriptor(entry: Any) -> ParameterDescriptor:
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


def _type_problem(entry: Any, error: Exception) -> str:
    hint = ''
    if isinstance(entry.default, float):
        hint = '; write whole numbers with a point, as in 1.0'
    elif isinstance(entry.default, str):
        hint = "; put it in quotes, as in '1'"
    kind = type(entry.default).__name__
    return f'{entry.name} must be of type {kind} ({error}){hint}'


def _range_problem(entry: Any, error: Exception) -> str:
    if entry.metadata['span']:
        low, high = entry.metadata['span']
        return f'{entry.name} must be from {low:g} to {high:g} ({error})'
    return f'{entry.name}: {error}'
