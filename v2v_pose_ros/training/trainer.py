"""The training loop: main, train, validate, and a checkpoint that resumes exactly."""

from __future__ import annotations

from dataclasses import asdict, replace
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

from v2v_pose_ros.models import ModelInfo, save_model
from v2v_pose_ros.networks.v2v import V2VPoseNet
from v2v_pose_ros.runtimes import choose_device
from v2v_pose_ros.training.config import OptimiserConfig, RecordedConfig, TrainConfig
from v2v_pose_ros.training.data import Batch, training_batches, validation_batches
from v2v_pose_ros.training.losses import pose_loss


def make_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Return RMSProp as published (alpha 0.99, eps 1e-8) or AdamW."""
    if config.name == 'rmsprop':
        return torch.optim.RMSprop(
            network.parameters(),
            config.learning_rate,
            alpha=0.99,
            eps=1e-8,
            weight_decay=config.weight_decay,
        )
    return torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
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
        network = V2VPoseNet(config.make_network())
        if config.network.published_initialisation:
            network.initialise_as_published()
        if config.channels_last:
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.network = network.to(device)
        self.average: AveragedModel | None = None
        if config.optimiser.average:
            self.average = AveragedModel(
                self.network,
                multi_avg_fn=get_ema_multi_avg_fn(config.optimiser.average),
                use_buffers=True,
            )
        self.optimiser = make_optimiser(self.network, config.optimiser)
        self.step, self.seconds = 0, 0.0
        self.errors: dict[str, float] = {}
        if self.checkpoint.is_file():
            self._resume()
        self.parallel: nn.Module = self.network
        if self.world > 1:
            self.parallel = DistributedDataParallel(self.network)

    @property
    def checkpoint(self) -> Path:
        """The file that a later run continues from."""
        return self.folder / 'checkpoint.pt'

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state['network'])
        self.optimiser.load_state_dict(state['optimiser'])
        if self.average is not None:
            self.average.load_state_dict(state['average'])
        self.step, self.seconds = state['step'], state['seconds']

    def save(self) -> None:
        """Write the checkpoint in one piece: a kill at any moment leaves the old or the new."""
        state: dict[str, Any] = {
            'network': self.network.state_dict(),
            'optimiser': self.optimiser.state_dict(),
            'average': self.average.state_dict() if self.average is not None else None,
            'step': self.step,
            'seconds': self.seconds,
        }
        part = self.checkpoint.with_suffix('.part')
        torch.save(state, part)
        os.replace(part, self.checkpoint)

    def forward(self, network: nn.Module, grids: Tensor) -> Tensor:
        """Return the network's output under the experiment's precision."""
        if self.config.channels_last:
            grids = grids.to(memory_format=torch.channels_last_3d)
        enabled = self.config.precision == 'bfloat16'
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            output: Tensor = network(grids)
        return output

    def train_step(self, batch: Batch) -> float:
        """Do one step and return its loss."""
        for group in self.optimiser.param_groups:
            group['lr'] = learning_rate(self.config, self.step)
        output = self.forward(self.parallel, batch.grids)
        loss = pose_loss(output, batch.joints, batch.references, self.codec, self.config.loss)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.optimiser.gradient_clip:
            nn.utils.clip_grad_norm_(
                self.network.parameters(), self.config.optimiser.gradient_clip
            )
        self.optimiser.step()
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
            decoded = self.codec.decode(self.forward(network, batch.grids), batch.references)
            errors.append((decoded.positions - batch.joints).norm(dim=-1) * 1000)
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
        log = SummaryWriter(str(self.folder / 'log'), purge_step=self.step)
        validation = validation_batches(self.config, self.device)
        began, stopping = time.monotonic(), False

        def stop(*_: object) -> None:
            nonlocal stopping
            stopping = True

        previous = signal.signal(signal.SIGTERM, stop)
        last, window, count = time.monotonic(), 0.0, 0
        self.network.train()
        batches = training_batches(self.config, self.device, self.step, self.rank, self.world)
        for batch in batches:
            window, count = window + self.train_step(batch), count + 1
            over = minutes is not None and time.monotonic() - began > 60 * minutes
            done = self.step == self.config.steps or self._agree(stopping or over)
            if not done and self.step % self.config.checkpoint_every:
                continue
            self.seconds += time.monotonic() - last
            rate = count * self.config.batch * self.world / (time.monotonic() - last)
            if self.rank == 0:
                self.errors = self.validate(validation)
                for key, value in {
                    'loss': window / count,
                    'samples_per_second': rate,
                    **self.errors,
                }.items():
                    log.add_scalar(key, value, self.step)
                print(
                    f'step {self.step}/{self.config.steps}  loss {window / count:.4f}  '
                    f'mean {self.errors["mean_mm"]:.2f} mm  '
                    f'median {self.errors["median_mm"]:.2f} mm  {rate:.1f} samples/s',
                    flush=True,
                )
                self.save()
                self.export()
            last, window, count = time.monotonic(), 0.0, 0
            if done:
                break
        log.close()
        signal.signal(signal.SIGTERM, previous)
        return self.step == self.config.steps

    @property
    def _data(self) -> str:
        data = self.config.data
        return data.dataset if isinstance(data, RecordedConfig) else 'synthetic hands'

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
