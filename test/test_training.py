"""Training: configurations, losses, and runs that continue as if they had never stopped."""

import math
from pathlib import Path

import pytest
import torch

from v2v_pose_ros.models import load_model
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.skeletons import DATASET_SKELETONS
from v2v_pose_ros.training.config import (
    ConfigError,
    load_config,
    LossConfig,
    OptimiserConfig,
    TrainConfig,
)
from v2v_pose_ros.training.distributions import cross_entropy_and_mean
from v2v_pose_ros.training.losses import pose_loss
from v2v_pose_ros.training.muon import Muon
from v2v_pose_ros.training.synthetic import SyntheticScenes
from v2v_pose_ros.training.trainer import learning_rate, make_optimisers, Trainer
from v2v_pose_ros.voxels import VoxelCodec

ROOT = Path(__file__).parents[1]
TINY = {
    'name': 'tiny',
    'network': {'channels': (2, 2, 4, 4), 'stem': 'fold'},
    'codec': {'cube_size': 0.25, 'input_size': 16, 'sigma': 1.0, 'activation': 'softmax'},
    'data': {'window': 64, 'workers': 0},
    'loss': {'heatmap': 'cross_entropy', 'coordinates': 0.5},
    'optimiser': {'name': 'muon', 'learning_rate': 0.01, 'average': 0.5, 'cooldown': 0.3},
    'batch': 2,
    'steps': 6,
    'checkpoint_every': 3,
    'validation_samples': 2,
}


@pytest.mark.parametrize('path', sorted((ROOT / 'config/train').glob('*.yaml')), ids=str)
def test_shipped_configurations_are_valid(path):
    config = load_config(path)
    assert config.name == path.stem
    assert config.make_codec().cube_size > 0
    if config.network.architecture != 'refinement':
        assert config.make_network().joints == len(DATASET_SKELETONS[config.skeleton])


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('name: x\nlearning_rate: 1', 'learning_rate'),
        ('name: x\ncodec: {cube: 1}', r'codec\.cube'),
        ('name: x\ncodec: {input_size: 50}', r'codec\.input_size'),
        ('name: x\nbatch: 0', 'batch'),
        ('name: x\ndata: {raised: 0.5}', r'data.*raised'),
        ('name: x\ndata: {scene: {risen: 0.5}}', r'scene\.risen'),
        ('name: x\ndata: {scene: {raised: 1.5}}', 'a share from 0 to 1 is meant'),
        ('name: x\ndata: {scene: {gestures: [wave]}}', 'wave unknown; known: open'),
        ('name: x\nnetwork: {architecture: refinement}', 'codec.input_size: 128'),
        ('name: x\nskeleton: octopus', 'octopus'),
        ('name: x\noptimiser: {name: sgd}', r'optimiser\.name'),
        ('batch: 2', 'name'),
        ('- 1', 'no mapping'),
        ('a: [', 'YAML'),
    ],
)
def test_wrong_configurations_name_the_key(tmp_path, text, words):
    path = tmp_path / 'experiment.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_config(path)


def test_squared_error_is_the_mean_over_joints_and_voxels():
    codec = VoxelCodec(cube_size=0.25, input_size=16)
    joints, references = torch.rand(2, 3, 3) * 0.1, torch.zeros(2, 3)
    output = torch.rand(2, 3, 8, 8, 8)
    loss = pose_loss(output, joints, references, codec, LossConfig())
    target = codec.heatmaps(joints, references)
    assert float(loss) == pytest.approx(float(((output - target) ** 2).mean()))


def test_cross_entropy_is_least_at_the_target():
    codec = VoxelCodec(cube_size=0.25, input_size=32, sigma=1.0)
    config = LossConfig(heatmap='cross_entropy', coordinates=0.5)
    joints, references = torch.rand(1, 2, 3) * 0.1 - 0.05, torch.zeros(1, 3)
    perfect = codec.heatmaps(joints, references).clamp(min=1e-30).log()
    best = float(pose_loss(perfect, joints, references, codec, config))
    # The entropy of a 3D Gaussian of one cell, and no coordinate error.
    assert best == pytest.approx(1.5 * math.log(math.tau * math.e), abs=0.02)
    for noise in torch.randn(5, *perfect.shape, generator=torch.Generator().manual_seed(0)):
        worse = pose_loss(perfect + 0.3 * noise, joints, references, codec, config)
        assert float(worse) > best


def test_means_of_volumes_are_in_cells():
    probability = torch.full((1, 1, 4, 4, 4), 1e-30)
    probability[0, 0, 1, 2, 3] = 0.75
    probability[0, 0, 3, 2, 1] = 0.25
    profiles = torch.full((1, 1, 3, 4), 0.25)
    _, mean = cross_entropy_and_mean(probability.log() + 7, profiles)
    assert mean[0, 0].tolist() == pytest.approx([2.5, 2.0, 1.5])


def test_the_loss_of_volumes_and_its_gradient_are_the_definitions():
    draw = torch.Generator().manual_seed(0)
    output = (3 * torch.randn(2, 3, 5, 5, 5, generator=draw, dtype=torch.float64)).requires_grad_()
    profiles = torch.rand(2, 3, 3, 5, generator=draw, dtype=torch.float64)
    profiles = profiles / profiles.sum(-1, keepdim=True)
    weights = torch.randn(2, 3, 4, generator=draw, dtype=torch.float64)

    def by_definition():
        logarithm = output.flatten(2).log_softmax(-1).view_as(output)
        target = torch.einsum('bjx,bjy,bjz->bjzyx', *profiles.unbind(2))
        entropy = -(target * logarithm).sum((2, 3, 4))
        z, y, x = torch.meshgrid(*[torch.arange(5.0, dtype=torch.float64)] * 3, indexing='ij')
        mean = [(logarithm.exp() * axis).sum((2, 3, 4)) for axis in (x, y, z)]
        return torch.stack([entropy, *mean], -1)

    entropy, mean = cross_entropy_and_mean(output, profiles)
    ours = torch.cat([entropy[..., None], mean], -1)
    assert torch.allclose(ours, by_definition())
    (gradient,) = torch.autograd.grad((ours * weights).sum(), output, retain_graph=True)
    (expected,) = torch.autograd.grad((by_definition() * weights).sum(), output)
    assert torch.allclose(gradient, expected)
    # As networks give them: channels last.
    last = output.detach().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    entropy, mean = cross_entropy_and_mean(last, profiles)
    loss = (torch.cat([entropy[..., None], mean], -1) * weights).sum()
    assert torch.allclose(torch.autograd.grad(loss, last)[0], expected)


def test_the_published_recipe_is_rmsprop_as_torch7_has_it():
    config = TrainConfig(name='paper')
    (optimiser,) = make_optimisers(torch.nn.Linear(1, 1), config.optimiser)
    assert isinstance(optimiser, torch.optim.RMSprop)
    group = optimiser.param_groups[0]
    assert (group['lr'], group['alpha'], group['eps']) == (2.5e-4, 0.99, 1e-8)
    assert {learning_rate(config, step) for step in (0, 10, 99_999)} == {2.5e-4}


def test_muon_takes_the_convolutions_before_the_head():
    network = V2VPoseNet(V2VConfig(2, (2, 2, 4, 4), 'fold'))
    muon, adamw = make_optimisers(network, OptimiserConfig(name='muon', learning_rate=0.01))
    assert isinstance(muon, Muon)
    taken = {id(parameter) for parameter in muon.param_groups[0]['params']}
    assert id(network.front[0].block[0].weight) in taken
    assert id(network.head.weight) not in taken
    rest = {id(parameter) for parameter in adamw.param_groups[0]['params']}
    assert taken | rest == {id(parameter) for parameter in network.parameters()}
    assert not taken & rest


def test_the_rate_warms_up_and_cools_down():
    config = TrainConfig(
        name='x', steps=100, optimiser={'learning_rate': 1.0, 'warmup_steps': 9, 'cooldown': 0.2}
    )
    assert learning_rate(config, 0) == pytest.approx(0.1)
    assert learning_rate(config, 50) == 1.0
    assert learning_rate(config, 90) == pytest.approx(0.5)
    assert learning_rate(config, 99) == pytest.approx(0.05)


def test_batches_depend_on_seed_and_step_alone():
    config = TrainConfig(**TINY)
    source, other = (SyntheticScenes(config, config.data, 3) for _ in range(2))
    _ = other[0], other[5]
    assert torch.equal(source[7].grids, other[7].grids)
    assert torch.equal(source[7].joints, other[7].joints)
    assert not torch.equal(source[7].joints, source[8].joints)


def weights(folder):
    return load_model(folder / 'tiny.safetensors').network.state_dict()


@pytest.mark.parametrize(('optimiser', 'another'), [('adamw', 'rmsprop'), ('muon', 'adamw')])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, optimiser, another):
    options = {**TINY['optimiser'], 'name': optimiser}
    config, cpu = TrainConfig(**{**TINY, 'optimiser': options}), torch.device('cpu')
    assert Trainer(config, tmp_path / 'whole', cpu).run()
    # Stop after the third step, as if it had been killed right after its checkpoint.
    first = Trainer(config, tmp_path / 'pieces', cpu)
    save = first.save

    def save_and_die():
        save()
        raise KeyboardInterrupt

    first.save = save_and_die
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = Trainer(config, tmp_path / 'pieces', cpu)
    assert second.step == 3
    assert second.run()
    whole, pieces = weights(tmp_path / 'whole'), weights(tmp_path / 'pieces')
    assert all(torch.equal(whole[key], pieces[key]) for key in whole)
    assert Trainer(config, tmp_path / 'pieces', cpu).step == 6
    other = {**options, 'name': another}
    with pytest.raises(ConfigError, match='another optimiser than'):
        Trainer(TrainConfig(**{**TINY, 'optimiser': other}), tmp_path / 'pieces', cpu)


def test_a_short_run_learns_and_leaves_a_model_file(tmp_path):
    config = TrainConfig(**{**TINY, 'steps': 30, 'checkpoint_every': 30, 'batch': 4})
    trainer = Trainer(config, tmp_path, torch.device('cpu'))
    batch = SyntheticScenes(config, config.data, 0)[0].to(torch.device('cpu'))
    losses = [trainer.train_step(batch) for _ in range(30)]
    assert losses[-1] < losses[0] - 0.4
    trainer.errors = trainer.validate([batch])
    info = load_model(trainer.export()).info
    assert info.errors['validation_mean_mm'] > 0
    assert '120 samples of synthetic hands' in info.training['data']


def test_a_cube_without_a_subject_asks_for_heatmaps_that_say_nothing():
    codec = VoxelCodec(cube_size=0.2, input_size=16, sigma=1.0, activation='softmax')
    config = LossConfig(heatmap='cross_entropy', coordinates=0.5)
    references, joints = torch.zeros(1, 3), torch.full((1, 2, 3), 0.5)
    nothing = torch.zeros(1, 2, 8, 8, 8)
    something = nothing.clone()
    something[0, :, 4, 4, 4] = 5.0
    loss = pose_loss(nothing, joints, references, codec, config)
    assert float(loss) == pytest.approx(math.log(8**3), rel=1e-5)
    assert pose_loss(something, joints, references, codec, config) > loss
    # A subject beside it counts as before.
    both = pose_loss(
        torch.cat([nothing, something]),
        torch.cat([joints, torch.full((1, 2, 3), 0.01)]),
        torch.zeros(2, 3),
        codec,
        config,
    )
    shown = pose_loss(
        something,
        torch.full((1, 2, 3), 0.01),
        references,
        codec,
        LossConfig(heatmap='cross_entropy'),
    )
    distance = 2 * (
        pose_loss(something, torch.full((1, 2, 3), 0.01), references, codec, config) - shown
    )
    assert float(both) == pytest.approx(float(0.5 * (loss + shown) + 0.5 * distance), rel=1e-4)


@pytest.mark.parametrize('architecture', ['v2v', 'depth_to_coordinates'])
def test_augmentation_moves_input_and_joints_together(architecture):
    """A network sees at the joints of the moved hand what it sees at those of the still one."""
    fine = {
        **TINY,
        'batch': 4,
        'network': {'architecture': architecture, 'channels': (2, 2, 4, 4)},
        'codec': {'cube_size': 0.3, 'input_size': 64},
    }
    scene = {'noise': False, 'astray': 0, 'cut': 0, 'wall': 0, 'views': ('palm',)}
    data = {'scene': scene, 'workers': 0, 'tracked': 1.0}
    moved = {**data, 'rotation': 180, 'scale': (0.9, 1.1), 'translation': 4}
    configs = [TrainConfig(**{**fine, 'data': options}) for options in (data, moved)]
    still, turned = (SyntheticScenes(config, config.data, 3)[0] for config in configs)
    assert (still.joints - turned.joints).abs().mean() > 0.02
    bones = [(batch.joints[:, 1:] - batch.joints[:, :1]).norm(dim=-1) for batch in (still, turned)]
    ratio = bones[1] / bones[0]
    assert ((ratio > 0.9 - 1e-4) & (ratio < 1.1 + 1e-4)).all()
    assert ratio.std(1).max() < 1e-4  # a turn, one scale, a shift

    def occupied(batch):
        """Whether something was seen within 3 cells of the joints that lie in the cube."""
        local = (batch.joints - batch.references[:, None]) / 0.3 + 0.5
        inside = ((local > 0.05) & (local < 0.95)).all(-1)
        cells = (local * 64).long().clamp(3, 60)
        seen = torch.zeros_like(inside)
        for image in range(4):
            for joint in range(21):
                x, y, z = cells[image, joint].tolist()
                if architecture == 'v2v':
                    part = batch.grids[image, 0, z - 3 : z + 4, y - 3 : y + 4, x - 3 : x + 4]
                    seen[image, joint] = (part > 0).any()
                else:
                    part = batch.grids[image, 0, y - 3 : y + 4, x - 3 : x + 4]
                    offset = 2 * (local[image, joint, 2] - 0.5)
                    seen[image, joint] = ((part - offset).abs() < 0.2).any()
        return seen[inside].float().mean()

    assert occupied(still) > 0.8
    assert occupied(turned) > 0.8


def test_a_run_starts_from_the_weights_of_a_model(tmp_path):
    first = Trainer(TrainConfig(**TINY), tmp_path / 'first', torch.device('cpu'))
    first.run()
    path = tmp_path / 'first' / 'tiny.safetensors'
    config = TrainConfig(**{**TINY, 'start_from': str(path), 'seed': 5})
    again = Trainer(config, tmp_path / 'again', torch.device('cpu'))
    for key, value in load_model(path).network.state_dict().items():
        assert torch.equal(again.network.state_dict()[key], value), key


def test_a_run_starts_from_a_narrower_model_or_says_why_not(tmp_path):
    def options(*channels, **more):
        return TrainConfig(
            **{**TINY, 'network': {**TINY['network'], 'channels': channels}, **more}
        )

    Trainer(options(4, 5, 6, 7), tmp_path / 'first', torch.device('cpu')).run()
    path = str(tmp_path / 'first' / 'tiny.safetensors')
    narrow = load_model(path).network
    wider = Trainer(
        options(4, 5, 8, 12, start_from=path), tmp_path / 'wider', torch.device('cpu')
    ).network.eval()
    grid = (torch.rand(1, 1, 16, 16, 16) < 0.1).float()
    torch.testing.assert_close(wider(grid), narrow(grid), rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match=r'start_from: .*as many channels or more'):
        Trainer(options(3, 5, 6, 8, start_from=path), tmp_path / 'thinner', torch.device('cpu'))


def test_the_refining_network_learns_the_middle_of_the_hand(tmp_path):
    config = TrainConfig(
        name='center',
        network={'architecture': 'refinement'},
        codec={'cube_size': 0.25, 'input_size': 128},
        data={'workers': 0, 'tracked': 0.0},
        batch=2,
        steps=2,
        checkpoint_every=2,
        validation_samples=2,
    )
    batch = SyntheticScenes(config, config.data, 0)[0]
    assert batch.grids.shape == (2, 1, 128, 128)
    assert batch.joints.shape == (2, 1, 3)
    trainer = Trainer(config, tmp_path, torch.device('cpu'))
    assert trainer.run()
    model = load_model(tmp_path / 'center.safetensors', kind='refinement')
    assert model.network(batch.grids).shape == (2, 3)
    before = pose_loss(
        trainer.network(batch.grids), batch.joints, batch.references, trainer.codec, config.loss
    )
    for _ in range(10):
        trainer.train_step(batch)
    trainer.network.eval()
    after = pose_loss(
        trainer.network(batch.grids), batch.joints, batch.references, trainer.codec, config.loss
    )
    assert after < before


def test_numbers_that_fade_away_are_zero_while_training_and_only_then(tmp_path, monkeypatch):
    def faint():
        return float(torch.tensor([1e-30]) * 1e-10)

    seen = []
    step = Trainer.train_step
    monkeypatch.setattr(
        Trainer, 'train_step', lambda self, batch: seen.append(faint()) or step(self, batch)
    )
    assert Trainer(TrainConfig(**{**TINY, 'steps': 2}), tmp_path, torch.device('cpu')).run()
    assert seen == [0.0, 0.0]
    assert faint() > 0
