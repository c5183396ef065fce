"""Orientations of bones: what they mean, and that nothing makes them jump or vanish."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.skeletons import BODY, HAND, SKELETONS
from v2v_pose_ros.synthesis.people.model import BodyModel
from v2v_pose_ros.synthesis.people.poses import BodyPoseSampler

seeds = st.integers(0, 2**32 - 1)
skeletons = st.sampled_from(list(SKELETONS.values()))


def flat_right_hand() -> np.ndarray:
    """Return a right hand lying palm down: fingers along +x, thumb side to +y, up is +z."""
    positions = np.zeros((len(HAND), 3))
    for finger, y in zip(
        ('thumb', 'index', 'middle', 'ring', 'pinky'), (4, 2, 0, -2, -4), strict=True
    ):
        for part, x in zip(('mcp', 'pip', 'dip', 'tip'), (9, 13, 15, 17), strict=True):
            positions[HAND.index(f'{finger}_{part}')] = x / 100, y / 100, 0
    return positions


def standing_body() -> np.ndarray:
    """Return a person who stands upright (+z) and looks along +x, so that left is +y."""
    heights = {'head': 1.7, 'neck': 1.5, 'torso': 1.2, 'shoulder': 1.45, 'elbow': 1.15}
    heights |= {'hand': 0.9, 'hip': 0.95, 'knee': 0.5, 'foot': 0.1}
    positions = np.zeros((len(BODY), 3))
    for index, name in enumerate(BODY.names):
        side = {'right': -0.2, 'left': 0.2}.get(name.split('_')[0], 0.0)
        positions[index] = 0.0, side, heights[name.split('_')[-1]]
    return positions


def axes(skeleton, positions, **options) -> np.ndarray:
    """Return rotation matrices [J, 3, 3], whose columns are the axes."""
    return Rotation.from_quat(bone_orientations(skeleton, positions, **options)).as_matrix()


def random_positions(skeleton, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.1, size=(len(skeleton), 3))


def test_flat_hand_has_x_forward_y_left_z_up():
    frames = axes(HAND, flat_right_hand())
    for joint in ('wrist', 'middle_mcp', 'index_pip', 'ring_dip', 'pinky_tip'):
        np.testing.assert_allclose(frames[HAND.index(joint)], np.eye(3), atol=1e-9)


def test_back_of_left_hand_is_up_too():
    mirrored = flat_right_hand() * [1, -1, 1]
    frames = axes(HAND, mirrored, handedness='left')
    np.testing.assert_allclose(frames[HAND.index('middle_tip')], np.eye(3), atol=1e-9)


def test_trunk_has_x_up_and_z_out_of_the_chest():
    frame = axes(BODY, standing_body())[BODY.index('torso')]
    np.testing.assert_allclose(frame[:, 0], [0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(frame[:, 2], [1, 0, 0], atol=1e-9)


@pytest.mark.parametrize(
    ('skeleton', 'joint', 'start', 'end'),
    [
        (HAND, 'wrist', 'wrist', 'middle_mcp'),
        (HAND, 'thumb_mcp', 'thumb_mcp', 'thumb_pip'),
        (HAND, 'ring_dip', 'ring_dip', 'ring_tip'),
        (HAND, 'ring_tip', 'ring_dip', 'ring_tip'),
        (BODY, 'torso', 'torso', 'neck'),
        (BODY, 'neck', 'neck', 'head'),
        (BODY, 'head', 'neck', 'head'),
        (BODY, 'left_hip', 'left_hip', 'left_knee'),
        (BODY, 'left_foot', 'left_knee', 'left_foot'),
    ],
)
@given(seed=seeds)
@settings(max_examples=20)
def test_x_points_along_the_bone(skeleton, joint, start, end, seed):
    positions = random_positions(skeleton, seed)
    bone = positions[skeleton.index(end)] - positions[skeleton.index(start)]
    x = axes(skeleton, positions)[skeleton.index(joint)][:, 0]
    np.testing.assert_allclose(x, bone / np.linalg.norm(bone), atol=1e-7)


@given(skeleton=skeletons, seed=seeds)
def test_unit_quaternions_with_positive_w(skeleton, seed):
    quaternions = bone_orientations(skeleton, random_positions(skeleton, seed))
    assert quaternions.shape == (len(skeleton), 4)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1.0, atol=1e-9)
    assert (quaternions[:, 3] >= 0).all()


@given(skeleton=skeletons, seed=seeds)
def test_turns_with_the_subject(skeleton, seed):
    positions = random_positions(skeleton, seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = axes(skeleton, positions @ turn.T + [0.3, -0.2, 0.7])
    np.testing.assert_allclose(moved, turn @ axes(skeleton, positions), atol=1e-5)


@given(seed=seeds)
@settings(max_examples=20)
def test_many_hands_at_once_are_the_same_as_one_by_one(seed):
    batch = np.stack([random_positions(HAND, seed + number) for number in range(3)])
    together = bone_orientations(HAND, batch)
    assert together.shape == (3, 21, 4)
    for one, positions in zip(together, batch, strict=True):
        np.testing.assert_allclose(one, bone_orientations(HAND, positions), atol=1e-12)


def bend_index_finger(angle: float) -> np.ndarray:
    """Return the flat hand with its index finger bent at the knuckle, towards the palm."""
    positions = flat_right_hand()
    fingers = HAND.indices([f'index_{part}' for part in ('pip', 'dip', 'tip')])
    pivot = positions[HAND.index('index_mcp')]
    turn = Rotation.from_euler('y', angle).as_matrix()
    positions[fingers] = (positions[fingers] - pivot) @ turn.T + pivot
    return positions


def test_bending_through_the_palms_normal_is_continuous():
    angles = np.radians(np.arange(-20, 175, 0.5))
    joint = HAND.index('index_pip')
    frames = [
        Rotation.from_quat(bone_orientations(HAND, bend_index_finger(angle))[joint])
        for angle in angles
    ]
    steps = [(before.inv() * after).magnitude() for before, after in pairwise(frames)]
    assert np.degrees(max(steps)) < 1.0
    # The hinge is y all the way.
    np.testing.assert_allclose(frames[-1].as_matrix()[:, 1], [0, 1, 0], atol=1e-9)


@pytest.mark.parametrize('skeleton', SKELETONS.values(), ids=SKELETONS)
@pytest.mark.parametrize(
    'positions',
    [
        pytest.param(lambda j: np.zeros((j, 3)), id='all joints in one point'),
        pytest.param(lambda j: np.outer(np.arange(j), [1.0, 0, 0]), id='all joints on a line'),
        pytest.param(lambda j: np.outer((-1.0) ** np.arange(j), [0, 0, 1]), id='folded straight'),
        pytest.param(lambda j: np.full((j, 3), np.nan), id='nan'),
        pytest.param(lambda j: np.full((j, 3), np.inf), id='inf'),
    ],
)
def test_degenerate_joints_still_have_an_orientation(skeleton, positions):
    with np.errstate(invalid='ignore'):
        quaternions = bone_orientations(skeleton, positions(len(skeleton)))
    assert np.isfinite(quaternions).all()
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1.0, atol=1e-9)


@given(seed=seeds, data=st.data())
def test_coincident_joint_takes_its_parents_orientation(seed, data):
    positions = random_positions(HAND, seed)
    child, parent = data.draw(st.sampled_from([('dip', 'pip'), ('tip', 'dip')]))
    finger = data.draw(st.sampled_from(['thumb', 'index', 'pinky']))
    positions[HAND.index(f'{finger}_{child}')] = positions[HAND.index(f'{finger}_{parent}')]
    frames = axes(HAND, positions)
    joint = HAND.index(f'{finger}_{parent}')
    np.testing.assert_allclose(frames[joint], frames[HAND.parents[joint]], atol=1e-6)


@pytest.mark.usefixtures('one_thread')
@pytest.mark.parametrize('arms', ['hanging', 'up', 'sideways', 'reaching', 'crossed'])
def test_millimetres_do_not_turn_the_frames_of_people_round(arms):
    model = BodyModel()
    sampler = BodyPoseSampler(model, torch.Generator().manual_seed(4), (arms,), ('standing',))
    shape = model.shapes(sampler.draws, 200)
    joints = model(shape, sampler.sample(200)).joints.numpy().astype(float)
    noise = np.random.default_rng(0).normal(0, 0.005, joints.shape)
    frames = [
        Rotation.from_quat(bone_orientations(BODY, each).reshape(-1, 4))
        for each in (joints, joints + noise)
    ]
    turned = np.degrees((frames[0].inv() * frames[1]).magnitude()).reshape(200, len(BODY))
    assert np.percentile(turned, 99) < 15
    assert turned.max() < 45


def test_a_hanging_arm_has_z_to_the_front_and_a_shoulder_turns_with_it():
    body = axes(BODY, standing_body())  # looks along +x, upright along +z
    for side in ('right', 'left'):
        for joint in (f'{side}_shoulder', f'{side}_elbow', f'{side}_hip', f'{side}_knee'):
            np.testing.assert_allclose(body[BODY.index(joint)][:, 0], [0, 0, -1], atol=0.02)
            np.testing.assert_allclose(body[BODY.index(joint)][:, 2], [1, 0, 0], atol=0.02)
