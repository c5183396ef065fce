"""Training on every dataset's original files, tiny ones that the test writes."""

from pathlib import Path
import shutil

import dataset_files
import numpy as np
import pytest
import torch

from v2v_pose_ros.datasets.conventions import CONVENTIONS
from v2v_pose_ros.models import load_model
from v2v_pose_ros.training.config import ConfigError, load_config, TrainConfig
from v2v_pose_ros.training.data import make_source
from v2v_pose_ros.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
U, V, NEAR = 150, 110, 600  # the pixel that stands out, and its depth in millimetres


def labels(name, count, joints):
    """World coordinates about the pixel that stands out, in the dataset's own unit and axes."""
    convention = CONVENTIONS[name]
    depth = 2.5 if name.startswith('itop') else NEAR / 1000
    middle = convention.from_pixels([U, V, depth / convention.unit])
    spread = 0.2 * convention.cube_size
    noise = np.random.default_rng(0).uniform(-spread, spread, (count, joints, 3))
    return convention.to_world(middle + noise)


def write_icvl(root):
    world = CONVENTIONS['icvl'].from_world(labels('icvl', 6, 16))
    pixels = CONVENTIONS['icvl'].to_pixels(world)
    pixels[:, 0] = (U, V, NEAR)
    dataset_files.write_icvl(root, pixels)
    shutil.copytree(root / 'Testing', root / 'Training')
    parts = [(root / 'Testing' / f'test_seq_{k}.txt').read_text() for k in (1, 2)]
    (root / 'Training' / 'labels.txt').write_text(
        ''.join(part.rstrip('\n') + '\n' for part in parts)
    )


def write_nyu(root):
    dataset_files.write_nyu(root, labels('nyu', 6, 36), U, V, NEAR)
    shutil.copytree(root / 'test', root / 'train')


def write_msra(root):
    world = labels('msra', 17, 21)
    stored = world * [1, 1, -1]  # joint.txt has z negated
    dataset_files.write_msra(root, dict.fromkeys(range(9), stored), U, V, NEAR)


def write_hands2017(root):
    dataset_files.write_hands2017(root, labels('hands2017', 12, 21), U, V, NEAR)


def write_itop(root):
    dataset_files.write_itop(root, labels('itop_front', 6, 15), [1, 0, 1, 1, 1, 1], U, V)
    for path in list(root.glob('ITOP_side_test_*')):
        for view in ('side', 'top'):
            for split in ('train', 'test'):
                copy = root / path.name.replace('side_test', f'{view}_{split}')
                if copy != path:
                    shutil.copy(path, copy)


WRITERS = {
    'icvl': write_icvl,
    'nyu': write_nyu,
    'msra': write_msra,
    'hands2017': write_hands2017,
    'itop_front': write_itop,
    'itop_top': write_itop,
}


def configuration(name, root, **data):
    """The shipped configuration, made small."""
    shipped = load_config(ROOT / 'config' / 'train' / f'{name}.yaml').model_dump()
    more = {'test_subject': 0} if name == 'msra' else {}
    return TrainConfig(
        **{
            **shipped,
            'network': {'channels': (2, 2, 4, 4), 'stem': 'conv7'},
            'codec': {**shipped['codec'], 'input_size': 16},
            'data': {
                'source': 'dataset',
                'dataset': name,
                'root': root,
                'check_counts': False,
                'workers': 0,
                **more,
                **data,
            },
            'batch': 2,
            'steps': 3,
            'checkpoint_every': 2,
            'validation_samples': 2,
        }
    )


@pytest.mark.parametrize('name', WRITERS)
def test_each_shipped_configuration_trains_and_keeps_its_models(tmp_path, name):
    WRITERS[name](tmp_path / 'data')
    config = configuration(name, tmp_path / 'data')
    assert config.codec.cube_size == CONVENTIONS[name].cube_size
    trainer = Trainer(config, tmp_path / 'run', torch.device('cpu'))
    assert trainer.run()
    info = load_model(tmp_path / 'run' / f'{name}.safetensors').info
    assert info.skeleton == CONVENTIONS[name].skeleton.name
    assert info.training['data'] == f'6 samples of {name}, seed 0'
    kept = sorted(path.stem for path in (tmp_path / 'run').glob(f'{name}_*.safetensors'))
    assert kept == [f'{name}_0000002', f'{name}_0000003']
    ensemble = [load_model(tmp_path / 'run' / f'{stem}.safetensors') for stem in kept]
    assert [model.info.name for model in ensemble] == kept


def test_points_and_joints_are_moved_together(tmp_path):
    """The pixel that stands out is joint 0: its voxel follows the joint through augmentation."""
    write_icvl(tmp_path)
    source = make_source(configuration('icvl', tmp_path))
    codec, seen = source.codec, set()
    for index in range(12):
        batch = source[index]
        for grid, joints in zip(batch.grids, batch.joints, strict=True):
            place = (joints[0] / codec.cube_size + 0.5) * codec.input_size
            if (place < 0).any() or (place >= codec.input_size).any():
                continue
            occupied = grid[0].nonzero().flip(1).float() + 0.5
            assert (occupied - place).abs().amax(1).min() <= 0.5 + 1e-3
            seen.add(tuple(joints[1].tolist()))
    assert len(seen) > 12  # no two samples are alike


def test_every_epoch_has_each_frame_once_in_an_order_of_its_own(tmp_path):
    write_nyu(tmp_path)
    source = make_source(configuration('nyu', tmp_path))
    orders = [[source._frame(place) for place in range(6 * k, 6 * k + 6)] for k in range(4)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    again = make_source(configuration('nyu', tmp_path))
    assert [again._frame(place) for place in range(18, 24)] == orders[3]


def test_without_augmentation_joints_are_relative_to_the_centre(tmp_path):
    write_nyu(tmp_path)
    plain = configuration('nyu', tmp_path, rotation=0, scale=(1, 1), translation=0)
    source = make_source(plain)
    joints = source[0].joints
    middle = 0.5 * (joints.amin(1) + joints.amax(1))
    assert middle.abs().max() < 1e-6
    truth = source.frames.joints[[source._frame(0), source._frame(1)]]
    extent = torch.from_numpy(np.ptp(truth, axis=1))
    torch.testing.assert_close(joints.amax(1) - joints.amin(1), extent)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('skeleton: hand\ndata: {source: dataset, dataset: nyu, root: x}', "it is 'nyu'"),
        ('data: {source: dataset, dataset: kinect, root: x}', 'dataset'),
        ('data: {source: dataset, root: x}', 'dataset'),
        ('data: {source: dataset, dataset: nyu, root: x, wall: 1}', 'wall'),
        ('data: {source: video}', 'source'),
    ],
)
def test_wrong_data_sections_are_refused(tmp_path, text, words):
    path = tmp_path / 'x.yaml'
    path.write_text(f'name: x\n{text}\n')
    with pytest.raises(ConfigError, match=words):
        load_config(path)
