"""Joints that the camera does not see, in images where it is known which they are."""

from dataclasses import replace

import numpy as np
import pytest
from test_estimator import blob, CAMERA, Centroid, estimator

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.estimator.occlusion import occluded_joints
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.benchmark import EVERYDAY
from v2v_pose_ros.synthesis.hands.scenes import HandScenes

CUBE = 0.25


def hidden(depth, joints, cube=CUBE):
    points = CAMERA.points(depth)
    return occluded_joints(np.array(joints, np.float32), points, cube).tolist()


def test_a_joint_under_its_own_skin_is_seen_and_one_behind_something_is_not():
    image = blob(0, 0, 0.5)
    joints = [[0, 0, 0.51], [0.03, 0.02, 0.495], [0, 0, 0.54], [-0.03, 0, 0.6]]
    assert hidden(image, joints) == [False, False, True, True]


def test_where_nothing_was_measured_nothing_is_seen():
    image = blob(0, 0, 0.5)
    assert hidden(image, [[0.049, 0, 0.5], [0.057, 0, 0.5], [0.08, 0, 0.5]]) == [
        False,
        False,
        True,
    ]
    assert hidden(np.zeros_like(image), [[0, 0, 0.5]]) == [True]


@pytest.mark.parametrize('scale', [0.25, 1.0, 4.0])
def test_what_counts_grows_with_the_cube(scale):
    """So that the same holds for a hand and for a person."""
    image = blob(0, 0, 0.5 * scale, size=0.1 * scale)
    joints = scale * np.array([[0, 0, 0.51], [0, 0, 0.54]])
    assert hidden(image, joints, CUBE * scale) == [False, True]


def test_every_skeleton_that_is_found_says_it():
    (skeleton,) = estimator(Centroid((0, 0, 0.04)))(blob(0, 0, 0.5), CAMERA).skeletons
    assert skeleton.occluded.all()
    (skeleton,) = estimator(Centroid())(blob(0, 0, 0.5), CAMERA).skeletons
    assert not skeleton.occluded.any()


def test_hidden_joints_of_rendered_hands_are_told():
    """Against what is before the true joints in an image without noise."""
    options = replace(EVERYDAY, noise=False)
    scenes, camera = HandScenes(seed=99, options=options), sr305(320, 240)
    run = PoseEstimator.load('hand_lite')
    found, true = [], []
    for _ in range(25):
        depth, joints = scenes.frame(camera)
        for skeleton in run(depth, camera).skeletons:
            columns, rows = np.rint(camera.project(joints)).astype(int).T
            inside = (columns >= 0) & (columns < 320) & (rows >= 0) & (rows < 240)
            surface = depth[rows.clip(0, 239), columns.clip(0, 319)]
            before = joints[:, 2] - surface > 0.1 * CUBE
            true.append((before & (surface > 0))[inside])
            found.append(skeleton.occluded[inside])
    found, true = np.concatenate(found), np.concatenate(true)
    assert found[true].mean() > 0.6
    assert found[~true].mean() < 0.15
