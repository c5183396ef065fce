"""What every runtime must hold: it finds the joints that float32 torch finds.

A runtime that computes in fewer bits may differ a little, one that is broken differs a lot; both
are seen on a few figures (probes.py).  Where the reference itself wavers between two places, as
untrained networks do, a joint says nothing about the runtime, and the heatmaps alone count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
import json
import logging
import math
import time

import torch
from torch import Tensor

from v2v_pose_ros import __version__
from v2v_pose_ros.models import checksum, Model
from v2v_pose_ros.runtimes.cache import ArtefactCache
from v2v_pose_ros.runtimes.probes import probe_grids
from v2v_pose_ros.voxels import VoxelCodec

_LOG = logging.getLogger(__name__)

Network = Callable[[Tensor], Tensor]

_VOXELS = 4 * 64**3  # of all figures compared: a large network takes its time in float32

_TIED = 0.1  # share of a peak's height by which another place must be lower to be no rival

_NOISE = 4  # standard deviations of the difference that make no peak


class RuntimeMismatchError(ValueError):
    """A runtime computes something else than torch."""


@dataclass(frozen=True)
class Tolerance:
    """How far a runtime may be from float32.

    Attributes:
        joints: heatmap cells by which the joint that differs most moves, median of the figures.
        heatmaps: root mean square of the output's difference, as a share of the output's own.
    """

    joints: float
    heatmaps: float


TOLERANCES = {
    'float32': Tolerance(0.01, 1e-3),
    'bfloat16': Tolerance(0.1, 0.05),
    'float16': Tolerance(0.1, 0.05),
    'int8': Tolerance(0.25, 0.25),
}
"""By precision."""


@dataclass(frozen=True)
class Check:
    """What a comparison with float32 torch found.

    Attributes:
        joints_mm: how far the joint that differs most is from where torch has it: the median of
            the figures, millimetres; 0 where no joint counts.
        heatmaps: root mean square of the output's difference, as a share of the output's own.
        compared: joints that counted.
    """

    joints_mm: float
    heatmaps: float
    compared: int

    def describe(self) -> str:
        """Return it in words."""
        return (
            f'joints within {self.joints_mm:.2f} mm of float32'
            if self.compared
            else f'heatmaps within {100 * self.heatmaps:.2g} % of float32'
        )

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)


def make_checked(
    model: Model,
    name: str,
    precision: str,
    settings: Mapping[str, object],
    make: Callable[[], bytes],
    load: Callable[[bytes], Network],
    cache: ArtefactCache | None = None,
) -> tuple[Network, Check]:
    """Return a network ready to run that was compared with float32 when it was made.

    Args:
        model: the model.
        name: the runtime's name.
        precision: what it computes in, one of `TOLERANCES`.
        settings: what else the compiled network depends on: versions, device, threads.
        make: compiles the network.
        load: makes a compiled network ready to run.
        cache: where compiled networks are kept.

    Raises:
        RuntimeMismatchError: it computes something else than torch.
    """
    began = time.perf_counter()
    key = {
        'package': __version__,
        'network': checksum(model.network.state_dict(), model.info),
        'runtime': name,
        'precision': precision,
        **settings,
    }
    made: list[tuple[Network, Check]] = []

    def make_and_check() -> bytes:
        compiled = make()
        run = load(compiled)
        found = check(model, run, precision, name)
        made.append((run, found))
        return json.dumps(found.to_dict()).encode() + b'\n' + compiled

    def load_checked(artefact: bytes) -> tuple[Network, Check]:
        if made:
            return made[0]
        text, _, compiled = artefact.partition(b'\n')
        return load(compiled), Check(**json.loads(text))

    run, found = (cache or ArtefactCache()).fetch(key, make_and_check, load_checked)
    _LOG.info(
        '%s for %s: %s, %s in %.1f s',
        name,
        model.info.name,
        found.describe(),
        'made' if made else 'taken from the cache',
        time.perf_counter() - began,
    )
    return run, found


@torch.inference_mode()
def check(model: Model, run: Network, precision: str, name: str) -> Check:
    """Compare a runtime with the model's network in float32 on the CPU.

    Args:
        model: the model.
        run: the runtime.
        precision: what it computes in, one of `TOLERANCES`.
        name: what the error calls it.

    Raises:
        RuntimeMismatchError: it is farther away than its precision explains.
    """
    codec = model.info.make_codec()
    count = min(4, max(2, _VOXELS // codec.input_size**3))
    grids = probe_grids(codec, model.info.get_skeleton(), count)
    outputs = [(model.network(grid), run(grid).float().cpu().clone()) for grid in grids.split(1)]
    found = compare_outputs(codec, outputs)
    tolerance = TOLERANCES[precision]
    allowed_mm = 1e3 * tolerance.joints * codec.cell
    if not (found.joints_mm <= allowed_mm and found.heatmaps <= tolerance.heatmaps):
        raise RuntimeMismatchError(
            f'{name} is not used for {model.info.name}: it moves a joint by '
            f'{found.joints_mm:.2f} mm from where torch finds it in float32 (at most '
            f'{allowed_mm:.2f} mm are explained by {precision}), and heatmaps differ by '
            f'{100 * found.heatmaps:.2g} % (at most {100 * tolerance.heatmaps:g} %); take another '
            'runtime, and report this with the versions of the runtime and of the processor'
        )
    return found


def compare_outputs(codec: VoxelCodec, outputs: list[tuple[Tensor, Tensor]]) -> Check:
    """Compare outputs [1, J, H, H, H], pair by pair: the reference first."""
    moved, telling = [], []
    difference = size = 0.0
    origin = torch.zeros(1, 3)
    for expected, found in outputs:
        if found.shape != expected.shape or not found.isfinite().all():
            return Check(math.inf, math.inf, expected.shape[1])
        wanted, given = codec.decode(expected, origin), codec.decode(found, origin)
        moved.append((given.positions - wanted.positions)[0].norm(dim=-1))
        telling.append(_tells(codec.likelihoods(expected), codec.likelihoods(found))[0])
        difference += float((found - expected).double().square().mean())
        size += float(expected.double().square().mean())
    distance, counts = torch.stack(moved), torch.stack(telling)
    medians = [
        float(column[counting].median())
        for column, counting in zip(distance.T, counts.T, strict=True)
        if counting.any()
    ]
    return Check(
        1e3 * max(medians, default=0.0),
        math.sqrt(difference / max(size, 1e-30)),
        int(counts.sum()),
    )


def _tells(expected: Tensor, found: Tensor) -> Tensor:
    """Return which joints [B, J] tell something about the runtime, given likelihoods.

    One whose volume has no peak does not, and one whose peak went to another place does not where
    float32 itself has it almost as high there, or no lower than the outputs differ anyway: two
    places of one likelihood, or a plateau.
    """
    size = expected.shape[-1]
    volumes = expected.flatten(2)
    highest, wanted = volumes.max(-1)
    given = found.flatten(2).argmax(-1)
    apart = torch.stack(
        [wanted // size**k % size - given // size**k % size for k in range(3)]
    ).abs()
    there = volumes.gather(-1, given[..., None])[..., 0]
    noise = (found - expected).flatten(2).square().mean(-1).sqrt()
    tied = highest - there < torch.maximum(_TIED * (highest - volumes.mean(-1)), _NOISE * noise)
    stands_out = highest > 2 * volumes.mean(-1).abs()
    return stands_out & ((apart.amax(0) == 0) | ~tied)
