"""A person's joint angles: they are those that posed the limbs, and regular where people move."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.teleoperation.body import BODY_ANGLES, body_angles, trunk_frame

OUTWARDS = {'right': -1.0, 'left': 1.0}
DOWN = np.array([0.0, 0.0, -1.0])
seeds = st.integers(0, 2**32 - 1)


def person(angles: dict[str, float]) -> np.ndarray:
    """Pose a person (x ahead, y left, z up) by its angles in radians, joint after joint."""
    heights = {'head': 1.7, 'neck': 1.5, 'torso': 1.2, 'shoulder': 1.45, 'hip': 0.95}
    positions = np.zeros((len(BODY), 3))
    for name in BODY.names:
        side, _, part = name.rpartition('_')
        if part in heights:
            width = 0.2 if part == 'shoulder' else 0.12
            positions[BODY.index(name)] = 0, width * OUTWARDS.get(side, 0), heights[part]
    for side, outwards in OUTWARDS.items():
        for upper, hinge, end, bends in (
            ('shoulder', 'elbow', 'hand', 1),
            ('hip', 'knee', 'foot', -1),
        ):
            flexion, abduction, rotation = (
                angles.get(f'{side}_{upper}_{kind}', 0.0)
                for kind in ('flexion', 'abduction', 'rotation')
            )
            bent = angles.get(f'{side}_{hinge}_flexion', 0.0)
            swing = Rotation.from_rotvec([outwards * abduction, -flexion, 0])
            limb = swing * Rotation.from_rotvec([0, 0, -outwards * rotation])
            start = positions[BODY.index(f'{side}_{upper}')]
            middle = start + 0.3 * limb.apply(DOWN)
            lower = limb.apply([bends * np.sin(bent), 0, -np.cos(bent)])
            positions[BODY.index(f'{side}_{hinge}')] = middle
            positions[BODY.index(f'{side}_{end}')] = middle + 0.3 * lower
    return positions


def random_angles(seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    degrees = {'flexion': (-40, 120), 'abduction': (-20, 100), 'rotation': (-80, 80)}
    angles = {
        name: np.deg2rad(rng.uniform(*degrees[name.rpartition('_')[2]])) for name in BODY_ANGLES
    }
    for name in angles:
        if 'elbow' in name or 'knee' in name:
            angles[name] = np.deg2rad(rng.uniform(25, 140))
    return angles


@given(seed=seeds)
def test_angles_are_those_that_posed_the_person(seed):
    rng = np.random.default_rng(seed)
    angles = random_angles(seed)
    turn = Rotation.random(random_state=rng)
    positions = turn.apply(person(angles)) + rng.normal(size=3)
    found = dict(zip(BODY_ANGLES, body_angles(positions), strict=True))
    assert found == pytest.approx(angles, abs=1e-6)


def test_somebody_who_stands_straight_has_no_angle():
    np.testing.assert_allclose(body_angles(person({})), 0, atol=1e-9)


def test_signs_are_said_of_the_person():
    angles = body_angles(
        person(
            {
                'right_shoulder_flexion': 0.5,
                'left_shoulder_abduction': 0.5,
                'right_knee_flexion': 0.5,
            }
        )
    )
    found = dict(zip(BODY_ANGLES, angles, strict=True))
    assert {name for name, angle in found.items() if abs(angle) > 1e-6} == {
        'right_shoulder_flexion',
        'left_shoulder_abduction',
        'right_knee_flexion',
    }
    assert min(angles) > -1e-6


@pytest.mark.parametrize('angle', ['flexion', 'abduction'])
def test_arm_passes_smoothly_through_ahead_and_aside(angle):
    sweep = [person({f'left_shoulder_{angle}': turn}) for turn in np.linspace(-0.7, 2.6, 331)]
    steps = np.abs(np.diff(body_angles(np.array(sweep)), axis=0))
    assert np.rad2deg(steps.max()) < 1.0


@given(seed=seeds)
def test_rotation_of_a_straight_limb_does_not_tremble(seed):
    positions = person({'left_shoulder_flexion': 0.6})
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=positions.shape)
    index = BODY_ANGLES.index('left_shoulder_rotation')
    assert abs(np.rad2deg(body_angles(positions + noise)[index])) < 10.0


@given(seed=seeds)
def test_any_positions_give_finite_angles(seed):
    positions = np.random.default_rng(seed).normal(size=(3, len(BODY), 3))
    positions[1] = 0.0
    positions[2, BODY.index('left_elbow')] = positions[2, BODY.index('left_shoulder')]
    assert np.isfinite(body_angles(positions)).all()


def test_trunk_of_somebody_upright_follows_rep_103():
    np.testing.assert_allclose(trunk_frame(person({})), np.eye(3), atol=1e-9)


@pytest.mark.parametrize('wrong', [np.zeros((21, 3)), np.full((15, 3), np.inf)])
def test_positions_that_are_no_person_are_refused(wrong):
    with pytest.raises(ValueError, match=r'skeletons\.BODY'):
        body_angles(wrong)
