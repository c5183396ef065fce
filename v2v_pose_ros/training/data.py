"""Where a training's batches come from, and who makes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from v2v_pose_ros.training.batch import Batch
from v2v_pose_ros.training.config import RecordedConfig, TrainConfig
from v2v_pose_ros.training.recorded import RecordedFrames
from v2v_pose_ros.training.synthetic import SyntheticScenes

_VALIDATION_SEED = 1_000_003  # added to the experiment's seed; no training step reaches it


def make_source(
    config: TrainConfig, device: torch.device | str = 'cpu', validation: bool = False
) -> Dataset[Batch]:
    """Return the source of an experiment's batches, those of the validation on request."""
    if isinstance(config.data, RecordedConfig):
        return RecordedFrames(config, config.data, validation)
    seed = config.data.seed + validation * _VALIDATION_SEED
    return SyntheticScenes(config, config.data, seed, device)


class _Steps:
    """The steps that are still to be done, as a sampler."""

    def __init__(self, first: int, last: int, stride: int) -> None:
        self.steps = range(first, last, stride)

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def training_batches(
    config: TrainConfig, device: torch.device, first: int, rank: int = 0, world: int = 1
) -> Iterator[Batch]:
    """Yield batches from a step on: made by workers, but for scenes rendered on a GPU."""
    data = config.data
    first, last = first * world + rank, config.steps * world
    recorded = isinstance(data, RecordedConfig)
    if data.workers == 0 or (device.type != 'cpu' and not recorded):
        source = make_source(config, device)
        for step in range(first, last, world):
            yield source[step].to(device)
        return
    loader = DataLoader(
        make_source(config),
        batch_size=None,
        sampler=_Steps(first, last, world),
        num_workers=data.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4,
    )
    for batch in loader:
        yield batch.to(device)


def validation_batches(config: TrainConfig, device: torch.device) -> list[Batch]:
    """Return the fixed validation batches."""
    source = make_source(config, validation=True)
    count = -(-config.validation_samples // config.batch)
    return [source[index].to(device) for index in range(count)]
