"""How the field evaluates each dataset: formats, intrinsics and parts of the test sets.

Pixel results of ICVL, NYU and MSRA are turned into millimetres with the intrinsics of
xinghaochen/awesome-hand-pose-estimation (evaluation/src/util.py), which published figures use.
They differ slightly from those that readers use (ICVL 240.99 for 241.42).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.datasets.conventions import Convention, CONVENTIONS
from v2v_pose_ros.datasets.msra import SUBJECT_COUNTS
from v2v_pose_ros.skeletons import Skeleton

Format = Literal['pixel', 'world']


@dataclass(frozen=True)
class Protocol:
    """How results on one dataset are compared.

    Attributes:
        convention: the dataset's joints, units and axes.
        camera: the intrinsics that turn u, v, d into positions.
        format: what result files hold when nothing else is said.
        people: whether errors are told in centimetres and as mAP at 10 cm, as for whole bodies.
        test_sets: the published test sets, each as the names and sizes of its parts in order.
    """

    convention: Convention
    camera: Camera
    format: Format
    people: bool
    test_sets: tuple[tuple[tuple[str, int], ...], ...]

    @property
    def skeleton(self) -> Skeleton:
        """The joints."""
        return self.convention.skeleton

    def test_set(self, frames: int) -> tuple[tuple[str, int], ...] | None:
        """Return the published test set with this number of frames, if there is one."""
        for parts in self.test_sets:
            if sum(size for _, size in parts) == frames:
                return parts
        return None

    def parts(self, frames: int) -> list[tuple[str, slice]]:
        """Return the parts of a whole test set; none for other numbers of frames."""
        parts = self.test_set(frames) or ()
        if len(parts) < 2:
            return []
        bounds = pairwise(accumulate((size for _, size in parts), initial=0))
        return [(name, slice(*ends)) for (name, _), ends in zip(parts, bounds, strict=True)]


def _msra(version: int) -> tuple[tuple[str, int], ...]:
    return tuple((f'P{k}', counts[version]) for k, counts in enumerate(SUBJECT_COUNTS))


def _protocol(
    name: str,
    form: Format,
    *test_sets: tuple[tuple[str, int], ...],
    focal: tuple[float, float] | None = None,
) -> Protocol:
    convention = CONVENTIONS[name]
    fx, fy = focal or (convention.camera.fx, convention.camera.fy)
    camera = replace(convention.camera, fx=fx, fy=fy)
    return Protocol(convention, camera, form, convention.skeleton.name == 'body', test_sets)


_ITOP_TEST = (('test', 4_863),)

PROTOCOLS = {
    protocol.convention.name: protocol
    for protocol in (
        _protocol(
            'icvl', 'pixel', (('sequence 1', 702), ('sequence 2', 894)), focal=(240.99, 240.96)
        ),
        _protocol(
            'nyu', 'pixel', (('subject 1', 2_440), ('subject 2', 5_812)), focal=(588.03, 587.07)
        ),
        _protocol('msra', 'pixel', _msra(0), _msra(-1)),
        _protocol('hands2017', 'world', (('test', 295_510),)),
        _protocol('itop_front', 'world', _ITOP_TEST),
        _protocol('itop_top', 'world', _ITOP_TEST),
    )
}
"""The protocols by the names that the command line uses."""
