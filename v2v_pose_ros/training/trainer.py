"""The training loop: main, train, validate, and a checkpoint that resumes exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
import math
import os
from pathlib import Path
import signal
import time
from typing import Any

import torch
from torch import distributed, nn, Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from v2v_pose_ros.models import load_model, ModelInfo, save_model
from v2v_pose_ros.networks.baselines import BaselineNet
from v2v_pose_ros.networks.build import kind_of, make_network
from v2v_pose_ros.networks.refinement import RefinementNet
from v2v_pose_ros.networks.v2v import PoseNet, V2VPoseNet
from v2v_pose_ros.networks.widening import widen
from v2v_pose_ros.runtimes import choose_device
from v2v_pose_ros.training.batch import Batch
from v2v_pose_ros.training.config import ConfigError, OptimiserConfig, RecordedConfig, TrainConfig
from v2v_pose_ros.training.data import training_batches, validation_batches
from v2v_pose_ros.training.losses import pose_loss, predicted_joints, shown_subjects
from v2v_pose_ros.training.muon import Muon


def make_optimisers(
    network: nn.Module, config: OptimiserConfig
) -> tuple[torch.optim.Optimizer, ...]:
    """Return RMSProp as published (alpha 0.99, eps 1e-8), AdamW, or Muon and AdamW.

    Muon takes the weights of convolutions but those of the head, AdamW the rest of a network.
    """
    rate, decay = config.learning_rate, config.weight_decay
    if config.name == 'rmsprop':
        parameters = network.parameters()
        return (torch.optim.RMSprop(parameters, rate, alpha=0.99, eps=1e-8, weight_decay=decay),)
    if config.name == 'adamw':
        return (torch.optim.AdamW(network.parameters(), rate, weight_decay=decay),)
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        own = hidden if parameter.ndim > 2 and not name.startswith('head.') else rest
        own.append(parameter)
    return (
        Muon(hidden, rate, weight_decay=decay),
        torch.optim.AdamW(rest, rate, weight_decay=decay),
    )


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate at a step: linear warm-up, constant, linear cool-down to zero."""
    options = config.optimiser
    rise = min(1.0, (step + 1) / (options.warmup_steps + 1))
    cooling = options.cooldown * config.steps
    fall = min(1.0, (config.steps - step) / cooling) if cooling else 1.0
    return options.learning_rate * rise * fall


class Trainer:
    """One experiment in one folder: checkpoint, TensorBoard log and model file."""

    def __init__(self, config: TrainConfig, folder: Path, device: torch.device) -> None:
        """Create the network and the optimiser, or take up the folder's checkpoint."""
        self.config, self.folder, self.device = config, folder, device
        self.rank = distributed.get_rank() if distributed.is_initialized() else 0
        self.world = distributed.get_world_size() if distributed.is_initialized() else 1
        torch.manual_seed(config.seed)
        self.codec = config.make_codec()
        network = self._untrained()
        self._memory_format = torch.contiguous_format
        if config.channels_last:
            flat = network.config.dimensions == 2
            self._memory_format = torch.channels_last if flat else torch.channels_last_3d
            network.to(memory_format=self._memory_format)  # type: ignore[call-overload]
        self.network = network.to(device)
        self.average: AveragedModel | None = None
        if config.optimiser.average:
            self.average = AveragedModel(
                self.network,
                multi_avg_fn=get_ema_multi_avg_fn(config.optimiser.average),
                use_buffers=True,
            )
        self.optimisers = make_optimisers(self.network, config.optimiser)
        self.step, self.seconds = 0, 0.0
        self.errors: dict[str, float] = {}
        self.terminated = False  # whether SIGTERM has ended the run
        if self.checkpoint.is_file():
            self._resume()
        self.parallel: nn.Module = self.network
        if self.world > 1:
            self.parallel = DistributedDataParallel(self.network)

    def _untrained(self) -> V2VPoseNet | BaselineNet | RefinementNet:
        """Return the network as the first step finds it."""
        config = self.config
        network = make_network(config.make_network())
        if config.start_from is not None:
            start = load_model(config.start_from, config.skeleton, kind_of(network.config))
            try:
                widen(start.network, network)
            except ValueError as error:
                raise ConfigError(f'start_from: {config.start_from}: {error}') from error
        elif config.network.published_initialisation and isinstance(network, PoseNet):
            network.initialise_as_published()
        return network

    @property
    def checkpoint(self) -> Path:
        """The file that a later run continues from."""
        return self.folder / 'checkpoint.pt'

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state['optimiser'] != self.config.optimiser.name:
            raise ConfigError(
                f'{self.checkpoint} was written with another optimiser than '
                f'{self.config.optimiser.name}; take another folder, or a start_from'
            )
        self.network.load_state_dict(state['network'])
        for optimiser, values in zip(self.optimisers, state['optimisers'], strict=True):
            optimiser.load_state_dict(values)
        if self.average is not None:
            self.average.load_state_dict(state['average'])
        self.step, self.seconds = state['step'], state['seconds']

    def save(self) -> None:
        """Write the checkpoint in one piece: a kill at any moment leaves the old or the new."""
        state: dict[str, Any] = {
            'network': self.network.state_dict(),
            'optimiser': self.config.optimiser.name,
            'optimisers': [optimiser.state_dict() for optimiser in self.optimisers],
            'average': self.average.state_dict() if self.average is not None else None,
            'step': self.step,
            'seconds': self.seconds,
        }
        part = self.checkpoint.with_suffix('.part')
        torch.save(state, part)
        os.replace(part, self.checkpoint)

    def forward(self, network: nn.Module, grids: Tensor) -> Tensor:
        """Return the network's output under the experiment's precision."""
        grids = grids.contiguous(memory_format=self._memory_format)
        enabled = self.config.precision == 'bfloat16'
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            output: Tensor = network(grids)
        return output

    def train_step(self, batch: Batch) -> float:
        """Do one step and return its loss."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group['lr'] = learning_rate(self.config, self.step)
        output = self.forward(self.parallel, batch.grids)
        loss = pose_loss(output, batch.joints, batch.references, self.codec, self.config.loss)
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.optimiser.gradient_clip:
            nn.utils.clip_grad_norm_(
                self.network.parameters(), self.config.optimiser.gradient_clip
            )
        for optimiser in self.optimisers:
            optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.step += 1
        return float(loss.detach())

    @property
    def result(self) -> nn.Module:
        """The network that is worth keeping: the average where there is one."""
        return self.average.module if self.average is not None else self.network

    @torch.inference_mode()
    def validate(self, batches: list[Batch]) -> dict[str, float]:
        """Return mean and median joint error in millimetres and the share within 20 mm."""
        network = self.result.eval()
        errors = []
        for batch in batches:
            output = self.forward(network, batch.grids)
            joints = predicted_joints(output, batch.references, self.codec)
            shown = shown_subjects(batch.joints, batch.references, self.codec)
            errors.append((joints - batch.joints)[shown].norm(dim=-1) * 1000)
        network.train()
        error = torch.cat(errors)
        return {
            'mean_mm': float(error.mean()),
            'median_mm': float(error.median()),
            'joints_within_20mm': float((error <= 20).float().mean()),
        }

    def run(self, minutes: float | None = None) -> bool:
        """Train until the last step or for some minutes; return whether it is finished."""
        self.folder.mkdir(parents=True, exist_ok=True)
        first = self.rank == 0
        validation = validation_batches(self.config, self.device) if first else []
        log = SummaryWriter(str(self.folder / 'log'), purge_step=self.step) if first else None
        end = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self.network.train()
        batches = training_batches(self.config, self.device, self.step, self.rank, self.world)
        with _termination() as terminated, _faint_numbers_are_zero():
            since = _Progress()
            for batch in batches:
                since.add(self.train_step(batch))
                self.terminated = terminated()
                stop = self.terminated or time.monotonic() > end
                done = self.step == self.config.steps or self._agree(stop)
                if not done and self.step % self.config.checkpoint_every:
                    continue
                self.seconds += since.seconds
                if log is not None:
                    rate = since.steps * self.config.batch * self.world / since.seconds
                    self.errors = self.validate(validation)
                    self._report(log, since.loss / since.steps, rate)
                    self.save()
                    self.export()
                if done:
                    break
                since = _Progress()
        if log is not None:
            log.close()
        return self.step == self.config.steps

    def _report(self, log: SummaryWriter, loss: float, rate: float) -> None:
        """Write what was measured since the last report to the log and in a line."""
        values = {'loss': loss, 'samples_per_second': rate, **self.errors}
        for key, value in values.items():
            log.add_scalar(key, value, self.step)
        print(
            f'step {self.step}/{self.config.steps}  loss {loss:.4f}  '
            f'mean {self.errors["mean_mm"]:.2f} mm  '
            f'median {self.errors["median_mm"]:.2f} mm  {rate:.1f} samples/s',
            flush=True,
        )

    @property
    def _data(self) -> str:
        data = self.config.data
        return data.dataset if isinstance(data, RecordedConfig) else f'synthetic {data.source}'

    def _agree(self, stop: bool) -> bool:
        """Return whether any process wants to stop: all do, or the others would wait for it."""
        if self.world == 1:
            return stop
        wish = torch.tensor(float(stop), device=self.device)
        distributed.all_reduce(wish, distributed.ReduceOp.MAX)
        return bool(wish)

    def export(self) -> Path:
        """Write the model file with what was measured."""
        samples = self.step * self.config.batch * self.world
        info = ModelInfo(
            name=self.config.name,
            skeleton=self.config.skeleton,
            network=self.network.config.to_dict(),
            codec=asdict(self.codec),
            kind=kind_of(self.network.config),
            training={
                'data': f'{samples} samples of {self._data}, seed {self.config.data.seed}',
                'recipe': f'config/train/{self.config.name}.yaml',
                'hours': f'{self.seconds / 3600:.2f}',
                'hardware': _hardware(self.device),
            },
            errors={f'validation_{key}': round(value, 4) for key, value in self.errors.items()},
        )
        path = self.folder / f'{self.config.name}.safetensors'
        save_model(path, self.result, info)
        if self.config.keep_models:
            kept = f'{self.config.name}_{self.step:07d}'
            save_model(self.folder / f'{kept}.safetensors', self.result, replace(info, name=kept))
        return path


class _Progress:
    """Steps, their losses and their time."""

    def __init__(self) -> None:
        self.loss, self.steps = 0.0, 0
        self._began = time.monotonic()

    def add(self, loss: float) -> None:
        self.loss, self.steps = self.loss + loss, self.steps + 1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


@contextmanager
def _termination() -> Iterator[Callable[[], bool]]:
    """Tell whether SIGTERM has come, instead of ending at once."""
    came = False

    def remember(*_: object) -> None:
        nonlocal came
        came = True

    previous = signal.signal(signal.SIGTERM, remember)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _faint_numbers_are_zero() -> Iterator[None]:
    """Flush denormal numbers, in this thread and those that it starts.

    The momenta of weights without gradient fade to them, and a CPU takes a hundred times as long.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _hardware(device: torch.device) -> str:
    if device.type == 'cuda':
        return f'{torch.cuda.device_count()} x {torch.cuda.get_device_name(device)}'
    return f'{torch.get_num_threads()} CPU cores'


def train(config: TrainConfig, folder: Path, device: str, minutes: float | None = None) -> bool:
    """Run or continue an experiment; under torchrun on several GPUs.

    Args:
        config: the experiment.
        folder: where its checkpoint, log and model are.
        device: 'auto', 'cpu' or 'cuda'.
        minutes: stop after so long; the checkpoint continues elsewhere.

    Returns:
        Whether the last step was done.
    """
    chosen = choose_device(device)
    several = int(os.environ.get('WORLD_SIZE', '1')) > 1
    if several:
        distributed.init_process_group('nccl' if chosen.type == 'cuda' else 'gloo')
        if chosen.type == 'cuda':
            chosen = torch.device('cuda', int(os.environ['LOCAL_RANK']))
            torch.cuda.set_device(chosen)
    try:
        return Trainer(config, folder, chosen).run(minutes)
    finally:
        if several:
            distributed.destroy_process_group()
