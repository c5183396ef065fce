"""The pose node's parameters."""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros import defaults
from v2v_pose_ros.ros.declarations import parameter, ParameterError, Parameters
from v2v_pose_ros.ros.qos import QOS_PROFILES

_DEVICE = re.compile(r'auto|cpu|cuda(:\d+)?')
_SMALLEST_CUBE = 0.05  # m


NO_LIMIT = 100.0
"""A workspace that reaches so far (m) has no limit there."""


def _workspace_limit(which: str, axis: str, default: float) -> Any:
    return parameter(
        default,
        f'The {which} {axis} (m) of the workspace; {default:g} is no limit.',
        live=True,
        span=(-NO_LIMIT, NO_LIMIT),
    )


def _publication(topic: str) -> Any:
    return parameter(True, f'Whether to publish {topic} when somebody subscribes.', live=True)


@dataclass(frozen=True)
class NodeParameters(Parameters):
    """All parameters of the node, checked. Lengths are metres, times seconds."""

    autostart: bool = parameter(
        True,
        'True: the node configures and activates itself. False: it waits for somebody who manages '
        'its lifecycle (ros2 lifecycle set).',
    )
    model: str = parameter(
        defaults.MODEL,
        'Model file: a path, or the name of a shipped one (v2v-pose models lists them). Several, '
        'separated by commas, are averaged, which costs as much time as they are many.',
    )
    device: str = parameter(
        'auto',
        'Where the network runs: auto (a GPU if there is one), cpu, cuda or cuda:N.',
    )
    runtime: str = parameter(
        'auto',
        'What executes the network: auto takes the fastest installed.',
        choices=defaults.RUNTIMES,
    )
    subject: str = parameter(
        'hand',
        'Name of the subject: prefix of its TF frames, namespace of its markers. Two nodes on one '
        'robot need two names.',
    )
    handedness: str = parameter(
        defaults.HANDEDNESS,
        'Which hand the camera sees; auto finds out, for every subject on its own.',
        choices=defaults.HANDEDNESSES,
    )
    max_subjects: int = parameter(
        defaults.MAX_SUBJECTS,
        'How many subjects are followed at most, the nearest of those in view first. Each costs '
        'a pass of the network. One has the name subject; several are told apart by numbers.',
        live=True,
        span=(1, 10),
    )
    prefer: str = parameter(
        defaults.PREFERENCE,
        'Who is acquired first, with tracking: the nearest, or who is moving, before a camera '
        'that stands still; where nobody moves, the nearest.',
        live=True,
        choices=defaults.PREFERENCES,
    )
    rectified: bool = parameter(
        False,
        'True: the depth image is rectified, so P of camera_info applies. False: K and the '
        'distortion D apply. It makes no difference to a camera whose D is zero.',
    )
    qos_profile: str = parameter(
        'sensor_data',
        'Quality of service of the subscriptions: sensor_data (best effort), default (reliable) '
        'or system_default. Best effort receives from every publisher.',
        choices=QOS_PROFILES,
    )
    min_depth: float = parameter(
        defaults.DEPTH_RANGE[0],
        'Measurements nearer than this (m) are ignored.',
        live=True,
        span=(0.0, 20.0),
    )
    max_depth: float = parameter(
        defaults.DEPTH_RANGE[1],
        'Measurements farther than this (m) are ignored.',
        live=True,
        span=(0.0, 20.0),
    )
    reference: str = parameter(
        'search',
        'Where the subject is looked for: search (everywhere), point (about the newest point on '
        '~/reference_point), region (among the pixels of ~/region_of_interest) or frame (about '
        'the origin of reference_frame).',
        choices=('search', 'point', 'region', 'frame'),
    )
    reference_frame: str = parameter(
        '', 'TF frame about whose origin the subject is looked for, with reference: frame.'
    )
    reference_timeout: float = parameter(
        0.5,
        'A point or region that came longer ago than this (s) does not count.',
        live=True,
        span=(0.01, 3600.0),
    )
    workspace_frame: str = parameter(
        '', 'TF frame of the workspace, outside of which nothing counts; empty: the camera.'
    )
    workspace_min_x: float = _workspace_limit('least', 'x', -NO_LIMIT)
    workspace_min_y: float = _workspace_limit('least', 'y', -NO_LIMIT)
    workspace_min_z: float = _workspace_limit('least', 'z', -NO_LIMIT)
    workspace_max_x: float = _workspace_limit('greatest', 'x', NO_LIMIT)
    workspace_max_y: float = _workspace_limit('greatest', 'y', NO_LIMIT)
    workspace_max_z: float = _workspace_limit('greatest', 'z', NO_LIMIT)
    output_frame: str = parameter(
        '',
        'TF frame of the skeletons, poses, markers and points; empty: the optical frame of the '
        'image. Joint frames in TF are always children of the optical frame.',
    )
    cube_size: float = parameter(
        0.0,
        'Edge (m) of the cube around the subject that the network sees; 0 takes the one that the '
        'model was trained with.',
        live=True,
        span=(0.0, 5.0),
    )
    passes: int = parameter(
        defaults.PASSES,
        'How often the network looks at an image in which it searches for the subject: every pass '
        'after the first centres the cube on the joints found before.',
        live=True,
        span=(1, 4),
    )
    refinement: str = parameter(
        '',
        'Model file of a network that refines the reference point where the subject is searched '
        'for: a path, or the name of a shipped one; empty: none.',
    )
    flip_test: bool = parameter(
        False,
        'True: the network sees people in the mirror, too, and the two results are averaged, '
        'which takes twice its time. Hands are not symmetric: nothing changes for them.',
    )
    tracking: bool = parameter(
        True,
        'True: look first, in a single pass, where the subject was an image ago. False: search '
        'in every image, which takes longer.',
        live=True,
    )
    min_confidence: float = parameter(
        defaults.MIN_CONFIDENCE,
        'A skeleton whose mean joint confidence (0 to 1) is below this counts as not found.',
        live=True,
        span=(0.0, 1.0),
    )
    acquire_margin: float = parameter(
        defaults.ACQUIRE_MARGIN,
        'With tracking, a new subject needs this much more mean confidence than one that is '
        'followed, so that none flickers.',
        live=True,
        span=(0.0, 1.0),
    )
    acquire_time: float = parameter(
        0.0,
        'With tracking, a new subject counts once it was seen for this time (s) without a gap.',
        live=True,
        span=(0.0, 10.0),
    )
    lose_time: float = parameter(
        defaults.LOSE_TIME,
        'With tracking, a subject not seen for this time (s) is lost: what is seen then is '
        'a new one. Several periods of the camera are needed.',
        live=True,
        span=(0.05, 10.0),
    )
    filter: bool = parameter(
        False,
        'Whether to steady the joints with a One Euro filter; they then lag behind fast motion.',
        live=True,
    )
    filter_min_cutoff: float = parameter(
        defaults.FILTER_MIN_CUTOFF,
        'Cutoff frequency (Hz) of the filter for a joint at rest: lower is steadier.',
        live=True,
        span=(0.01, 100.0),
    )
    filter_beta: float = parameter(
        defaults.FILTER_BETA,
        'How much the cutoff rises with the speed of a joint (Hz per m/s): higher lags less.',
        live=True,
        span=(0.0, 10000.0),
    )
    marker_lifetime: float = parameter(
        0.3, 'Markers vanish when not renewed for this time (s).', live=True, span=(0.0, 10.0)
    )
    publish_tf: bool = parameter(
        True, 'Whether to broadcast a TF frame for every joint.', live=True
    )
    publish_hri: bool = parameter(
        False,
        'Whether to publish people as REP 155 has it, where hri_msgs is installed: '
        '/humans/bodies/tracked, /humans/bodies/<id>/skeleton2d and the TF frames body_<id>.',
        live=True,
    )
    publish_poses: bool = _publication('~/poses')
    publish_markers: bool = _publication('~/markers')
    publish_points: bool = _publication('~/points')
    publish_overlay: bool = _publication('~/overlay')
    diagnostics_period: float = parameter(
        1.0, 'Time (s) between two messages on /diagnostics.', span=(0.1, 60.0)
    )

    @property
    def models(self) -> tuple[str, ...]:
        """The model files, as many as are averaged."""
        return tuple(name.strip() for name in self.model.split(','))

    @property
    def depth_range(self) -> tuple[float, float]:
        """The nearest and the farthest depth (m) that counts."""
        return self.min_depth, self.max_depth

    @property
    def workspace(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest coordinates [3] of the workspace, infinite for no limit."""
        low = np.array([self.workspace_min_x, self.workspace_min_y, self.workspace_min_z])
        high = np.array([self.workspace_max_x, self.workspace_max_y, self.workspace_max_z])
        low[low <= -NO_LIMIT], high[high >= NO_LIMIT] = -np.inf, np.inf
        return low, high

    @property
    def needs_transforms(self) -> bool:
        """Whether anything is said in another frame than the camera's."""
        frames = (self.workspace_frame, self.output_frame)
        return any(frames) or self.reference in ('point', 'frame')

    def check(self) -> None:
        """Raise ParameterError for what a range alone cannot express."""
        super().check()
        if not all(self.models):
            raise ParameterError(
                f'model is {self.model!r}; it must name a model file, or several separated by '
                'commas'
            )
        if not _DEVICE.fullmatch(self.device):
            raise ParameterError(
                f'device is {self.device!r}; it must be auto, cpu, cuda or cuda:N'
            )
        if not re.fullmatch(defaults.SUBJECT_NAME, self.subject):
            raise ParameterError(
                f'subject is {self.subject!r}; it must start with a letter and go on with '
                'letters, digits and underscores, because it names TF frames'
            )
        if self.reference == 'frame' and not self.reference_frame:
            raise ParameterError(
                "reference is 'frame' and reference_frame is empty; name the TF frame about which "
                'the subject is looked for'
            )
        for axis in 'xyz':
            least = getattr(self, f'workspace_min_{axis}')
            greatest = getattr(self, f'workspace_max_{axis}')
            if not least < greatest:
                raise ParameterError(
                    f'workspace_min_{axis} is {least:g} m and workspace_max_{axis} '
                    f'{greatest:g} m; workspace_min_{axis} must be smaller'
                )
        if 0 < self.cube_size < _SMALLEST_CUBE:
            raise ParameterError(
                f'cube_size is {self.cube_size:g} m; it must be 0, for the one that the model was '
                f'trained with, or at least {_SMALLEST_CUBE:g}'
            )
        if not self.min_depth < self.max_depth:
            raise ParameterError(
                f'min_depth is {self.min_depth:g} m and max_depth {self.max_depth:g} m; '
                'min_depth must be smaller'
            )
