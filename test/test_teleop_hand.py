"""Finger angles from positions: they are those that made the positions, and they never jump."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

from v2v_pose_ros.skeletons import HAND, reorder
from v2v_pose_ros.synthesis.hands.angles import ANGLES
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import HandPoseSampler, LIMITS
from v2v_pose_ros.synthesis.poses import Motion
from v2v_pose_ros.teleoperation import anatomy
from v2v_pose_ros.teleoperation.hand import finger_angles, HandSize, palm_length, wrist_frame

MIRROR = np.array([-1.0, 1.0, 1.0])
FRAMES = 30  # per second
seeds = st.integers(0, 2**32 - 1)
handednesses = pytest.mark.parametrize('handedness', ['right', 'left'])

pytestmark = pytest.mark.usefixtures('one_thread')


@cache
def hand_model() -> HandModel:
    return HandModel()


@pytest.fixture
def model() -> HandModel:
    return hand_model()


def subjects(model: HandModel, batch: int, seed: int, variety: float) -> HandShape:
    """Return adults who differ in shape and in the lengths of their finger bones."""
    generator = torch.Generator().manual_seed(seed)
    mean = HandShape.mean(batch, model.components)
    components = torch.randn(batch, model.components, generator=generator).clamp(-2.5, 2.5)
    lengths = (1 + 0.04 * variety * torch.randn(batch, 15, generator=generator)).clamp(0.85, 1.15)
    return HandShape(variety * components, mean.scale, lengths, mean.thickness, mean.sleeve)


def positions(model: HandModel, shape: HandShape, angles: torch.Tensor, handedness: str):
    """Return joints [B, 21, 3] of right or left hands, turned and moved at random."""
    joints = model(shape, angles).joints.numpy().astype(float)
    if handedness == 'left':
        joints = joints * MIRROR
    rng = np.random.default_rng(5)
    turn = Rotation.random(random_state=rng).as_matrix()
    return joints @ turn.T + rng.normal(size=3)


def errors(model: HandModel, handedness: str, variety: float) -> np.ndarray:
    """Return how far the angles of the whole repertoire are off, [B, 20] degrees."""
    truth = HandPoseSampler(model, torch.Generator().manual_seed(1)).sample(2000)
    joints = positions(model, subjects(model, len(truth), 2, variety), truth, handedness)
    return np.rad2deg(np.abs(finger_angles(joints, handedness) - truth[:, 2:].numpy()))


def test_anatomy_is_that_of_the_synthetic_hand(model):
    at_rest = torch.zeros(1, len(ANGLES))
    mean = model(HandShape.mean(1, model.components), at_rest).joints[0].numpy()
    assert ANGLES[2:] == anatomy.FINGER_ANGLES
    np.testing.assert_allclose(anatomy.LIMITS, LIMITS[2:].numpy(), atol=1e-6)
    np.testing.assert_allclose(anatomy.PALM, mean[anatomy.PALM_JOINTS], atol=1e-6)
    np.testing.assert_allclose(anatomy.BONES, model._along.numpy(), atol=1e-4)
    chains = mean[np.array(reorder('mediapipe')[1:]).reshape(5, 4)]
    lengths = np.linalg.norm(np.diff(chains, axis=1), axis=-1)
    np.testing.assert_allclose(anatomy.LENGTHS, lengths, atol=1e-6)
    np.testing.assert_allclose(anatomy.HINGES, model._flexion.numpy(), atol=1e-4)
    np.testing.assert_allclose(anatomy.REST, model._rest_flexion.numpy(), atol=1e-5)


@handednesses
def test_angles_of_the_mean_hand_are_those_that_posed_it(model, handedness):
    error = errors(model, handedness, variety=0.0)
    assert np.median(error) < 0.1
    assert error.max() < 1.0


@handednesses
def test_angles_of_other_peoples_hands_are_those_that_posed_them(model, handedness):
    error = errors(model, handedness, variety=1.0)
    assert np.median(error, axis=0).max() < 1.0
    assert np.percentile(error, 99, axis=0).max() < 5.0


@handednesses
@pytest.mark.parametrize('seed', range(3))
def test_smooth_motion_gives_smooth_angles(model, handedness, seed):
    motion = Motion(HandPoseSampler(model, torch.Generator().manual_seed(seed)))
    truth = torch.cat([motion(frame / FRAMES) for frame in range(20 * FRAMES)])
    one = subjects(model, 1, seed, variety=1.0)
    parts = (part.expand(len(truth), *part.shape[1:]) for part in vars(one).values())
    joints = positions(model, HandShape(*parts), truth, handedness)
    angles = np.rad2deg(finger_angles(joints, handedness))
    assert np.abs(np.diff(angles, axis=0)).max() < 10.0


@pytest.mark.parametrize('finger', range(1, 5))
def test_angles_pass_smoothly_through_a_straight_finger_upright_on_the_palm(model, finger):
    """Its abduction cannot be seen there; two degrees of flexion must not make it jump."""
    angles = torch.zeros(91, len(ANGLES))
    knuckle = 2 + 4 * finger
    angles[:, knuckle] = torch.deg2rad(torch.linspace(-25, 155, 91))
    angles[:, knuckle + 1] = 0.2
    joints = positions(model, HandShape.mean(91, model.components), angles, 'right')
    found = np.rad2deg(finger_angles(joints))
    assert np.abs(np.diff(found, axis=0)).max() < 5.0


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_a_trembling_joint_moves_no_angle_far(seed):
    model = hand_model()
    pose = HandPoseSampler(model, torch.Generator().manual_seed(seed)).sample(1)
    joints = positions(model, HandShape.mean(1, model.components), pose, 'right')
    noise = np.random.default_rng(seed).normal(scale=2e-4, size=joints.shape)
    moved = finger_angles(joints + noise) - finger_angles(joints)
    assert np.abs(np.rad2deg(moved)).max() < 15.0


@given(seed=seeds)
def test_any_positions_give_angles_within_the_limits(seed):
    anything = np.random.default_rng(seed).normal(scale=0.1, size=(2, 21, 3))
    anything[1] = anything[1, :1]  # all in one point
    angles = finger_angles(anything)
    assert np.isfinite(angles).all()
    assert (angles >= anatomy.LIMITS[:, 0]).all()
    assert (angles <= anatomy.LIMITS[:, 1]).all()


def test_one_hand_gives_twenty_angles(model):
    joints = positions(
        model, HandShape.mean(1, model.components), torch.zeros(1, len(ANGLES)), 'right'
    )
    assert finger_angles(joints[0]).shape == (20,)
    assert wrist_frame(joints[0]).shape == (3, 3)


@pytest.mark.parametrize(
    ('given_positions', 'words'),
    [(np.zeros((15, 3)), r'\(15, 3\)'), (np.full((21, 3), np.nan), 'not finite')],
)
def test_positions_that_are_no_hand_are_refused(given_positions, words):
    with pytest.raises(ValueError, match=words):
        finger_angles(given_positions)


@pytest.mark.parametrize(('handedness', 'thumb_side'), [('right', 1), ('left', -1)])
def test_wrist_of_a_hand_lying_palm_down_follows_rep_103(handedness, thumb_side):
    flat = np.zeros((len(HAND), 3))
    for place, finger in enumerate(('thumb', 'index', 'middle', 'ring', 'pinky')):
        for part, x in zip(('mcp', 'pip', 'dip', 'tip'), (9, 13, 15, 17), strict=True):
            flat[HAND.index(f'{finger}_{part}')] = x, thumb_side * (4 - 2 * place), 0
    np.testing.assert_allclose(wrist_frame(flat / 100, handedness), np.eye(3), atol=1e-9)


def test_size_is_estimated_and_then_held():
    size = HandSize(frames=5)
    assert size(0.08) == pytest.approx(0.08)
    for length in (0.070, 0.072, 0.300, 0.071):
        size(length)
    assert size(0.2) == pytest.approx(0.072)
    size.reset()
    assert size(0.06) == pytest.approx(0.06)


def test_palm_length_grows_with_the_hand(model):
    assert palm_length(np.zeros((21, 3))) == 0
    joints = positions(
        model, HandShape.mean(1, model.components), torch.zeros(1, len(ANGLES)), 'left'
    )
    assert palm_length(joints[0]) == pytest.approx(anatomy.PALM_LENGTH, rel=1e-3)
    assert palm_length(1.2 * joints[0]) == pytest.approx(1.2 * anatomy.PALM_LENGTH, rel=1e-3)
