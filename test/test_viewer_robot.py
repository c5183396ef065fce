"""A robot hand in the viewer: read back from the recording, it stands as its joints say."""

import math
import sys

import numpy as np
import pytest
from rrd_files import contents
from scipy.spatial.transform import Rotation

from v2v_pose_ros.viewer.robot import BESIDE, RobotView
from v2v_pose_ros.viewer.sink import Viewer, ViewerError

# Two links of 0.1 m, one behind the other, with hinges about z; the second mimics the first.
FINGER = """
<robot name="finger">
  <link name="base"><visual><geometry><sphere radius="0.01"/></geometry></visual></link>
  <link name="near"/><link name="far"/><link name="tip"/>
  <joint name="knuckle" type="revolute"><parent link="base"/><child link="near"/>
    <axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/></joint>
  <joint name="hinge" type="revolute"><parent link="near"/><child link="far"/>
    <origin xyz="0.1 0 0"/><axis xyz="0 0 1"/><mimic joint="knuckle" multiplier="2" offset="0.1"/>
    <limit lower="-2" upper="3" effort="1" velocity="1"/></joint>
  <joint name="end" type="fixed"><parent link="far"/><child link="tip"/>
    <origin xyz="0.1 0 0"/></joint>
</robot>
"""
# A palm and two fingers that move apart along y, the right one as the left.
GRIPPER = """
<robot name="gripper">
  <link name="palm"><visual><geometry><box size="0.04 0.12 0.03"/></geometry></visual></link>
  <link name="left_finger">
    <visual><geometry><box size="0.06 0.012 0.02"/></geometry></visual></link>
  <link name="right_finger">
    <visual><geometry><box size="0.06 0.012 0.02"/></geometry></visual></link>
  <joint name="left_finger_joint" type="prismatic"><parent link="palm"/>
    <child link="left_finger"/><axis xyz="0 1 0"/>
    <limit lower="0.0" upper="0.04" effort="20" velocity="0.4"/></joint>
  <joint name="right_finger_joint" type="prismatic"><parent link="palm"/>
    <child link="right_finger"/><axis xyz="0 -1 0"/><mimic joint="left_finger_joint"/>
    <limit lower="0.0" upper="0.04" effort="20" velocity="0.4"/></joint>
</robot>
"""
STAMP = 1_700_000_000.0


@pytest.fixture
def draw(tmp_path):
    """Return a function that draws a robot and returns what the recording holds."""

    def draw(urdf, show):
        source, file = tmp_path / 'robot.urdf', tmp_path / 'view.rrd'
        source.write_text(urdf)
        with Viewer.to_file(file) as viewer:
            show(RobotView(viewer, source))
        return contents(file)

    return draw


def transforms(written) -> dict[str, tuple[str, np.ndarray, np.ndarray]]:
    """Return the parent, rotation and translation of every frame, the moved ones last."""
    found = {}
    for _, columns in sorted(written.items(), key=lambda each: 'stamp' in each[1]):
        for row, child in enumerate(columns.get('Transform3D:child_frame', [])):
            if child is None:
                continue
            place = columns['Transform3D:translation'][row][0]
            if (turn := columns.get('Transform3D:quaternion', [None] * (row + 1))[row]) is None:
                matrix = np.reshape(columns['Transform3D:mat3x3'][row][0], (3, 3)).T
            else:
                matrix = Rotation.from_quat(turn[0]).as_matrix()
            parent = columns['Transform3D:parent_frame'][row][0]
            found[child[0]] = parent, matrix, np.array(place)
    return found


def place_of(written, frame: str, known) -> np.ndarray:
    """Return where the origin of a frame is in the view."""
    place = np.zeros(3)
    while frame != 'tf#/':
        parent, rotation, translation = known[frame]
        place, frame = rotation @ place + translation, parent
    return place


def test_the_tip_of_a_finger_is_where_its_joints_say(draw):
    wrist, turn = np.array([0.1, 0.2, 0.5]), Rotation.from_euler('x', 90, degrees=True).as_matrix()

    def show(robot):
        robot.show_wrist(STAMP, wrist, turn)
        robot.show_joints(STAMP, {'knuckle': 0.3})

    written = draw(FINGER, show)
    known = transforms(written)
    # The first hinge turns by 0.3 rad and the one that mimics it by 2 x 0.3 + 0.1 more.
    x, y = (0.1 * f(0.3) + 0.1 * f(0.3 + 0.7) for f in (math.cos, math.sin))
    expected = wrist + BESIDE + turn @ [x, y, 0.0]
    np.testing.assert_allclose(place_of(written, 'robot/tip', known), expected, atol=1e-6)
    assert written['/robot/mount']['stamp'] == [int(STAMP * 1e9)]


def test_links_have_their_shapes(draw):
    written = draw(GRIPPER, lambda robot: None)
    boxes = {
        path.split('/')[-2]: np.array(columns['Boxes3D:half_sizes'][0][0])
        for path, columns in written.items()
        if 'Boxes3D:half_sizes' in columns
    }
    assert set(boxes) == {'palm', 'left_finger', 'right_finger'}
    np.testing.assert_allclose(boxes['palm'], [0.02, 0.06, 0.015])


def test_the_grippers_fingers_move_apart_by_what_is_commanded(draw):
    def show(robot):
        robot.show_wrist(STAMP, np.zeros(3), np.eye(3))
        robot.show_joints(STAMP, {'left_finger_joint': 0.03})

    written = draw(GRIPPER, show)
    left, right = (
        place_of(written, f'robot/{side}_finger', transforms(written))
        for side in ('left', 'right')
    )
    np.testing.assert_allclose(left - right, [0, 0.06, 0], atol=1e-6)


def test_figures_are_plots(draw):
    def show(robot):
        for number in range(3):
            robot.show_figures(STAMP + number, {'tracking/wrist_mm': 2.0 * number})

    columns = draw(GRIPPER, show)['/tracking/wrist_mm']
    assert [value for (value,) in columns['Scalars:scalars']] == [0.0, 2.0, 4.0]
    assert columns['stamp'] == [int((STAMP + number) * 1e9) for number in range(3)]


@pytest.mark.parametrize('text', [None, 'no xml', '<robot name="empty"/>'])
def test_a_urdf_that_is_none_is_refused(tmp_path, text):
    file = tmp_path / 'robot.urdf'
    if text is not None:
        file.write_text(text)
    with (
        Viewer.to_file(tmp_path / 'view.rrd') as viewer,
        pytest.raises(ViewerError, match=r'robot\.urdf'),
    ):
        RobotView(viewer, file)


def test_a_rerun_without_robots_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rerun.urdf', None)
    file = tmp_path / 'robot.urdf'
    file.write_text(GRIPPER)
    with (
        Viewer.to_file(tmp_path / 'view.rrd') as viewer,
        pytest.raises(ViewerError, match='pip install --upgrade'),
    ):
        RobotView(viewer, file)
