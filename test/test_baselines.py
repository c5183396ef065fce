"""The networks that the paper compares with: parameters, inputs, targets, and that they learn."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from test_training import TINY
from test_training_datasets import configuration, write_nyu
import torch

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.localization import refinement_crop
from v2v_pose_ros.models import load_model, ModelError
from v2v_pose_ros.networks.baselines import BaselineConfig
from v2v_pose_ros.networks.build import make_network
from v2v_pose_ros.networks.v2v import V2VConfig
from v2v_pose_ros.synthesis.hands.scenes import HandScenes
from v2v_pose_ros.training.config import ConfigError, load_config, LossConfig, TrainConfig
from v2v_pose_ros.training.crops import depth_crops
from v2v_pose_ros.training.data import make_source
from v2v_pose_ros.training.losses import pose_loss, predicted_joints
from v2v_pose_ros.training.trainer import Trainer
from v2v_pose_ros.voxels import VoxelCodec

BASELINES = ('depth_to_coordinates', 'depth_to_voxel', 'voxel_to_coordinates')
CPU = torch.device('cpu')


@pytest.mark.parametrize(
    ('architecture', 'published'),
    [
        ('depth_to_coordinates', 21.1e6),
        ('depth_to_voxel', 4.6e6),
        ('voxel_to_coordinates', 457.5e6),
        ('v2v', 3.4e6),
    ],
)
def test_the_networks_of_table_1_have_the_published_parameters(architecture, published):
    """Within 5 %, at 48 voxels or pixels and the 14 joints of NYU, on which the table is."""
    config = V2VConfig(14) if architecture == 'v2v' else BaselineConfig(architecture, 14)
    with torch.device('meta'):  # shapes alone: 457.5 million weights are 1.8 GB
        network = make_network(config)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == pytest.approx(published, rel=0.05)


@pytest.mark.parametrize('architecture', BASELINES)
def test_inputs_and_outputs_have_their_dimensions(architecture):
    config = BaselineConfig(architecture, 5, 24, (4, 4, 8, 8), hidden=16)
    depth, coordinates = architecture.startswith('depth'), architecture.endswith('coordinates')
    network = make_network(config).eval()
    output = network(torch.zeros(2, 1, *[24] * (2 if depth else 3)))
    assert output.shape == ((2, 5, 3) if coordinates else (2, 5, 12, 12, 12))
    assert BaselineConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    'values',
    [
        {'architecture': 'voxel_to_depth'},
        {'joints': 0},
        {'input_size': 44},
        {'channels': (1, 2)},
        {'hidden': 0},
    ],
)
def test_networks_that_cannot_be_built_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        BaselineConfig(**{'architecture': 'depth_to_voxel', 'joints': 21, **values})


@settings(deadline=None)  # the first example loads parts of torch
@given(
    cube=st.floats(0.1, 3),
    joints=st.lists(st.tuples(*[st.floats(-2, 2)] * 3), min_size=1, max_size=5),
    reference=st.tuples(*[st.floats(-2, 2)] * 3),
)
def test_coordinates_are_joints_in_half_cube_edges(cube, joints, reference):
    codec = VoxelCodec(cube_size=cube, input_size=48)
    joints, reference = torch.tensor([joints]), torch.tensor([reference])
    coordinates = codec.to_cube(joints, reference)
    torch.testing.assert_close(
        codec.from_cube(coordinates, reference), joints, atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        predicted_joints(coordinates, reference, codec), joints, atol=1e-5, rtol=1e-5
    )
    corner = reference[:, None] + cube / 2
    torch.testing.assert_close(
        codec.to_cube(corner, reference), torch.ones(1, 1, 3), atol=1e-4, rtol=0
    )
    for heatmap in ('squared_error', 'cross_entropy'):
        loss = pose_loss(coordinates, joints, reference, codec, LossConfig(heatmap=heatmap))
        assert float(loss) == 0


def test_the_losses_of_coordinates_have_their_units():
    """One joint of three, 10 mm off along x, in a cube of 240 mm with cells of 10 mm."""
    codec = VoxelCodec(cube_size=0.24, input_size=48)
    references = torch.rand(1, 3)
    joints = references[:, None] + torch.rand(1, 3, 3) * 0.1 - 0.05  # in the cube
    output = codec.to_cube(joints + torch.eye(3)[:1, None, :] * 0.01, references)
    output[:, 1:] = codec.to_cube(joints, references)[:, 1:]
    square = pose_loss(output, joints, references, codec, LossConfig())
    assert float(square) == pytest.approx((10 / 120) ** 2 / 9, rel=1e-4)
    cells = pose_loss(output, joints, references, codec, LossConfig(heatmap='cross_entropy'))
    assert float(cells) == pytest.approx(1 / 9, rel=1e-4)


def test_depth_crops_show_what_refinement_sees():
    scene = HandScenes(seed=2).sample(3)
    references = scene.joints.mean(1)
    crops = depth_crops(scene.depth, scene.intrinsics, references, 0.25, 128)
    for crop, depth, values, reference in zip(
        crops, scene.depth, scene.intrinsics, references, strict=True
    ):
        camera = Camera(160, 160, *values.tolist())
        expected = refinement_crop(depth.numpy(), camera, reference.numpy(), 0.25)
        # Rounding may choose the neighbour of a pixel that is met right between two.
        assert (crop.numpy() == expected[0]).mean() > 0.995


def test_depth_crops_at_the_border_and_without_measurements_show_the_far_face():
    depth = torch.full((1, 40, 40), 0.5)
    depth[:, 20:] = 0
    intrinsics = torch.tensor([[100.0, 100.0, 19.5, 19.5]])
    crop = depth_crops(depth, intrinsics, torch.tensor([[0.1, 0.0, 0.55]]), 0.2, 16)
    torch.testing.assert_close(crop[0, 0, :8, :8], torch.full((8, 8), -0.5))
    assert (crop[0, 0, 8:] == 1).all()
    assert (crop[0, 0, :, 9:] == 1).all()


@settings(max_examples=10, deadline=None)
@given(angle=st.floats(-math.pi, math.pi), scale=st.floats(0.8, 1.25))
def test_a_turned_crop_is_the_crop_of_the_turned_scene(angle, scale):
    """A smooth surface: depth is a function of the direction, which turns with the scene."""
    camera = Camera(320, 320, 250.0, 250.0, 159.5, 159.5)
    turn = scale * np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )

    def surface(x, y):
        return 0.6 + 0.05 * np.sin(9 * x + 1) * np.cos(7 * y)

    x = (np.arange(320) - camera.cx) / camera.fx
    x, y = np.meshgrid(x, x)
    back = np.linalg.inv(turn / scale)
    depth = surface(x, y)
    turned = scale * surface(back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y)
    reference = np.array([0.05, -0.03, 0.6])

    def crop(image, centre, turn=None):
        intrinsics = torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]])
        values = (torch.from_numpy(value)[None].float() for value in (image, centre))
        image, centre = values
        turn = None if turn is None else torch.from_numpy(turn)[None].float()
        return depth_crops(image, intrinsics, centre, 0.25, 48, turn)

    difference = crop(depth, reference, turn) - crop(turned, turn @ reference)
    assert difference.abs().max() < 0.03  # a pixel of a slope


def tiny(architecture, **values):
    """A configuration that trains in moments."""
    network = {'architecture': architecture, 'channels': (2, 2, 4, 4), 'hidden': 8}
    return TrainConfig(**{**TINY, 'network': network, 'steps': 4, **values})


@pytest.mark.parametrize(
    ('architecture', 'heatmap'),
    [
        ('depth_to_coordinates', 'squared_error'),
        ('depth_to_voxel', 'cross_entropy'),
        ('voxel_to_coordinates', 'cross_entropy'),
    ],
)
def test_each_network_trains_and_leaves_a_model_file(tmp_path, architecture, heatmap):
    activation = 'identity' if heatmap == 'squared_error' else 'softmax'
    config = tiny(
        architecture,
        codec={'cube_size': 0.25, 'input_size': 16, 'sigma': 1.0, 'activation': activation},
        loss={'heatmap': heatmap},
        channels_last=True,
    )
    assert Trainer(config, tmp_path, CPU).run()
    path = tmp_path / 'tiny.safetensors'
    model = load_model(path, 'hand', kind='baseline')
    assert model.info.network['architecture'] == architecture
    assert 0 < model.info.errors['validation_mean_mm'] < 1000
    with pytest.raises(ModelError, match='is a baseline model; a v2v model is needed'):
        load_model(path)
    assert Trainer(config, tmp_path, CPU).step == 4  # the checkpoint fits


@pytest.mark.parametrize('architecture', BASELINES)
def test_each_network_learns_a_batch(tmp_path, architecture):
    """Not only runs: its error on the batch that it is trained on falls."""
    optimiser = {'name': 'adamw', 'learning_rate': 0.01}
    config = tiny(architecture, steps=31, batch=4, optimiser=optimiser)
    trainer = Trainer(config, tmp_path, CPU)
    batch = make_source(config)[0].to(CPU)
    before = trainer.train_step(batch)
    for _ in range(30):
        after = trainer.train_step(batch)
    assert after < 0.9 * before


@pytest.mark.parametrize('architecture', BASELINES)
def test_each_network_trains_on_recorded_frames(tmp_path, architecture):
    write_nyu(tmp_path / 'data')
    plain = configuration('nyu', tmp_path / 'data').model_dump()
    network = {'architecture': architecture, 'channels': (2, 2, 4, 4), 'hidden': 8}
    config = TrainConfig(**{**plain, 'network': network})
    source = make_source(config)
    shape = (2, 1, 16, 16) if architecture.startswith('depth') else (2, 1, 16, 16, 16)
    assert source[0].grids.shape == shape
    assert torch.equal(source[1].grids, make_source(config)[1].grids)
    assert Trainer(config, tmp_path / 'run', CPU).run()


def test_recorded_depth_and_voxels_are_moved_alike(tmp_path):
    """A quarter of a plane through the reference point looks the same in both, from the front."""
    write_nyu(tmp_path)
    plain = configuration('nyu', tmp_path, translation=4).model_dump()
    codec = {'cube_size': 0.25, 'input_size': 48}

    def source(architecture):
        network = {'architecture': architecture, 'hidden': 8}
        frames = make_source(TrainConfig(**{**plain, 'network': network, 'codec': codec}))

        def quarter(index):
            camera, joints = frames.frames.camera, frames.frames.joints[index]
            reference = 0.5 * (joints.min(axis=0) + joints.max(axis=0))
            column, row = camera.project(reference[None])[0]
            depth = np.zeros((camera.height, camera.width), np.float32)
            depth[: round(row), : round(column)] = reference[2]
            return depth

        frames.frames.read_depth = quarter
        return frames

    images, volumes = source('depth_to_coordinates'), source('voxel_to_coordinates')
    for index in range(4):
        image, volume = images[index], volumes[index]
        assert torch.equal(image.joints, volume.joints)
        for crop, grid in zip(image.grids[:, 0], volume.grids[:, 0], strict=True):
            seen, occupied = crop < 1, grid.any(0)
            assert 0.1 < seen.float().mean() < 0.5
            assert (seen == occupied).float().mean() > 0.95
            layer = grid.flatten(1).any(1).nonzero().float().mean()
            assert (crop[seen] + 1).mean() * 24 == pytest.approx(float(layer) + 0.5, abs=1)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('network: {architecture: point_to_voxel}', r'network\.architecture'),
        ('network: {architecture: depth_to_voxel, stem: fold}', "stem 'fold' is for v2v"),
        ('network: {architecture: depth_to_voxel, hidden: 0}', r'network\.hidden'),
    ],
)
def test_wrong_architectures_are_refused(tmp_path, text, words):
    path = tmp_path / 'x.yaml'
    path.write_text(f'name: x\n{text}\n')
    with pytest.raises(ConfigError, match=words):
        load_config(path)
