"""Readers of the datasets: the geometry that comes out of files in the original formats."""

import builtins
from pathlib import Path
import pickle
import time

from dataset_files import (
    write_hands2017,
    write_icvl,
    write_itop,
    write_msra,
    write_nyu,
    write_png,
)
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from torch.utils.data import DataLoader

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.datasets import convert
from v2v_pose_ros.datasets.base import DepthFrame
from v2v_pose_ros.datasets.catalogue import open_dataset
from v2v_pose_ros.datasets.centres import read_centres, write_centres
from v2v_pose_ros.datasets.conventions import CONVENTIONS
from v2v_pose_ros.datasets.depth_files import read_bin, write_bin
from v2v_pose_ros.datasets.icvl import Icvl
from v2v_pose_ros.datasets.itop import Itop
from v2v_pose_ros.datasets.nyu import EVALUATED
from v2v_pose_ros.datasets.tables import DatasetError, read_table

rng = np.random.default_rng(5)

U, V, NEAR = 200, 70, 500
"""Right of and above the middle of every dataset's image, half a metre away."""


def make_icvl(root: Path) -> str:
    pixels = np.tile([float(U), float(V), float(NEAR)], (3, 16, 1))
    pixels[:, 1:, 0] += np.arange(15)
    write_icvl(root, pixels)
    return 'test'


def make_nyu(root: Path) -> str:
    # Frame k's joint j is at (j, k, 700) mm, but for the first: the one near pixel.
    world = np.zeros((3, 36, 3))
    world[..., 0], world[..., 1], world[..., 2] = np.arange(36), np.arange(3)[:, None], 700
    world[:, 0] = (U - 320) * NEAR / 588.036865, (240 - V) * NEAR / 587.075073, NEAR
    write_nyu(root, world, U, V, NEAR)
    return 'test'


def make_msra(root: Path) -> str:
    # The file's z points at the camera.
    first = [(U - 160) * NEAR / 241.42, (120 - V) * NEAR / 241.42, -NEAR]
    labels = np.tile([1.0, 2.0, -300.0], (17, 21, 1))
    labels[:, 0] = first
    write_msra(
        root, {subject: labels + np.array([subject, 0, 0]) for subject in range(1, 9)}, U, V, NEAR
    )
    write_msra(root, {0: labels}, U, V, NEAR)
    return 'test'


def make_hands2017(root: Path) -> str:
    first = [(U - 315.944855) * NEAR / 475.065948, (V - 245.287079) * NEAR / 475.065857, NEAR]
    labels = np.tile([4.0, 5.0, 600.0], (3, 21, 1))
    labels[:, 0] = first
    write_hands2017(root, labels, U, V, NEAR)
    return 'train'


def make_itop(root: Path) -> str:
    first = [(U - 160) * 2.5 * 0.0035, (120 - V) * 2.5 * 0.0035, 2.5]
    labels = np.tile([0.1, 0.2, 3.0], (3, 15, 1))
    labels[:, 0] = first
    write_itop(root, labels, [1, 0, 1], U, V)
    return 'test'


MAKERS = {
    'icvl': make_icvl,
    'nyu': make_nyu,
    'msra': make_msra,
    'hands2017': make_hands2017,
    'itop_front': make_itop,
}


def open_tiny(name: str, root: Path, **options):
    if name.startswith('itop'):
        pytest.importorskip('h5py')
    split = MAKERS[name](root)
    if name == 'msra':
        options.setdefault('test_subject', 0)
    return open_dataset(name, root, split, check_counts=False, **options)


@pytest.mark.parametrize('name', MAKERS)
def test_the_first_joint_is_where_the_near_pixel_is(name, tmp_path):
    dataset = open_tiny(name, tmp_path)
    frame = dataset[0]
    assert isinstance(frame, DepthFrame)
    assert frame.depth.shape == (frame.camera.height, frame.camera.width)
    assert frame.depth.dtype == np.float32
    assert frame.depth[0, 0] == 0
    mask = np.zeros(frame.depth.shape, bool)
    mask[V, U] = True
    (point,) = frame.camera.points(frame.depth, mask)
    np.testing.assert_allclose(frame.joints[0], point, atol=2e-6)
    assert point[1] < 0  # above the optical axis: y points down
    np.testing.assert_allclose(point[2], 2.5 if name.startswith('itop') else 0.5, rtol=1e-6)


@pytest.mark.parametrize('name', MAKERS)
def test_frames_have_the_joints_of_their_skeleton(name, tmp_path):
    dataset = open_tiny(name, tmp_path)
    joints = {'icvl': 16, 'nyu': 14, 'msra': 21, 'hands2017': 21, 'itop_front': 15}[name]
    assert len(dataset.convention.skeleton) == joints
    assert len(dataset) == (17 if name == 'msra' else 3)
    for frame in dataset:
        assert frame.joints.shape == (joints, 3)
        assert frame.reference is None


@pytest.mark.parametrize('name', MAKERS)
def test_a_dataset_travels_to_a_worker(name, tmp_path):
    dataset = open_tiny(name, tmp_path)
    first = dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy[0].depth, first.depth)
    np.testing.assert_array_equal(copy.joints, dataset.joints)


def test_several_workers_read_what_one_reads(tmp_path):
    """HDF5 is the hard one: an open file must not be shared with forked processes."""
    dataset = open_tiny('itop_front', tmp_path)
    alone = [dataset[k].depth for k in range(3)]  # opens the file before the workers start
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=2,
        collate_fn=lambda frame: frame.depth,
        multiprocessing_context='fork',
    )
    for depth, expected in zip(loader, alone, strict=True):
        np.testing.assert_array_equal(depth, expected)


@pytest.mark.parametrize('name', MAKERS)
def test_a_frame_is_read_in_less_than_10_ms(name, tmp_path):
    dataset = open_tiny(name, tmp_path)
    assert dataset[0].depth.any()  # opens what is opened once
    times = []
    for _ in range(9):
        start = time.process_time()
        assert dataset[0].depth.any()
        times.append(time.process_time() - start)
    assert np.median(times) < 0.010


@pytest.mark.parametrize('name', MAKERS)
def test_centres_give_reference_points_and_leave_frames_out(name, tmp_path):
    whole = open_tiny(name, tmp_path)
    convention, count = CONVENTIONS[name], len(whole)
    points = rng.uniform(-0.2, 0.2, (count, 3)) + np.array([0, 0, 1])
    valid = np.ones(count, bool)
    valid[1] = False
    path = tmp_path / 'center_test_refined.txt'
    write_centres(path, points, valid, convention)
    assert path.read_text().splitlines()[1] == 'invalid invalid invalid'
    world = np.array(path.read_text().split()[:3], float)
    scale = 1 if name.startswith('itop') else 1000
    up = -1 if name in ('nyu', 'msra', 'itop_front') else 1
    np.testing.assert_allclose(world, points[0] * [scale, up * scale, scale], atol=1e-3)

    options = {'test_subject': 0} if name == 'msra' else {}
    split = whole.split
    dataset = open_dataset(name, tmp_path, split, check_counts=False, centres=path, **options)
    np.testing.assert_allclose(dataset[0].reference, points[0], atol=1e-6)
    assert not dataset[1].valid
    assert dataset[1].reference is None
    assert list(dataset.valid_indices) == [k for k in range(count) if k != 1]


def test_a_centre_file_of_another_split_is_refused_with_both_numbers(tmp_path):
    open_tiny('icvl', tmp_path)
    path = tmp_path / 'centres.txt'
    path.write_text('1 2 300\n' * 4)
    with pytest.raises(DatasetError, match=r'4 lines.*3 frames'):
        Icvl(tmp_path, 'test', path, check_counts=False)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'is empty'),
        ('1 2 300\n1 2\n', ':2: the line has 2 numbers where 3'),
        ('1 2 300\n1 nan 3\n', ':2: number 2 is nan'),
        ('1 2 300\ninvalid\n', ':2:'),
        ('1 2 x\n', ":1: 'x', value 3"),
    ],
)
def test_damaged_centre_files_are_refused(tmp_path, text, words):
    path = tmp_path / 'centres.txt'
    path.write_text(text)
    with pytest.raises(DatasetError, match=words) as refusal:
        read_centres(path, CONVENTIONS['nyu'])
    assert str(path) in str(refusal.value)


def test_nyu_takes_the_evaluated_joints_and_turns_y(tmp_path):
    dataset = open_tiny('nyu', tmp_path)
    expected = [[number, -2, 700] for number in EVALUATED[1:]]
    np.testing.assert_allclose(dataset[2].joints[1:] * 1000, expected, atol=1e-3)


def test_icvl_puts_sequence_1_first(tmp_path):
    dataset = open_tiny('icvl', tmp_path)
    assert [frame.name for frame in dataset] == [
        'Testing/Depth/test_seq_1/image_0000.png',
        'Testing/Depth/test_seq_2/image_0000.png',
        'Testing/Depth/test_seq_2/image_0001.png',
    ]


def test_msra_leaves_one_subject_out(tmp_path):
    make_msra(tmp_path)
    options = {'test_subject': 4, 'check_counts': False}
    test = open_dataset('msra', tmp_path, 'test', **options)
    train = open_dataset('msra', tmp_path, 'train', **options)
    assert {test.frame_name(k).split('/')[0] for k in range(len(test))} == {'P4'}
    kept = [train.frame_name(k).split('/')[0] for k in range(len(train))]
    assert list(dict.fromkeys(kept)) == [f'P{k}' for k in (0, 1, 2, 3, 5, 6, 7, 8)]
    assert [test.frame_name(k).split('/')[1] for k in range(17)][9:] == [
        'I', 'IP', 'L', 'MP', 'RP', 'T', 'TIP', 'Y'
    ]  # fmt: skip
    np.testing.assert_allclose(test[0].joints[1] * 1000, [5, -2, 300], atol=1e-3)
    with pytest.raises(DatasetError, match='test_subject is 9'):
        open_dataset('msra', tmp_path, 'test', test_subject=9)


def test_itop_uses_the_frames_that_are_valid(tmp_path):
    dataset = open_tiny('itop_front', tmp_path)
    assert list(dataset.valid_indices) == [0, 2]
    assert [frame.valid for frame in dataset] == [True, False, True]


def test_hands2017_test_frames_have_no_joints(tmp_path):
    make_hands2017(tmp_path)
    dataset = open_dataset('hands2017', tmp_path, 'test', check_counts=False)
    assert dataset[2].joints is None
    assert dataset[2].name == 'frame/images/image_D00000003.png'


@pytest.mark.parametrize(
    ('name', 'found', 'expected'),
    [
        ('icvl', '1', '702'),
        ('nyu', '3', '8,252'),
        ('msra', '17', '8,499'),
        ('hands2017', '3', '957,032'),
        ('itop_front', '3', '10,501'),
    ],
)
def test_an_incomplete_dataset_is_refused_with_both_numbers(name, found, expected, tmp_path):
    if name.startswith('itop'):
        pytest.importorskip('h5py')
    split = MAKERS[name](tmp_path)
    options = {'test_subject': 0} if name == 'msra' else {}
    with pytest.raises(DatasetError) as refusal:
        open_dataset(name, tmp_path, split, **options)
    assert f'has {found} frames; {expected}' in str(refusal.value)


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('icvl', 'Testing/test_seq_2.txt'),
        ('icvl', 'Testing/Depth/test_seq_1/image_0000.png'),
        ('nyu', 'test/joint_data.mat'),
        ('nyu', 'test/depth_1_0000001.png'),
        ('msra', 'P0/TIP/joint.txt'),
        ('msra', 'P0/1/000000_depth.bin'),
        ('hands2017', 'training/Training_Annotation.txt'),
        ('hands2017', 'training/images/image_D00000001.png'),
        ('itop_front', 'ITOP_side_test_labels.h5'),
        ('itop_front', 'ITOP_side_test_depth_map.h5'),
    ],
)
@pytest.mark.parametrize('damage', ['missing', 'empty', 'cut', 'text'])
def test_missing_and_damaged_files_are_named(name, file, damage, tmp_path):
    if name.startswith('itop'):
        pytest.importorskip('h5py')
    split = MAKERS[name](tmp_path)
    path = tmp_path / file
    content = path.read_bytes()
    if damage == 'missing':
        path.unlink()
    else:
        new = {'empty': b'', 'cut': content[: len(content) * 2 // 5], 'text': b'not what it was\n'}
        path.write_bytes(new[damage])
    options = {'test_subject': 0} if name == 'msra' else {}
    with pytest.raises(DatasetError) as refusal:
        open_dataset(name, tmp_path, split, check_counts=False, **options)[0]
    assert str(path) in str(refusal.value)
    if damage == 'missing':
        assert 'there is no file' in str(refusal.value)


def test_invalid_frames_may_lack_their_image(tmp_path):
    open_tiny('icvl', tmp_path)
    (tmp_path / 'Testing/Depth/test_seq_2/image_0000.png').unlink()
    path = tmp_path / 'centres.txt'
    path.write_text('1 2 300\ninvalid invalid invalid\n1 2 300\n')
    frame = Icvl(tmp_path, 'test', path, check_counts=False)[1]
    assert not frame.valid
    assert not frame.depth.any()


def test_a_packed_itop_file_says_how_to_unpack_it(tmp_path):
    pytest.importorskip('h5py')
    (tmp_path / 'ITOP_top_train_labels.h5.gz').touch()
    with pytest.raises(DatasetError, match='gunzip'):
        Itop(tmp_path, 'train', 'top')


def test_itop_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    normal = builtins.__import__

    def without_h5py(name, *arguments, **options):
        if name == 'h5py':
            raise ImportError(name)
        return normal(name, *arguments, **options)

    monkeypatch.setattr(builtins, '__import__', without_h5py)
    with pytest.raises(DatasetError, match='pip install'):
        Itop(tmp_path, 'train', 'top')


@pytest.mark.parametrize('image', [np.zeros((240, 320, 3)), np.zeros((480, 640))])
def test_an_image_of_another_kind_is_described(image, tmp_path):
    open_tiny('icvl', tmp_path)
    path = tmp_path / 'Testing/Depth/test_seq_1/image_0000.png'
    write_png(path, image)
    with pytest.raises(DatasetError, match='320 x 240 pixels, is expected'):
        open_dataset('icvl', tmp_path, 'test', check_counts=False)[0]


@pytest.mark.parametrize('name', ['icvl', 'nyu', 'hands2017'])
def test_converted_frames_equal_the_originals(name, tmp_path, capsys):
    dataset = open_tiny(name, tmp_path)
    assert convert.main([name, str(tmp_path), dataset.split]) == 0
    assert '3 of 3 frames converted' in capsys.readouterr().out
    width, height = dataset.camera.width, dataset.camera.height
    path = dataset.bin_file(1)
    assert path.parent.name == (
        'parsed' if name == 'nyu' else dataset.original_file(1).parent.name
    )
    raw = np.frombuffer(path.read_bytes(), '<f4').reshape(height, width)
    assert raw[V, U] == NEAR
    assert raw[0, 0] == 0
    options = {'check_counts': False}
    original = open_dataset(name, tmp_path, dataset.split, form='original', **options)[1]
    converted = open_dataset(name, tmp_path, dataset.split, form='bin', **options)[1]
    np.testing.assert_array_equal(converted.depth, original.depth)
    dataset.original_file(1).unlink()
    np.testing.assert_array_equal(dataset[1].depth, original.depth)  # auto takes the .bin file
    assert convert.main([name, str(tmp_path), dataset.split]) == 0
    assert '0 of 3 frames converted' in capsys.readouterr().out


def test_a_conversion_that_fails_names_the_file(tmp_path, capsys):
    make_icvl(tmp_path)
    path = tmp_path / 'Testing/Depth/test_seq_1/image_0000.png'
    path.write_bytes(b'x')
    assert convert.main(['icvl', str(tmp_path), 'test']) == 1
    assert str(path) in capsys.readouterr().err


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_whole_millimetres_survive_a_bin_file(tmp_path_factory, a, b):
    path = tmp_path_factory.mktemp('bin') / 'x.bin'
    millimetres = np.array([[a, b]], np.float32)
    write_bin(path, millimetres * np.float32(0.001))
    assert np.fromfile(path, '<f4').tolist() == [a, b]
    np.testing.assert_array_equal(read_bin(path, 2, 1), millimetres * np.float32(0.001))


@given(name=st.sampled_from(list(CONVENTIONS)), seed=st.integers(0, 2**32 - 1))
def test_world_and_pixels_are_two_ways_to_say_the_same(name, seed):
    convention = CONVENTIONS[name]
    generator = np.random.default_rng(seed)
    points = generator.uniform([-1, -1, 0.2], [1, 1, 3], (5, 4, 3))
    np.testing.assert_allclose(convention.from_world(convention.to_world(points)), points)
    np.testing.assert_allclose(convention.from_pixels(convention.to_pixels(points)), points)
    camera = Camera(10, 10, 3.0, 4.0, 5.0, 6.0)
    pixels = convention.to_pixels(points, camera)
    np.testing.assert_allclose(convention.from_pixels(pixels, camera), points)
    np.testing.assert_allclose(
        convention.to_pixels(points)[..., :2].reshape(-1, 2), convention.camera.project(points)
    )


def test_unknown_datasets_splits_and_folders_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no dataset 'mnist'; known are icvl"):
        open_dataset('mnist', tmp_path, 'test')
    with pytest.raises(DatasetError, match="split is 'val'"):
        open_dataset('icvl', tmp_path, 'val')
    with pytest.raises(DatasetError, match='no folder'):
        open_dataset('icvl', tmp_path / 'nothing', 'test')
    make_icvl(tmp_path)
    with pytest.raises(DatasetError, match="form is 'zip'"):
        open_dataset('icvl', tmp_path, 'test', form='zip', check_counts=False)


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=3, max_size=3), min_size=1),
    st.sampled_from([' ', '\t', ', ', ',']),
)
def test_tables_hold_what_was_written(tmp_path_factory, rows, separator):
    path = tmp_path_factory.mktemp('table') / 'x.txt'
    path.write_text('\n'.join(separator.join(map(repr, row)) for row in rows) + ' \n\n')
    np.testing.assert_array_equal(read_table(path, 3, 'numbers').values, rows)
