"""The configuration of an experiment: one YAML file, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    model_validator,
    Tag,
    ValidationError,
)
import yaml

from v2v_pose_ros.datasets.conventions import CONVENTIONS
from v2v_pose_ros.networks.baselines import Baseline, BaselineConfig
from v2v_pose_ros.networks.build import NetworkChoice
from v2v_pose_ros.networks.refinement import CROP, RefinementConfig
from v2v_pose_ros.networks.v2v import V2VConfig
from v2v_pose_ros.skeletons import DATASET_SKELETONS
from v2v_pose_ros.synthesis.hands.scenes import SceneOptions
from v2v_pose_ros.synthesis.people.scenes import PeopleOptions
from v2v_pose_ros.voxels import VoxelCodec

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class ConfigError(ValueError):
    """An experiment's file cannot be used."""


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class NetworkConfig(_Section):
    """The architecture: V2V-PoseNet, what the paper compares it with, or the refining network.

    `stem` is a choice of v2v alone (V2VConfig), `hidden` one of the networks that give coordinates
    (BaselineConfig); the refining network has no choices.
    """

    architecture: Literal['v2v', 'refinement', Baseline] = 'v2v'
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    stem: Literal['conv7', 'fold'] = 'conv7'
    hidden: Annotated[int, Field(gt=0)] = 1024
    published_initialisation: bool = False

    @model_validator(mode='after')
    def _check(self) -> NetworkConfig:
        if self.architecture != 'v2v' and self.stem != 'conv7':
            raise ValueError(f'stem {self.stem!r} is for v2v; {self.architecture} has conv7')
        return self


class CodecConfig(_Section):
    """The cube and its grids; see VoxelCodec."""

    cube_size: Positive = 0.25
    input_size: Annotated[int, Field(ge=16, multiple_of=8)] = 88
    sigma: Positive = 1.7
    activation: Literal['identity', 'softmax'] = 'identity'


class _DataConfig(_Section):
    """What all data is: augmented, read by workers, drawn by a seed.

    `rotation` is in degrees to both sides, `translation` in whole voxels to both sides.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    translation: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=0)] = 1
    seed: int = 0


class _SyntheticConfig(_DataConfig):
    """Synthetic scenes, and which share of the cubes is where tracking puts them."""

    tracked: Share = 0.5
    window: Annotated[int, Field(ge=64)] = 160


class HandsConfig(_SyntheticConfig):
    """Synthetic hands."""

    source: Literal['hands'] = 'hands'
    scene: SceneOptions = SceneOptions()


class PeopleConfig(_SyntheticConfig):
    """Synthetic people."""

    source: Literal['people']
    scene: PeopleOptions = PeopleOptions()


SyntheticConfig = HandsConfig | PeopleConfig


class RecordedConfig(_DataConfig):
    """The frames of a dataset, with the augmentation of the authors' code.

    The paper writes a translation of 8 voxels, the authors' code draws whole numbers up to 4.
    """

    source: Literal['dataset']
    dataset: Literal['icvl', 'nyu', 'msra', 'hands2017', 'itop_front', 'itop_top']
    root: Path
    centres: Path | None = None
    test_centres: Path | None = None
    test_subject: Annotated[int, Field(ge=0, le=8)] | None = None
    check_counts: bool = True
    rotation: Annotated[float, Field(ge=0, le=180)] = 40.0
    scale: tuple[Positive, Positive] = (0.8, 1.2)
    translation: Annotated[int, Field(ge=0)] = 4
    workers: Annotated[int, Field(ge=0)] = 4


def _source(value: object) -> str:
    """Return which kind a section is; hands where it does not say."""
    if isinstance(value, dict):
        return str(value.get('source', 'hands'))
    return str(getattr(value, 'source', 'hands'))


DataConfig = Annotated[
    Annotated[HandsConfig, Tag('hands')]
    | Annotated[PeopleConfig, Tag('people')]
    | Annotated[RecordedConfig, Tag('dataset')],
    Discriminator(_source),
]


class LossConfig(_Section):
    """Squared error on heatmaps as published, or cross-entropy with a coordinate term."""

    heatmap: Literal['squared_error', 'cross_entropy'] = 'squared_error'
    coordinates: Annotated[float, Field(ge=0)] = 0.0


class OptimiserConfig(_Section):
    """The optimiser and its schedule: warm-up, constant, then cooled down to zero."""

    name: Literal['rmsprop', 'adamw', 'muon'] = 'rmsprop'
    learning_rate: Positive = 2.5e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    cooldown: Share = 0.0
    gradient_clip: Annotated[float, Field(ge=0)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0


class TrainConfig(_Section):
    """A whole experiment.

    `start_from` names a shipped model or a file whose weights the network begins with; it may have
    fewer channels (`networks.widening`).
    """

    name: Annotated[str, Field(pattern=r'^[a-z0-9_]+$')]
    skeleton: str = 'hand'
    start_from: str | None = None
    network: NetworkConfig = NetworkConfig()
    codec: CodecConfig = CodecConfig()
    data: DataConfig = HandsConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    batch: Annotated[int, Field(gt=0)] = 8
    steps: Annotated[int, Field(gt=0)] = 100_000
    precision: Literal['float32', 'bfloat16'] = 'float32'
    channels_last: bool = False
    checkpoint_every: Annotated[int, Field(gt=0)] = 500
    validation_samples: Annotated[int, Field(gt=0)] = 256
    keep_models: bool = False
    seed: int = 0

    @model_validator(mode='after')
    def _check(self) -> TrainConfig:
        if self.network.architecture == 'refinement' and self.codec.input_size != CROP:
            raise ValueError(f'the refining network sees {CROP} pixels: codec.input_size: {CROP}')
        return self

    def make_codec(self) -> VoxelCodec:
        """Return the codec."""
        return VoxelCodec(**self.codec.model_dump())

    def make_network(self) -> NetworkChoice:
        """Return the network's configuration."""
        network, joints = self.network, len(DATASET_SKELETONS[self.skeleton])
        if network.architecture == 'refinement':
            return RefinementConfig()
        if network.architecture == 'v2v':
            return V2VConfig(joints, network.channels, network.stem)
        return BaselineConfig(
            network.architecture,
            joints,
            self.codec.input_size,
            network.channels,
            network.hidden,
        )


def load_config(path: Path) -> TrainConfig:
    """Read and validate an experiment; raise ConfigError naming each bad key."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'{path} cannot be read as YAML: {error}') from error
    if not isinstance(values, dict):
        raise ConfigError(f'{path} holds no mapping of settings')
    try:
        config = TrainConfig(**values)
    except ValidationError as error:
        lines = [
            f'  {".".join(map(str, problem["loc"]))}: {problem["msg"]}'
            for problem in error.errors()
        ]
        raise ConfigError(f'{path} cannot be used:\n' + '\n'.join(lines)) from error
    if config.skeleton not in DATASET_SKELETONS:
        known = ', '.join(DATASET_SKELETONS)
        raise ConfigError(f'{path}: skeleton: {config.skeleton!r} is not one of {known}')
    if isinstance(config.data, RecordedConfig):
        found = CONVENTIONS[config.data.dataset].skeleton.name
    else:
        found = 'body' if isinstance(config.data, PeopleConfig) else 'hand'
    if config.skeleton != found:
        raise ConfigError(
            f'{path}: skeleton: {config.skeleton!r} is not what the data shows; it is {found!r}'
        )
    return config
