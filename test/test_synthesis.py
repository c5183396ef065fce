"""Rendered hands: geometry against brute force, determinism, and labels that lie on the hand."""

from dataclasses import replace
import json
import math

import cv2
import numpy as np
import pytest
import torch

from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.export import SIZES, write_frames
from v2v_pose_ros.synthesis.hands.angles import ANGLES
from v2v_pose_ros.synthesis.hands.benchmark import PARTS
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import HandPoseSampler, LIMITS
from v2v_pose_ros.synthesis.hands.scenes import HandScenes, SceneOptions
from v2v_pose_ros.synthesis.primitives import superquadric_faces, superquadrics
from v2v_pose_ros.synthesis.rasterizer import rasterize
from v2v_pose_ros.synthesis.sensors import occluded_from, SensorSettings
from v2v_pose_ros.synthesis.windows import reference_points

BARE = SceneOptions(noise=False, wall=0, clutter=0, held=0, other_hand=0, cut=0, sleeve=0)


@pytest.fixture(scope='module')
def hand():
    return HandModel()


def ray_cast(vertices, faces, fx, fy, cx, cy, u, v):
    """The nearest triangle hit by one pixel's ray (Moeller and Trumbore), float64."""
    direction = np.array([(u - cx) / fx, (v - cy) / fy, 1.0])
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    e1, e2 = b - a, c - a
    p = np.cross(direction, e2)
    det = (e1 * p).sum(1)
    with np.errstate(divide='ignore', invalid='ignore'):
        s = -a
        first = (s * p).sum(1) / det
        q = np.cross(s, e1)
        second = (q @ direction) / det
        distance = (e2 * q).sum(1) / det
    hit = (det > 0) & (first >= 0) & (second >= 0) & (first + second <= 1) & (distance > 0)
    return distance[hit].min() if hit.any() else 0.0


def test_the_rasterizer_agrees_with_ray_casting():
    generator = torch.Generator().manual_seed(0)
    size = 0.05 + 0.1 * torch.rand(2, 3, generator=generator)
    vertices = superquadrics(size, torch.tensor([[1.0, 1.0], [0.3, 0.5]]))
    vertices = vertices + torch.tensor([0.03, -0.02, 0.5])
    faces = superquadric_faces()
    intrinsics = torch.tensor([[60.0, 55.0, 19.0, 15.0], [45.0, 48.0, 21.0, 14.0]])
    depth = rasterize(vertices, faces, intrinsics, (30, 40)).numpy()
    differences = 0
    for image in range(2):
        for v in range(30):
            for u in range(40):
                expected = ray_cast(
                    vertices[image].numpy(), faces.numpy(), *intrinsics[image].tolist(), u, v
                )
                if (expected > 0) != (depth[image, v, u] > 0):
                    differences += 1  # the edge of the silhouette may go either way
                elif expected:
                    assert depth[image, v, u] == pytest.approx(expected, abs=2e-5)
    assert differences <= 3
    assert (depth > 0).mean() > 0.2


def test_the_hand_is_a_closed_surface_seen_from_outside(hand):
    """Every edge of the mesh but the elbow's end is shared by two triangles of opposite sense."""
    edges = [
        tuple(edge)
        for face in hand.faces.tolist()
        for edge in zip(face, face[1:] + face[:1], strict=True)
    ]
    assert len(edges) == len(set(edges))
    open_edges = {edge for edge in edges if edge[::-1] not in set(edges)}
    ends = {vertex for edge in open_edges for vertex in edge}
    vertices = hand(HandShape.mean(1, hand.components), torch.zeros(1, 22)).vertices[0]
    assert all(vertices[end, 1] < -0.2 for end in ends)
    volume = torch.linalg.det(vertices[hand.faces]).sum() / 6
    assert 2e-4 < volume < 3e-3  # positive: counter-clockwise from outside; hand and forearm


def test_bones_of_the_mean_adult_are_like_measured_ones(hand):
    """Medians of six adults, mm, finger by finger: proximal, middle and distal bone."""
    measured = {
        'thumb': ((52, 59), (34, 43), (27, 30)),
        'index': ((43, 54), (23, 30), (18, 22)),
        'middle': ((43, 56), (27, 32), (20, 24)),
        'ring': ((39, 48), (21, 31), (21, 25)),
        'pinky': ((33, 40), (20, 28), (18, 22)),
    }
    joints = hand(HandShape.mean(1, hand.components), torch.zeros(1, 22)).joints[0] * 1000
    for finger, bones in measured.items():
        chain = joints[HAND.indices([f'{finger}_{part}' for part in ('mcp', 'pip', 'dip', 'tip')])]
        lengths = (chain[1:] - chain[:-1]).norm(dim=1)
        for length, (low, high) in zip(lengths.tolist(), bones, strict=True):
            assert low - 3 <= length <= high + 3, (finger, lengths)


@pytest.mark.parametrize('finger', FINGERS)
def test_flexion_brings_fingertips_towards_the_palm(hand, finger):
    straight, bent = torch.zeros(1, 22), torch.zeros(1, 22)
    for index, name in enumerate(ANGLES):
        if name.startswith(finger) and 'flexion' in name and 'cmc' not in name:
            bent[0, index] = 1.0
    shape = HandShape.mean(1, hand.components)
    tip, wrist = HAND.index(f'{finger}_tip'), 0
    before, after = hand(shape, straight).joints[0], hand(shape, bent).joints[0]
    assert (after[tip] - after[wrist]).norm() < (before[tip] - before[wrist]).norm() - 0.01
    if finger != 'thumb':
        assert after[tip, 0] < before[tip, 0] - 0.03  # the palm looks along -x


def test_joint_angles_turn_bones_by_what_they_say(hand):
    """The angle between neighbouring bones is the flexion, zero when straight."""
    shape = HandShape.mean(1, hand.components)
    column = ANGLES.index('index_pip_flexion')
    for value in (0.0, 0.4, 1.2):
        angles = torch.zeros(1, 22)
        angles[0, column] = value
        joints = hand(shape, angles).joints[0]
        mcp, pip, dip = joints[HAND.indices(['index_mcp', 'index_pip', 'index_dip'])]
        first, second = pip - mcp, dip - pip
        cosine = (first @ second) / first.norm() / second.norm()
        assert float(torch.arccos(cosine.clamp(-1, 1))) == pytest.approx(value, abs=0.06)


def test_sampled_poses_keep_the_limits_and_hardly_penetrate(hand):
    sampler = HandPoseSampler(hand, torch.Generator().manual_seed(1))
    angles = sampler.sample(400)
    assert (angles >= LIMITS[:, 0] - 1e-6).all()
    assert (angles <= LIMITS[:, 1] + 1e-6).all()
    depth = sampler.penetration(angles)
    assert depth.quantile(0.9) < 0.005
    assert angles.std(0).min() > 0.05


def test_scenes_are_a_function_of_the_seed():
    first, again = HandScenes(seed=4).sample(3), HandScenes(seed=4).sample(3)
    assert torch.equal(first.depth, again.depth)
    assert torch.equal(first.joints, again.joints)
    assert not torch.equal(first.joints, HandScenes(seed=5).sample(3).joints)


def test_labels_lie_just_under_the_visible_surface():
    # Poses and views in which hardly any joint hides behind another finger.
    options = replace(BARE, gestures=('open', 'flat', 'relaxed'), views=('palm', 'back'))
    scene = HandScenes(seed=0, options=options).sample(24)
    fx, fy, cx, cy = scene.intrinsics[:, :, None].unbind(1)
    joints = scene.joints
    u = (joints[..., 0] / joints[..., 2] * fx + cx).round().long()
    v = (joints[..., 1] / joints[..., 2] * fy + cy).round().long()
    inside = (u >= 0) & (u < 160) & (v >= 0) & (v < 160)
    batch = torch.arange(24)[:, None]
    surface = scene.depth[batch, v.clamp(0, 159), u.clamp(0, 159)]
    on_hand = inside & (surface > 0)
    assert on_hand.float().mean() > 0.95
    under = (joints[..., 2] - surface)[on_hand]
    assert (under > -0.003).float().mean() > 0.99  # never in front of the skin
    assert under.median() < 0.012


def along_and_out_of_the_palm(joints):
    """Unit vectors [B, 3] from the wrist to the knuckles, and out of a right hand's palm."""
    index, pinky = joints[:, HAND.index('index_mcp')], joints[:, HAND.index('pinky_mcp')]
    along = 0.5 * (index + pinky) - joints[:, 0]
    palm = torch.linalg.cross(along, index - pinky)
    return along / along.norm(dim=1, keepdim=True), -palm / palm.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ('view', 'fingers', 'palm'),
    [
        ('palm', (0, -1, 0), (0, 0, -1)),
        ('back', (0, -1, 0), (0, 0, 1)),
        ('down', (0, 1, 0), (0, 0, -1)),
        ('towards', (0, 0, -1), None),
        ('thumb_edge', (0, -1, 0), None),
        ('little_finger_edge', (0, -1, 0), None),
    ],
)
def test_a_view_shows_what_its_name_says(view, fingers, palm):
    options = replace(BARE, views=(view,), gestures=('flat',))
    joints = HandScenes(seed=1, options=options).sample(32).joints
    along, out = along_and_out_of_the_palm(joints)
    assert (along @ torch.tensor(fingers, dtype=torch.float32)).mean() > 0.85
    if palm is not None:
        assert (out @ torch.tensor(palm, dtype=torch.float32)).mean() > 0.8
    if view.endswith('edge'):
        sides = joints[:, HAND.indices(['index_mcp', 'pinky_mcp']), 2]
        nearer = sides.argmin(1).float().mean()  # 0: the thumb's side, 1: the little finger's
        assert nearer == (0 if view == 'thumb_edge' else 1)


def test_more_hands_close_where_that_is_asked_for():
    """A closed hand's fingertips are near the palm."""

    def reach(**options):
        joints = HandScenes(seed=4, options=replace(BARE, **options)).sample(200).joints
        tips = joints[:, [11, 14, 17, 20]] - joints[:, :1]
        return tips.norm(dim=-1).mean(1)

    usual, closed = reach(), reach(closed=1.0)
    assert (closed < 0.13).float().mean() > (usual < 0.13).float().mean() + 0.2


def test_gestures_can_be_asked_for_by_name():
    scenes = HandScenes(seed=1, options=replace(BARE, gestures=('fist',)))
    joints = scenes.sample(16).joints
    reach = (joints[:, HAND.index('middle_tip')] - joints[:, 0]).norm(dim=1)
    assert reach.max() < 0.115


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'gestures': ('wave',)}, 'gestures: wave unknown'),
        ({'views': ('above',)}, 'views: above unknown'),
        ({'family': 'radar'}, 'family: radar unknown'),
        ({'held': 1.5}, 'held is 1.5'),
        ({'distance': (0.5, 0.3)}, 'distance is 0.5 to 0.3'),
    ],
)
def test_scene_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        SceneOptions(**options)


def brought_by(**options):
    """Noise-free windows with something in them, and the share of pixels that it changed."""
    bare = HandScenes(seed=6, options=replace(BARE, gestures=('cylinder',))).sample(24)
    scene = HandScenes(seed=6, options=replace(BARE, gestures=('cylinder',), **options)).sample(24)
    assert torch.equal(bare.joints, scene.joints)
    return scene, (bare.depth != scene.depth).flatten(1).float().mean(1)


@pytest.mark.parametrize(('thing', 'least'), [('wall', 0.9), ('held', 0.5), ('other_hand', 0.3)])
def test_surroundings_appear_in_their_share_of_the_scenes(thing, least):
    _, changed = brought_by(**{thing: 1.0})
    assert (changed > 0.001).float().mean() >= least


def test_things_beside_the_hand_hardly_hide_it():
    scene, _ = brought_by(clutter=1.0, other_hand=1.0)
    uv = scene.joints[..., :2] / scene.joints[..., 2:] * scene.intrinsics[:, None, :2]
    u, v = (uv + scene.intrinsics[:, None, 2:]).round().long().clamp(0, 159).unbind(-1)
    seen = scene.depth[torch.arange(24)[:, None], v, u]
    bare = HandScenes(seed=6, options=replace(BARE, gestures=('cylinder',))).sample(24).depth
    free = (seen == bare[torch.arange(24)[:, None], v, u]).all(1)
    assert free.float().mean() > 0.9


def test_rotations_are_spread_evenly():
    """Every image of every axis points everywhere: evenly, mean square 1/3 along each axis."""
    turns = Draws(torch.Generator().manual_seed(0)).rotations(20_000)
    eye = torch.eye(3)
    torch.testing.assert_close(turns @ turns.mT, eye.expand(20_000, 3, 3), atol=1e-5, rtol=0)
    assert (torch.linalg.det(turns) > 0).all()
    assert turns.mean(0).abs().max() < 0.02
    torch.testing.assert_close(
        turns.square().mean(0), torch.full((3, 3), 1 / 3), atol=0.01, rtol=0
    )
    # The cosine of a direction spread evenly over the sphere is uniform (Archimedes).
    deciles = torch.linspace(-0.8, 0.8, 9)
    below = (turns[..., None] < deciles).float().mean(0)
    torch.testing.assert_close(below, ((deciles + 1) / 2).expand(3, 3, 9), atol=0.02, rtol=0)
    # The angle of a turn has the density (1 - cos a) / pi (Haar measure).
    angle = torch.arccos(((turns.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    assert (angle < math.pi / 2).float().mean() == pytest.approx(0.5 - 1 / math.pi, abs=0.02)


@pytest.mark.parametrize('size', [(640, 480), (320, 240)])
def test_a_frame_shows_the_whole_hand_unless_it_is_to_cut_it(size):
    camera = sr305(*size)

    def inside(cut):
        scenes = HandScenes(seed=3, options=replace(BARE, cut=cut, distance=(0.3, 0.6)))
        joints = np.stack([scenes.frame(camera)[1] for _ in range(8)])
        uv = joints[..., :2] / joints[..., 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        return ((uv >= 0) & (uv <= np.array(size) - 1)).all(-1)

    assert inside(0.0).mean() > 0.98
    cut = inside(1.0)
    assert 0.3 < cut.mean() < 0.97
    assert (~cut).any(axis=1).mean() > 0.7


def test_the_benchmark_has_the_named_parts_and_repeats_itself():
    assert sum(part.frames for part in PARTS) == 2000
    assert len({part.name for part in PARTS}) == len(PARTS)
    by_name = {part.name: part for part in PARTS}
    first, other, again = (by_name['holding'].frame(index) for index in (0, 3, 0))
    assert first[0] == again[0] == 'structured_light'
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    # The same hands through two cameras.
    fine, coarse = (by_name[name].frame(0) for name in ('480_lines', '240_lines'))
    assert fine[1].shape == (480, 640)
    assert coarse[1].shape == (240, 320)
    np.testing.assert_allclose(fine[2] - fine[2][0], coarse[2] - coarse[2][0], atol=1e-6)


def test_reference_points_are_near_the_hand():
    scene = HandScenes(seed=2).sample(64)
    references = reference_points(scene, 0.25, torch.Generator().manual_seed(0))
    middle = 0.5 * (scene.joints.amin(1) + scene.joints.amax(1))
    distance = (references - middle).norm(dim=1)[~scene.astray]
    assert distance.median() < 0.04
    assert distance.max() < 0.2


def test_windows_that_went_astray_show_cubes_without_the_hand():
    scene = HandScenes(seed=2, options=SceneOptions(astray=1.0)).sample(32)
    assert scene.astray.all()
    references = reference_points(scene, 0.25, torch.Generator().manual_seed(0))
    inside = ((scene.joints - references[:, None]).abs().amax(-1) < 0.125).float().mean(1)
    assert inside.mean() < 0.05
    points, valid = scene.points()
    filled = (valid & ((points - references[:, None]).abs().amax(-1) < 0.125)).any(1)
    assert filled.float().mean() > 0.5


def test_shadows_fall_on_the_far_surface_beside_the_near_one():
    depth = torch.full((1, 4, 60), 1.0)
    depth[0, :, 30:40] = 0.5
    focal, baseline = torch.tensor([100.0]), torch.tensor([0.05])
    shadow = occluded_from(depth, focal, baseline)[0]
    assert not shadow[:, 30:40].any()
    # f b (1 / 0.5 - 1 / 1) = 5 pixels beyond the near thing, away from the projector.
    assert shadow[0].nonzero().flatten().tolist() == pytest.approx([40, 41, 42, 43], abs=1)
    mirrored = occluded_from(depth, focal, -baseline)[0]
    assert mirrored[0].nonzero().flatten().tolist() == pytest.approx([26, 27, 28, 29], abs=1)


def test_sensor_settings_cover_three_families():
    generator = torch.Generator().manual_seed(0)
    families = torch.tensor([0, 1, 2])
    settings = SensorSettings.sample(3, generator, families)
    assert settings.baseline[0] != 0
    assert settings.baseline[2] == 0
    assert settings.bumps[1] > settings.bumps[2]


def test_exported_frames_are_reproducible_and_readable(tmp_path):
    write_frames(tmp_path / 'a', 2, seed=7)
    write_frames(tmp_path / 'b', 3, seed=7)
    for name in ('000000.png', '000001.png'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()
    labels = json.loads((tmp_path / 'a' / 'joints.json').read_text())['frames']
    image = cv2.imread(str(tmp_path / 'a' / '000001.png'), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint16
    assert image.shape == SIZES['hand'][::-1]
    assert [joint['name'] for joint in labels['000001.png']] == list(HAND.names)
    with pytest.raises(ValueError, match='not an empty folder'):
        write_frames(tmp_path / 'a', 1, seed=7)
