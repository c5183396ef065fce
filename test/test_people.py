"""People: the parametric body, its poses, rooms, and where they are found again."""

from dataclasses import replace
import json
import math
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.frames import read_depth_png
from v2v_pose_ros.localization import bounding_box_middle, find_candidates
from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.synthesis.cameras import kinect
from v2v_pose_ros.synthesis.draws import Draws
from v2v_pose_ros.synthesis.people.benchmark import PARTS
from v2v_pose_ros.synthesis.people.camera_scene import BodyCameraScene
from v2v_pose_ros.synthesis.people.model import ANGLES, BodyModel, BodyShape, BONES
from v2v_pose_ros.synthesis.people.poses import ARMS, BodyPoseSampler, LEGS, LIMITS, mirrored
from v2v_pose_ros.synthesis.people.scenes import PeopleOptions, PeopleScenes
from v2v_pose_ros.synthesis.people.surroundings import Planes
from v2v_pose_ros.synthesis.sensors import FAMILIES
from v2v_pose_ros.synthesis.windows import middle_of, reference_points

pytestmark = pytest.mark.usefixtures('one_thread')

ITOP = Camera(320, 240, 1 / 0.0035, 1 / 0.0035, 160.0, 120.0)
BARE = PeopleOptions(
    top=0.0,
    floor=0.0,
    wall=0.0,
    furniture=0.0,
    table=0.0,
    before=0.0,
    held=0.0,
    others=0.0,
    cut=0.0,
    astray=0.0,
    noise=False,
)


@pytest.fixture(scope='module')
def model() -> BodyModel:
    return BodyModel()


def mean_shape(model: BodyModel, batch: int = 1) -> BodyShape:
    return BodyShape(torch.zeros(batch, model.components), torch.zeros(batch, len(BONES)))


def posed(model: BodyModel, **degrees: float) -> dict[str, np.ndarray]:
    angles = torch.zeros(1, len(ANGLES))
    for name, value in degrees.items():
        angles[0, ANGLES.index(name)] = math.radians(value)
    joints = model(mean_shape(model), angles).joints[0].numpy()
    return dict(zip(BODY.names, joints, strict=True))


def test_a_person_without_angles_stands_with_hanging_arms(model: BodyModel) -> None:
    joint = posed(model)
    for side, sign in (('right', -1), ('left', 1)):
        assert np.sign(joint[f'{side}_shoulder'][0]) == sign  # x is to the person's left
        arm = joint[f'{side}_elbow'] - joint[f'{side}_shoulder']
        leg = joint[f'{side}_knee'] - joint[f'{side}_hip']
        for along in (arm, leg):
            assert along[1] / np.linalg.norm(along) < -0.99
    assert joint['head'][1] > joint['neck'][1] > joint['torso'][1] > joint['right_hip'][1]


@pytest.mark.parametrize('side', ['right', 'left'])
def test_every_angle_turns_the_way_its_name_says(model: BodyModel, side: str) -> None:
    out = -1 if side == 'right' else 1
    rest = posed(model)

    def moved(joint: str, **degrees: float) -> np.ndarray:
        return posed(model, **degrees)[joint] - rest[joint]

    assert moved(f'{side}_hand', **{f'{side}_arm_flexion': 40})[2] > 0.2
    assert out * moved(f'{side}_hand', **{f'{side}_arm_abduction': 40})[0] > 0.2
    assert moved(f'{side}_hand', **{f'{side}_elbow_flexion': 60})[2] > 0.15
    bent = {f'{side}_elbow_flexion': 90.0}
    inwards = posed(model, **bent, **{f'{side}_arm_rotation': 60})[f'{side}_hand']
    assert out * (inwards - posed(model, **bent)[f'{side}_hand'])[0] < -0.1
    assert moved(f'{side}_foot', **{f'{side}_thigh_flexion': 40})[2] > 0.3
    assert out * moved(f'{side}_foot', **{f'{side}_thigh_abduction': 30})[0] > 0.3
    assert moved(f'{side}_foot', **{f'{side}_knee_flexion': 60})[2] < -0.2
    assert moved(f'{side}_shoulder', **{f'{side}_shoulder_raise': 20})[1] > 0.02
    assert moved('head', bend=40)[2] > 0.1
    assert moved('head', pelvis_tilt=40)[2] > 0.2
    assert moved('head', lean=20)[0] > 0.1
    assert moved('right_shoulder', twist=30)[2] > 0.03


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_bones_keep_their_lengths_in_every_pose(model: BodyModel, seed: int) -> None:
    sampler = BodyPoseSampler(model, torch.Generator().manual_seed(seed))
    shape = model.shapes(Draws(torch.Generator().manual_seed(seed)), 4)
    rest = model(shape, torch.zeros(4, len(ANGLES))).joints
    joints = model(shape, sampler.sample(4)).joints
    for a, b in (('right_shoulder', 'right_elbow'), ('left_hip', 'left_knee'), ('head', 'head')):
        pair = BODY.indices([a, b])
        lengths = [(p[:, pair[0]] - p[:, pair[1]]).norm(dim=1) for p in (rest, joints)]
        torch.testing.assert_close(*lengths, atol=1e-4, rtol=0)


def test_bone_lengths_of_the_population_are_those_of_people(model: BodyModel) -> None:
    # Adults' mean segment lengths as shares of stature: Winter, Biomechanics and Motor Control of
    # Human Movement, 4th edition, figure 4.1: upper arm 0.186 from the acromion, which is some 2 %
    # of stature above the joint; thigh 0.245.
    mesh = model(model.shapes(Draws(torch.Generator().manual_seed(0)), 400), torch.zeros(400, 31))
    stature = mesh.vertices[..., 1].amax(1) - mesh.vertices[..., 1].amin(1)
    joint = dict(zip(BODY.names, mesh.joints.unbind(1), strict=True))

    def share(a: str, b: str) -> float:
        return float(((joint[a] - joint[b]).norm(dim=1) / stature).median())

    assert share('right_shoulder', 'right_elbow') == pytest.approx(0.17, abs=0.015)
    assert share('right_hip', 'right_knee') == pytest.approx(0.245, abs=0.015)
    assert 0.10 < share('right_hip', 'left_hip') < 0.16
    low, middle, high = np.percentile(stature.numpy(), [2, 50, 98])
    assert low < 1.35 < 1.6 < middle < 1.75 < 1.85 < high < 2.1


def test_a_mirrored_pose_has_mirrored_joints(model: BodyModel) -> None:
    angles = BodyPoseSampler(model, torch.Generator().manual_seed(3)).sample(20)
    shape = mean_shape(model, 20)
    joints, other = model(shape, angles).joints, model(shape, mirrored(angles)).joints
    swap = [
        BODY.index(
            {'right': 'left', 'left': 'right'}.get(s := name.split('_')[0], s) + name[len(s) :]
        )
        for name in BODY.names
    ]
    seen = other[:, swap] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(seen, joints, atol=0.004, rtol=0)


def test_poses_stay_within_limits_and_mostly_out_of_the_body(model: BodyModel) -> None:
    sampler = BodyPoseSampler(model, torch.Generator().manual_seed(1))
    angles = sampler.sample(1500)
    assert (angles >= LIMITS[:, 0] - 1e-6).all()
    assert (angles <= LIMITS[:, 1] + 1e-6).all()
    assert float((sampler.penetration(angles) > 0.03).float().mean()) < 0.01


@pytest.mark.parametrize('arms', list(ARMS))
def test_every_gesture_of_the_arms_leaves_the_body_free(model: BodyModel, arms: str) -> None:
    sampler = BodyPoseSampler(model, torch.Generator().manual_seed(1), (arms,), ('standing',))
    assert float(sampler.penetration(sampler.sample(64)).median()) < 0.03


def test_clothes_stand_off_the_skin_but_for_face_and_hands(model: BodyModel) -> None:
    bare = mean_shape(model)
    dressed = BodyShape(bare.components, torch.full((1, len(BONES)), 0.02))
    rest = torch.zeros(1, len(ANGLES))
    gap = (model(dressed, rest).vertices - model(bare, rest).vertices).norm(dim=-1)
    torch.testing.assert_close(gap, torch.full_like(gap, 0.02), atol=2e-3, rtol=0)
    drawn = model.shapes(Draws(torch.Generator().manual_seed(0)), 50).clothes
    assert (drawn[:, BONES.index('left_hand')] == 0).all()
    assert (drawn >= 0).all()


def test_a_floor_lies_where_its_plane_is() -> None:
    # A level camera 1.2 m above the floor sees it along the ray (x, y, 1) at z = 1.2 / y.
    normals = torch.tensor([[[0.0, 1.0, 0.0]]])
    planes = Planes(normals, torch.zeros(1, 1))
    level = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
    seen = planes.seen_from(level, torch.tensor([[0.0, 1.2, 0.0]]))
    intrinsics = torch.tensor([[100.0, 100.0, 32.0, 32.0]])
    depth = seen.behind(torch.zeros(1, 64, 64), intrinsics)[0]
    rows = torch.arange(64.0)
    expected = 1.2 / ((rows - 32) / 100).clamp(min=1e-9)
    expected = torch.where((rows > 32) & (expected < 12), expected, 0.0)
    torch.testing.assert_close(depth, expected[:, None].expand(64, 64), atol=1e-4, rtol=1e-4)
    near = torch.full((1, 64, 64), 0.5)
    assert torch.equal(seen.behind(near, intrinsics)[0, :33], near[0, :33])


def test_a_wall_between_camera_and_person_is_not_there() -> None:
    planes = Planes(torch.tensor([[[0.0, 0.0, 1.0]]]), torch.tensor([[0.5]]))  # behind the camera
    level = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
    seen = planes.seen_from(level, torch.zeros(1, 3))
    depth = seen.behind(torch.zeros(1, 8, 8), torch.tensor([[10.0, 10.0, 4.0, 4.0]]))
    assert not depth.any()


def test_equal_seeds_give_equal_rooms() -> None:
    first, again = PeopleScenes(seed=4).sample(3), PeopleScenes(seed=4).sample(3)
    assert torch.equal(first.depth, again.depth)
    assert torch.equal(first.joints, again.joints)
    assert not torch.equal(first.joints, PeopleScenes(seed=5).sample(3).joints)


def test_joints_lie_just_behind_the_surface_of_a_bare_person() -> None:
    scene = PeopleScenes(seed=2, options=BARE).sample(24)
    fx, fy, cx, cy = scene.intrinsics[:, :, None].unbind(1)
    x, y, z = scene.joints.unbind(-1)
    u, v = (x / z * fx + cx).round().long(), (y / z * fy + cy).round().long()
    inside = (u >= 0) & (u < 160) & (v >= 0) & (v < 160)
    image = torch.arange(24)[:, None].expand_as(u)
    surface = scene.depth[image, v.clamp(0, 159), u.clamp(0, 159)]
    behind = (z - surface)[inside & (surface > 0)]
    assert float((surface[inside] > 0).float().mean()) > 0.97
    assert float(behind.min()) > -0.02
    assert float(behind.median()) < 0.15


@pytest.mark.parametrize(('turn', 'side'), [(0.0, -1), (180.0, 1)])
def test_people_face_the_camera_or_turn_their_back(turn: float, side: int) -> None:
    options = PeopleOptions(top=0.0, turn=turn, arms=('hanging',), legs=('standing',), cut=0.0)
    joints = PeopleScenes(seed=0, options=options).sample(48).joints
    right, left = BODY.indices(['right_shoulder', 'left_shoulder'])
    across = joints[:, right, 0] - joints[:, left, 0]
    assert bool((across.sign() == side).all())


def test_seen_from_above_heads_are_nearest() -> None:
    options = PeopleOptions(top=1.0, arms=('hanging',), legs=('standing',))
    joints = PeopleScenes(seed=0, options=options).sample(48).joints
    head, *feet = BODY.indices(['head', 'right_foot', 'left_foot'])
    assert bool((joints[:, head, 2] < joints[:, feet, 2].amin(1) - 0.5).all())


def test_frames_show_the_whole_person_or_cut_it() -> None:
    whole = PeopleScenes(seed=1, options=PeopleOptions(cut=0.0, top=0.0, distance=(2.5, 4.0)))
    cut = PeopleScenes(seed=1, options=PeopleOptions(cut=1.0, top=0.0, distance=(1.3, 2.0)))

    def seen(scenes: PeopleScenes) -> list[float]:
        shares = []
        for _ in range(8):
            depth, joints = scenes.frame(ITOP)
            assert depth.shape == (240, 320)
            pixels = ITOP.project(joints)
            shares.append(float(((pixels >= 0) & (pixels < [320, 240])).all(1).mean()))
        return shares

    assert np.mean(seen(whole)) > 0.98
    assert 0.4 < np.mean(seen(cut)) < 0.85


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'top': 1.5}, 'top'),
        ({'distance': (4.0, 2.0)}, 'distance'),
        ({'arms': ('juggling',)}, 'juggling'),
        ({'family': 'sonar'}, 'sonar'),
    ],
)
def test_impossible_rooms_are_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PeopleOptions(**changes)  # type: ignore[arg-type]


def test_legs_are_known_by_name() -> None:
    assert {'standing', 'sitting', 'walking', 'squatting'} <= set(LEGS)


def test_reference_points_of_people_do_not_lean_on_the_floor() -> None:
    options = PeopleOptions(top=0.0, astray=0.0, cut=0.0, floor=1.0, wall=1.0)
    scene = PeopleScenes(seed=3, options=options).sample(48)
    generator = torch.Generator().manual_seed(0)
    found = reference_points(scene, 2.0, generator, tracked=0.0, reach=0.3)
    distance = (found - middle_of(scene.joints)).abs().amax(1)
    assert float(distance.median()) < 0.35


def test_people_are_among_the_candidates_in_furnished_rooms() -> None:
    options = PeopleOptions(
        top=0.0, cut=0.0, floor=1.0, wall=0.7, furniture=0.2, distance=(2.0, 4.0)
    )
    scenes = PeopleScenes(seed=5, options=options)
    near = []
    for _ in range(25):
        depth, joints = scenes.frame(ITOP)
        candidates = list(find_candidates(depth, ITOP, 2.0, subject='body'))[:8]
        middle = bounding_box_middle(joints)
        near.append(any(np.abs(point - middle).max() < 0.6 for point in candidates))
    assert np.mean(near) >= 0.85  # of some, furniture hides all but the head


def test_an_empty_image_holds_nobody() -> None:
    assert not list(find_candidates(np.zeros((240, 320), np.float32), ITOP, 2.0, subject='body'))


def test_a_person_on_a_floor_is_the_first_candidate() -> None:
    options = replace(BARE, floor=1.0, distance=(2.0, 3.5), legs=('standing',))
    scenes = PeopleScenes(seed=8, options=options)
    off = []
    for _ in range(12):
        depth, joints = scenes.frame(ITOP)
        first = next(find_candidates(depth, ITOP, 2.0, subject='body'))
        off.append(float(np.abs(first - bounding_box_middle(joints)).max()))
    assert np.median(off) < 0.3
    assert np.mean(np.array(off) < 0.6) > 0.8


def test_the_benchmark_has_front_and_top_apart() -> None:
    assert sum(part.frames for part in PARTS) == 2000
    by_name = {part.name: part for part in PARTS}
    assert {'everyday_front', 'everyday_top', 'at_a_desk', 'back_to_camera'} <= set(by_name)
    family, depth, joints = by_name['at_a_desk'].frame(4)
    again = by_name['at_a_desk'].frame(4)
    assert family == again[0] == FAMILIES[1]
    assert np.array_equal(depth, again[1])
    assert np.array_equal(joints, again[2])
    assert depth.shape == (240, 320)


def test_the_camera_scene_shows_a_whole_person_the_same_at_the_same_time() -> None:
    camera = kinect(320, 240)
    scene, other = BodyCameraScene(camera, seed=1), BodyCameraScene(camera, seed=1)
    frames = [scene.frame(time) for time in (0.0, 1.3, 7.9)]
    for time, (depth, joints) in zip((7.9, 0.0, 1.3), (frames[2], *frames[:2]), strict=True):
        seen, truth = other.frame(time)
        assert np.array_equal(seen, depth)
        np.testing.assert_allclose(truth, joints, atol=1e-6)
    for depth, joints in frames:
        pixels = camera.project(joints)
        assert ((pixels >= 0) & (pixels < [320, 240])).all()
        column, row = np.rint(pixels).astype(int).T
        surface = depth[row, column]
        behind = (joints[:, 2] - surface)[surface > 0]
        assert np.median(behind) < 0.2
        assert behind.min() > -0.06


def test_frames_of_the_body_have_the_names_of_rep_155() -> None:
    # https://ros.org/reps/rep-0155.html, "Body parts": links of a body.
    known = {'head', 'torso', 'waist', 'neck'} | {
        f'{side}_{part}'
        for side in 'lr'
        for part in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
    }
    assert set(BODY.links) <= known
    assert len(set(BODY.links)) == len(BODY)
    assert BODY.links[BODY.index('right_hand')] == 'r_wrist'
    assert BODY.links[BODY.index('left_foot')] == 'l_ankle'


def test_the_shipped_body_is_found_on_real_frames(test_data: Path) -> None:
    folder = test_data / 'real' / 'body_kinect'
    camera = Camera.from_yaml(folder / 'camera.yaml')
    labels = json.loads((folder / 'joints.json').read_text())
    run = PoseEstimator.load('body_lite')
    compared = [name for name in BODY.names if name not in ('neck', 'torso')]
    errors = []
    for name in list(labels)[::9]:
        (skeleton,) = run(read_depth_png(folder / name, camera), camera).skeletons
        truth = np.array([labels[name][joint] for joint in compared])
        places = skeleton.positions[BODY.indices(compared)]
        errors.append(np.linalg.norm(places - truth, axis=1))
    # The other tracker is itself 3 to 8 cm off, and defines hips elsewhere.
    assert np.mean(np.array(errors) < 0.10) >= 0.78
    assert np.mean(np.array(errors) < 0.15) >= 0.92
