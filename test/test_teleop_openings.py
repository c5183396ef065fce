"""Openings of the hand, and its points as dex-retargeting takes them."""

from functools import cache
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.hands.poses import angles_from_curl
from v2v_pose_ros.teleoperation.hand import palm_length
from v2v_pose_ros.teleoperation.openings import adult_size, keypoints, OPENINGS, openings

pytestmark = pytest.mark.usefixtures('one_thread')

MIRROR = np.array([-1.0, 1.0, 1.0])


@cache
def hand_model() -> HandModel:
    return HandModel()


def hand(curl: float, scale: float = 1.0) -> np.ndarray:
    """Return a right hand [21, 3] whose fingers are all bent as much."""
    model = hand_model()
    thumb = torch.tensor([[math.radians(10), math.radians(10)]])
    angles = angles_from_curl(
        torch.full((1, 5), curl), torch.zeros(1, 5), thumb, torch.zeros(1, 5)
    )
    mesh = model(HandShape.mean(1, model.components), angles)
    return scale * mesh.joints[0].numpy().astype(float)


def opening(positions: np.ndarray) -> dict[str, float]:
    values = openings(positions, float(palm_length(positions)))
    return dict(zip(OPENINGS, values, strict=True))


def test_grasp_is_zero_for_a_fist_and_one_for_a_flat_hand():
    assert opening(hand(1.0))['grasp'] == 0
    assert opening(hand(0.0))['grasp'] == 1
    assert 0.3 < opening(hand(0.45))['grasp'] < 0.9


def test_pinch_is_zero_where_fingertips_touch():
    positions = hand(0.0)
    positions[HAND.index('thumb_tip')] = positions[HAND.index('ring_tip')] + [0.01, 0, 0]
    values = opening(positions)
    assert values['pinch_ring'] == 0
    assert values['pinch_index'] > 0.3


@pytest.mark.parametrize('scale', [0.7, 1.0, 1.3])
def test_openings_do_not_depend_on_the_size_of_the_hand(scale):
    assert opening(hand(0.5, scale)) == pytest.approx(opening(hand(0.5)))


def reference_keypoints(positions: np.ndarray, handedness: str) -> np.ndarray:
    """Return the points by the definition of dex-retargeting, with its fitted plane.

    x from middle_mcp to the wrist, the normal of the plane by singular values, z so that it goes
    to index_mcp; then the operator's axes become MANO's.
    """
    order = [HAND.index('wrist')]
    for finger in ('thumb', 'index', 'middle', 'ring', 'pinky'):
        order += HAND.indices([f'{finger}_{part}' for part in ('mcp', 'pip', 'dip', 'tip')])
    points = positions[order] - positions[order[0]]
    palm = points[[0, 5, 9]]
    normal = np.linalg.svd(palm - palm.mean(0))[2][2]
    back = palm[0] - palm[2]
    x = back - (back @ normal) * normal
    x /= np.linalg.norm(x)
    z = np.cross(x, normal)
    if z @ (palm[1] - palm[2]) < 0:
        normal, z = -normal, -z
    side = 1 if handedness == 'right' else -1
    mano = np.array([[0, 0, -1], [-side, 0, 0], [0, side, 0]])
    return points @ np.stack([x, normal, z], 1) @ mano


@pytest.mark.parametrize('handedness', ['right', 'left'])
def test_keypoints_are_those_of_dex_retargeting(handedness):
    positions = hand(0.4) * (MIRROR if handedness == 'left' else 1)
    turn = Rotation.random(random_state=np.random.default_rng(3))
    turned = turn.apply(positions) + np.ones(3)
    expected = reference_keypoints(turned, handedness)
    np.testing.assert_allclose(keypoints(turned, handedness), expected, atol=1e-9)
    np.testing.assert_allclose(keypoints(positions, handedness), expected, atol=1e-9)


def test_a_small_hand_becomes_an_adults():
    child, adult = hand(0.3, 0.7), hand(0.3)
    points = adult_size(keypoints(child), float(palm_length(child)))
    np.testing.assert_allclose(points, keypoints(adult), rtol=1e-3, atol=1e-4)
