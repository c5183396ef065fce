"""The codec against brute force, derivations and the paper's conventions."""

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from v2v_pose_ros.voxels import VoxelCodec

HAND = VoxelCodec(cube_size=0.25, input_size=88)


def brute_force_grid(points, reference, cube, size):
    """One voxel after the other in float64, from the definition of the convention."""
    grid = np.zeros((size, size, size), np.float32)
    near_face = False
    for point in points.astype(np.float64):
        scaled = (point - (reference.astype(np.float64) - cube / 2)) / cube * size
        near_face |= bool((np.abs(scaled - np.rint(scaled)) < 1e-3).any())
        x, y, z = np.floor(scaled).astype(int)
        if all(0 <= index < size for index in (x, y, z)):
            grid[z, y, x] = 1
    return grid, near_face


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([8, 16, 48, 88]),
    cube=st.floats(0.15, 2.5),
)
def test_grids_agree_with_brute_force_on_numpy_and_torch(seed, size, cube):
    random = np.random.default_rng(seed)
    reference = random.uniform(-1, 2, 3).astype(np.float32)
    points = (reference + random.uniform(-0.7, 0.7, (40, 3)) * cube).astype(np.float32)
    codec = VoxelCodec(cube_size=cube, input_size=size)
    by_numpy = codec.occupancy_numpy(points, reference)
    by_torch = codec.occupancy(torch.from_numpy(points)[None], torch.from_numpy(reference)[None])
    assert np.array_equal(by_numpy, by_torch.numpy())
    expected, ambiguous = brute_force_grid(points, reference, cube, size)
    if not ambiguous:  # float32 may put a point on a face to either side
        assert np.array_equal(by_numpy[0, 0], expected)


def test_intervals_are_half_open_and_floor_not_truncation():
    codec = VoxelCodec(cube_size=1.0, input_size=4)
    reference = np.zeros(3, np.float32)
    low, high = -0.5, 0.5
    assert codec.occupancy_numpy(np.full((1, 3), low, np.float32), reference)[0, 0, 0, 0, 0] == 1
    assert codec.occupancy_numpy(np.full((1, 3), high, np.float32), reference).sum() == 0
    # Truncation would put a point just below the low face into voxel 0.
    below = np.array([[low - 0.05, 0, 0]], np.float32)
    assert codec.occupancy_numpy(below, reference).sum() == 0
    assert codec.occupancy(torch.from_numpy(below)[None], torch.zeros(1, 3)).sum() == 0


def test_axes_are_z_y_x():
    codec = VoxelCodec(cube_size=1.0, input_size=4)
    grid = codec.occupancy_numpy(
        np.array([[0.3, -0.1, -0.4]], np.float32), np.zeros(3, np.float32)
    )
    assert np.argwhere(grid[0, 0]).tolist() == [[0, 1, 3]]


def test_unmeasured_points_are_skipped():
    points = torch.zeros(1, 2, 3)
    valid = torch.tensor([[False, True]])
    points[0, 1] = 0.1
    grid = HAND.occupancy(points, torch.zeros(1, 3), valid)
    assert grid.sum() == 1


@settings(max_examples=40, deadline=None)
@given(
    joints=st.lists(st.tuples(*[st.floats(-0.11, 0.11)] * 3), min_size=1, max_size=6),
    size=st.sampled_from([48, 64, 88]),
    sigma=st.floats(0.9, 2.0),
)
def test_decoding_a_perfect_heatmap_gives_the_joints_back(joints, size, sigma):
    codec = VoxelCodec(cube_size=0.25, input_size=size, sigma=sigma)
    truth = torch.tensor(joints)[None] + torch.tensor([0.1, -0.2, 0.6])
    reference = torch.tensor([[0.1, -0.2, 0.6]])
    decoded = codec.decode(codec.heatmaps(truth, reference), reference)
    assert torch.allclose(decoded.positions, truth, atol=2e-5)
    assert (decoded.confidences > 0.99).all()
    spread = decoded.covariances.diagonal(dim1=-2, dim2=-1).sqrt()
    assert (spread < 0.45 * codec.cell).all()


def test_the_two_activations_decode_alike():
    joints, reference = torch.rand(1, 5, 3) * 0.15 - 0.07, torch.zeros(1, 3)
    likelihood = VoxelCodec(cube_size=0.25, input_size=48, sigma=1.2)
    logits = VoxelCodec(cube_size=0.25, input_size=48, sigma=1.2, activation='softmax')
    heatmaps = likelihood.heatmaps(joints, reference)
    one = likelihood.decode(heatmaps, reference)
    other = logits.decode(heatmaps.clamp(min=1e-30).log(), reference)
    assert torch.allclose(one.positions, other.positions, atol=1e-5)
    assert torch.allclose(one.confidences, other.confidences, atol=1e-2)


def test_argmax_is_the_centre_of_the_highest_cell():
    codec = VoxelCodec(cube_size=0.44, input_size=88)
    heatmaps = torch.zeros(1, 1, 44, 44, 44)
    heatmaps[0, 0, 3, 20, 41] = 1
    decoded = codec.decode(heatmaps, torch.zeros(1, 3), 'argmax')
    expected = (torch.tensor([41.5, 20.5, 3.5]) / 44 - 0.5) * 0.44
    assert torch.allclose(decoded.positions[0, 0], expected, atol=1e-6)


def test_lua_convention_follows_the_authors_formulas():
    """util.lua: floor to a voxel, halve for the target; decode ref - C/2 + (2i + .5) C/88."""
    codec = VoxelCodec(cube_size=0.25, input_size=88, convention='lua')
    reference = torch.tensor([[0.02, -0.1, 0.5]])
    joint = torch.tensor([[[0.05, -0.13, 0.53]]])
    voxel = torch.floor((joint - reference[:, None] + 0.125) / 0.25 * 88)
    assert torch.allclose(codec.to_cells(joint, reference), voxel / 2)
    heatmaps = torch.zeros(1, 1, 44, 44, 44)
    heatmaps[0, 0, 7, 8, 9] = 1
    decoded = codec.decode(heatmaps, reference, 'argmax').positions[0, 0]
    expected = reference[0] - 0.125 + (2 * torch.tensor([9.0, 8.0, 7.0]) + 0.5) * 0.25 / 88
    assert torch.allclose(decoded, expected, atol=1e-6)


def test_heatmaps_are_unit_gaussians_of_sigma_cells():
    joint, reference = torch.tensor([[[0.03, 0.0, -0.05]]]), torch.zeros(1, 3)
    heatmap = HAND.heatmaps(joint, reference)[0, 0]
    cells = (joint[0, 0] / 0.25 + 0.5) * 44 - 0.5
    for index in ((10, 20, 30), (13, 21, 27), (13, 22, 26)):
        z, y, x = index
        distance = float((torch.tensor([x, y, z]) - cells).norm())
        expected = math.exp(-(distance**2) / (2 * 1.7**2))
        assert float(heatmap[index]) == pytest.approx(expected, rel=1e-4)


def test_an_uncertain_heatmap_says_so():
    """Two equally likely places: half the confidence, and a covariance along their difference."""
    reference = torch.zeros(1, 3)
    places = torch.tensor([[[-0.04, 0, 0], [0.04, 0, 0]]])
    heatmaps = HAND.heatmaps(places, reference).mean(1, keepdim=True)
    decoded = HAND.decode(heatmaps, reference)
    assert float(decoded.confidences[0, 0]) == pytest.approx(0.5, abs=0.02)
    covariance = decoded.covariances[0, 0]
    assert float(covariance[0, 0].sqrt()) == pytest.approx(0.04, rel=0.03)
    assert covariance[1, 1].sqrt() < 0.004
    assert torch.allclose(covariance, covariance.T)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_output_decodes_to_finite_joints_in_the_cube(seed):
    generator = torch.Generator().manual_seed(seed)
    codec = VoxelCodec(cube_size=0.25, input_size=16)
    scale = 10.0 ** torch.randint(-6, 4, (1,), generator=generator)
    output = scale * torch.randn(1, 4, 8, 8, 8, generator=generator)
    for activation in ('identity', 'softmax'):
        decoded = VoxelCodec(0.25, 16, activation=activation).decode(output, torch.zeros(1, 3))
        assert (decoded.positions.abs() <= 0.5 * codec.cube_size + codec.cell).all()
        assert decoded.confidences.isfinite().all()
        assert (torch.linalg.eigvalsh(decoded.covariances) > 0).all()


def test_an_all_zero_output_is_not_confident():
    decoded = HAND.decode(torch.zeros(1, 2, 44, 44, 44), torch.zeros(1, 3))
    assert (decoded.confidences == 0).all()
    assert decoded.positions.isfinite().all()


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        *itertools.product(['cube_size', 'sigma'], [0.0, -1.0, float('nan')]),
        ('input_size', 7),
        ('input_size', 0),
        ('convention', 'matlab'),
        ('activation', 'relu'),
    ],
)
def test_meaningless_codecs_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        VoxelCodec(**{'cube_size': 0.25, field: value})


def nyu_ground_truth(folder):
    """NYU's 14 evaluated joints in metres (y down), from pixels and millimetres."""
    rows = np.loadtxt(folder / 'evaluation/nyu/nyu_test_groundtruth_label.txt').reshape(-1, 14, 3)
    u, v, d = np.moveaxis(rows, -1, 0)
    return np.stack([(u - 320) * d / 588.03, (v - 240) * d / 587.07, d], -1) / 1000


def test_quantisation_floor_on_real_poses(test_data):
    """Paper: argmax of a perfect heatmap costs 2.74 mm on NYU; sub-voxel decoding must not."""
    joints = torch.from_numpy(nyu_ground_truth(test_data)[::8]).float()
    middle = 0.5 * (joints.amin(1) + joints.amax(1))
    noise = torch.randn(middle.shape, generator=torch.Generator().manual_seed(0))
    middle = middle + 0.0066 * noise  # the released centres are 11 mm from it on average
    errors = {'argmax': [], 'subvoxel': []}
    for part in torch.arange(len(joints)).split(64):
        heatmaps = HAND.heatmaps(joints[part], middle[part])
        for method, collected in errors.items():
            positions = HAND.decode(heatmaps, middle[part], method).positions
            collected.append((positions - joints[part]).norm(dim=-1))
    argmax = 1000 * float(torch.cat(errors['argmax']).mean())
    subvoxel = 1000 * float(torch.cat(errors['subvoxel']).mean())
    assert argmax == pytest.approx(2.74, abs=0.1)
    assert subvoxel < 0.3
