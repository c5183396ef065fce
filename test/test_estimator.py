"""The pipeline from depth to joints, with networks whose right answer is known."""

import itertools
import json
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import pipeline, PoseEstimator
from v2v_pose_ros.estimator.search import look
from v2v_pose_ros.frames import read_depth_png
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.models import Model, ModelError, ModelInfo, save_model
from v2v_pose_ros.networks.refinement import RefinementNet
from v2v_pose_ros.recordings.jobs import EstimatorSettings
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.voxels import VoxelCodec

CAMERA = Camera(320, 240, 240.0, 240.0, 159.5, 119.5)
CODEC = VoxelCodec(cube_size=0.25, input_size=48, sigma=1.0)


class Centroid:
    """Puts every joint at the centroid of the occupied voxels, plus an offset."""

    name, device = 'centroid', torch.device('cpu')

    def __init__(self, offset=(0.0, 0.0, 0.0), height=1.0):
        self.offset, self.height = torch.tensor(offset), height
        self.grids = []

    def __call__(self, grids):
        self.grids.append(grids.clone())
        z, y, x = torch.nonzero(grids[0, 0], as_tuple=True)
        centre = torch.stack([x, y, z], -1).float().mean(0) + 0.5
        place = (centre / 48 - 0.5) * 0.25 + self.offset
        return self.height * CODEC.heatmaps(place.expand(1, 21, 3), torch.zeros(1, 3))


def estimator(*runtimes, **options):
    codec = {'cube_size': 0.25, 'input_size': 48, 'sigma': 1.0}
    info = ModelInfo('fake', 'hand', {'joints': 21}, codec)
    models = [Model(torch.nn.Identity(), info, Path())] * len(runtimes)
    return PoseEstimator(models, runtimes, **options)


def blob(x, y, z, size=0.1, camera=CAMERA):
    """A square facing the camera; its middle is a little off (x, y) by the pixels' raster."""
    depth = np.zeros((camera.height, camera.width), np.float32)
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    px, py = (columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z
    depth[(abs(px - x) < size / 2) & (abs(py - y) < size / 2)] = z
    return depth


@pytest.mark.parametrize('handedness', ['right', 'left'])
def test_joints_come_out_where_the_points_are(handedness):
    found = estimator(Centroid(), handedness=handedness)(blob(0.08, -0.05, 0.6), CAMERA)
    (skeleton,) = found.skeletons
    expected = np.tile([0.08, -0.05, 0.6], (21, 1))
    np.testing.assert_allclose(skeleton.positions, expected, atol=0.004)
    assert skeleton.confidence > 0.95
    assert skeleton.skeleton is HAND
    assert {'localization', 'crop', 'voxels', 'network', 'decoding'} <= found.timings.keys()


def test_a_left_hand_is_seen_mirrored_and_given_back_as_it_is():
    """What a network puts to the right of a mirrored hand lies to the left of the real one."""
    offset = (0.03, 0.01, -0.02)
    image = blob(0.08, -0.05, 0.6)
    plain = estimator(Centroid(offset), passes=1)(image, CAMERA).skeletons[0]
    mirrored = estimator(Centroid(offset), passes=1, handedness='left')(image, CAMERA).skeletons[0]
    difference = plain.positions - mirrored.positions
    np.testing.assert_allclose(difference, np.tile([0.06, 0, 0], (21, 1)), atol=0.006)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_grid_agrees_with_a_float64_computation_from_the_pixels(seed):
    """Random camera, cube and depth: every voxel, from the definitions, one pixel at a time."""
    random = np.random.default_rng(seed)
    camera = Camera(40, 30, *random.uniform(25, 60, 2), *random.uniform(10, 25, 2))
    depth = random.uniform(0.4, 0.8, (30, 40)).astype(np.float32)
    depth[random.random((30, 40)) < 0.2] = 0
    reference = np.array([*random.uniform(-0.1, 0.1, 2), 0.6], np.float32)
    network = Centroid()
    estimator(network, passes=1)(depth, camera, reference)
    assume(network.grids)  # a cube that few pixels reach is not looked at
    expected = np.zeros((48, 48, 48))
    ambiguous = np.zeros_like(expected, bool)
    for v in range(30):
        for u in range(40):
            z = float(depth[v, u])
            point = np.array([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z])
            place = (point - reference.astype(np.float64) + 0.125) / 0.25 * 48
            if z > 0 and (place > -0.01).all() and (place < 48.01).all():
                near = np.floor(np.stack([place - 1e-3, place + 1e-3])).astype(int).clip(0, 47)
                x, y, w = np.floor(place).astype(int).clip(0, 47)
                expected[w, y, x] = 1
                if (near[0] != near[1]).any() or (place < 1e-3).any() or (place > 47.999).any():
                    ambiguous[
                        near[:, 2].min() : near[:, 2].max() + 1,
                        near[:, 1].min() : near[:, 1].max() + 1,
                        near[:, 0].min() : near[:, 0].max() + 1,
                    ] = True
    grid = network.grids[0][0, 0].numpy()
    assert np.array_equal(grid[~ambiguous], expected[~ambiguous])


@pytest.mark.parametrize('handedness', ['right', 'left'])
def test_refinement_moves_the_reference_point_by_what_the_network_says(handedness):
    network = RefinementNet().eval()
    for parameter in network.parameters():
        parameter.data.zero_()
    network.head[-1].bias.data = torch.tensor([0.2, -0.1, 0.04])  # in half cube edges
    info = ModelInfo('center', 'hand', {}, {'cube_size': 0.3}, kind='refinement')
    run = estimator(Centroid(), refinement=Model(network, info, Path()), handedness=handedness)
    reference = np.array([0.01, 0.02, 0.5], np.float32)
    moved = run.refine(blob(0, 0, 0.5), CAMERA, reference) - reference
    side = -1 if handedness == 'left' else 1
    np.testing.assert_allclose(moved, [side * 0.03, -0.015, 0.006], atol=1e-6)
    assert run(blob(0, 0, 0.5), CAMERA).skeletons


@pytest.mark.parametrize(
    ('skeleton', 'kind', 'words'),
    [
        ('body', 'refinement', "finds the skeleton 'body'; 'hand' is needed"),
        ('hand', 'v2v', 'is a v2v model; a refinement model is needed here'),
    ],
)
def test_a_refinement_that_does_not_fit_is_refused(tmp_path, skeleton, kind, words):
    path = tmp_path / 'center.safetensors'
    network = RefinementNet()
    info = ModelInfo('center', skeleton, {'joints': 21}, {'cube_size': 0.3}, kind)
    save_model(path, network, info)
    with pytest.raises(ModelError, match=words):
        PoseEstimator.load('hand_lite', refinement=str(path), runtime='torch')


def test_results_with_another_refinement_are_other_results(tmp_path):
    path = tmp_path / 'center.safetensors'
    info = ModelInfo('center', 'hand', {}, {'cube_size': 0.3}, kind='refinement')
    identities = [EstimatorSettings().identity()]
    for _ in range(2):
        save_model(path, RefinementNet(), info)  # random weights
        settings = EstimatorSettings(refinement=str(path), runtime='torch')
        assert settings.load().refine(blob(0, 0, 0.5), CAMERA, np.float32([0, 0, 0.5])).all()
        identities.append(settings.identity())
    assert len({json.dumps(each['models']) for each in identities}) == 3


def test_an_ensemble_averages_joints():
    one, other = Centroid((0.02, 0.0, 0.0)), Centroid((-0.01, 0.01, 0.0))
    image = blob(0.0, 0.0, 0.5)
    skeleton = estimator(one, other, passes=1)(image, CAMERA).skeletons[0]
    middle = estimator(Centroid(), passes=1)(image, CAMERA).skeletons[0].positions
    np.testing.assert_allclose(
        skeleton.positions - middle, np.tile([0.005, 0.005, 0], (21, 1)), atol=1e-4
    )


def test_the_surer_candidate_wins():
    """Something nearer that the network does not know must not hide the subject."""

    class KnowsBigThings(Centroid):
        def __call__(self, grids):
            self.height = 1.0 if grids.sum() > 300 else 0.1
            return super().__call__(grids)

    depth = np.maximum(blob(-0.2, 0, 0.4, size=0.05), blob(0.15, 0, 0.7, size=0.12))
    skeleton = estimator(KnowsBigThings())(depth, CAMERA).skeletons[0]
    np.testing.assert_allclose(bounding_box_middle(skeleton.positions), [0.15, 0, 0.7], atol=0.005)


def test_a_thorough_search_finds_what_is_in_the_middle_of_something_large():
    """A hand on a board: neither the board's middle nor its ends are near it."""

    class KnowsRelief(Centroid):
        """Knows what stands out of a plane, if it is not far from the middle of the cube."""

        def __call__(self, grids):
            nearer = grids.clone()
            back = int(torch.nonzero(grids[0, 0])[:, 0].max()) - 3
            nearer[:, :, back:] = 0
            there = torch.nonzero(nearer[0, 0]).float()
            known = len(there) > 60 and bool((there.mean(0)[1:] - 23.5).abs().max() < 14)
            self.height = 0.9 if known else 0.05
            return super().__call__(nearer if known else grids)

    board = blob(0, 0, 0.9, size=1.0)
    depth = np.where(blob(0.23, -0.14, 0.85, size=0.08) > 0, np.float32(0.85), board)
    run = estimator(KnowsRelief(), min_confidence=0.5)
    assert run(depth, CAMERA, thorough=False).skeletons == ()
    (skeleton,) = run(depth, CAMERA).skeletons
    middle = bounding_box_middle(skeleton.positions)
    np.testing.assert_allclose(middle, [0.23, -0.14, 0.85], atol=0.01)


@pytest.mark.parametrize('thorough', [True, False])
def test_the_other_hand_is_not_taken_for_the_one_looked_for(thorough):
    """What is nearer, and surer, is surer still as a left hand: the right one is farther away."""

    class KnowsSides(Centroid):
        """Knows things with a thumb: 'right' ones have it at small x."""

        def __call__(self, grids):
            x = torch.nonzero(grids[0, 0])[:, 2].float()
            right = x.mean() > (x.min() + x.max()) / 2
            near = len(x) > 320
            self.height = (0.9 if near else 0.7) if right else (0.75 if near else 0.3)
            return super().__call__(grids)

    def with_thumb(x, z, size, side):
        thumb = x - side * (size / 2 + 0.03)
        return np.maximum(blob(x, 0, z, size=size), blob(thumb, 0, z, size=0.05))

    nearer, farther = with_thumb(-0.2, 0.6, 0.12, -1), with_thumb(0.2, 0.8, 0.07, 1)
    depth = np.maximum(nearer, farther)
    found = estimator(KnowsSides(), handedness='right')(depth, CAMERA, thorough=thorough)
    assert found.skeletons[0].positions[:, 0].mean() == pytest.approx(0.2, abs=0.05)
    # Where there is no other, doubt takes nothing.
    (alone,) = estimator(KnowsSides(), handedness='right')(nearer, CAMERA).skeletons
    assert alone.confidence == pytest.approx(0.75, abs=0.02)


def test_a_doubted_hand_is_still_worth_more_than_what_is_none():
    """One that would be surer as a left hand, before something that is nearly nothing."""

    class KnowsOneHand(Centroid):
        def __call__(self, grids):
            x = torch.nonzero(grids[0, 0])[:, 2].float()
            left = x.mean() < (x.min() + x.max()) / 2
            self.height = (0.9 if left else 0.65) if len(x) > 320 else 0.35
            return super().__call__(grids)

    hand = np.maximum(blob(-0.2, 0, 0.6, size=0.12), blob(-0.29, 0, 0.6, size=0.05))
    depth = np.maximum(hand, blob(0.2, 0, 0.8, size=0.07))
    (found,) = estimator(KnowsOneHand(), handedness='right')(depth, CAMERA).skeletons
    assert found.positions[:, 0].mean() == pytest.approx(-0.2, abs=0.05)


def test_a_single_image_is_also_looked_at_by_voxels_half_a_voxel_away(monkeypatch):
    looks = []
    monkeypatch.setattr(pipeline, 'look', lambda *each: looks.append(each[2]) or look(*each))
    depth, voxel = blob(0.013, 0.021, 0.5), 0.25 / 48
    run = estimator(Centroid())
    run(depth, CAMERA, thorough=False)
    assert len(looks) == 1
    looks.clear()
    (found,) = run(depth, CAMERA).skeletons
    assert len(looks) == 3
    phases = [np.mod((each - looks[0]) / voxel, 1) for each in looks]
    for one, other in itertools.combinations(phases, 2):
        assert np.abs(one - other).max() > 0.3  # no two share their voxels
    np.testing.assert_allclose(found.positions[0], [0.013, 0.021, 0.5], atol=0.003)
    looks.clear()
    run(depth, CAMERA, passes=1)  # as the paper has it
    assert not looks


def test_nothing_is_found_where_nothing_is():
    run = estimator(Centroid())
    assert run(np.zeros((240, 320), np.float32), CAMERA).skeletons == ()
    assert run(np.full((240, 320), 9, np.float32), CAMERA).skeletons == ()


def test_unsure_skeletons_can_be_kept_back():
    run = estimator(Centroid(height=0.2), min_confidence=0.5)
    assert run(blob(0, 0, 0.5), CAMERA).skeletons == ()


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match='320 x 240'):
        estimator(Centroid())(np.zeros((10, 10), np.float32), CAMERA)


@pytest.mark.parametrize(
    'options', [{'passes': 0}, {'handedness': 'both'}, {'cube_size': float('nan')}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        estimator(Centroid(), **options)


def test_no_model_is_refused():
    with pytest.raises(ModelError, match='at least one model'):
        PoseEstimator([], [])


def test_the_shipped_hand_is_found_on_every_real_frame(test_data):
    folder = test_data / 'real' / 'hand_sr305'
    camera = Camera.from_yaml(folder / 'camera.yaml')
    labels = json.loads((folder / 'fingertips.json').read_text())
    run = PoseEstimator.load('hand_lite')
    errors = []
    for name, tips in labels.items():
        (skeleton,) = run(read_depth_png(folder / name, camera), camera).skeletons
        truth = np.array([tip['position_m'] for tip in tips.values()])
        assert (np.abs(truth - skeleton.reference_point) < skeleton.cube_size / 2).all(), name
        places = skeleton.positions[HAND.indices(list(tips))]
        errors.extend(np.linalg.norm(places - truth, axis=1))
    assert np.mean(errors) < 0.02
