"""An arm that is clutched to a hand moves as the hand does, from where it was when armed."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from teleop_hands import open_hand

from v2v_pose_ros.teleoperation.clutch import Clutch, ToolUnknown
from v2v_pose_ros.teleoperation.hand import wrist_frame
from v2v_pose_ros.teleoperation.limits import WristLimits
from v2v_pose_ros.teleoperation.teleoperator import Skeleton, Teleoperator, TeleoperatorOptions
from v2v_pose_ros.workspace import RigidTransform

PERIOD = 1 / 30
SEEDS = st.integers(0, 2**32 - 1)
# The arm is elsewhere than the hand, and its tool is turned.
TOOL = RigidTransform(
    Rotation.from_euler('xyz', [180, 0, 45], degrees=True).as_matrix(), np.array([0.4, -0.2, 0.3])
)


def draw(rng) -> RigidTransform:
    return RigidTransform(Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3))


@given(SEEDS)
def test_a_hand_that_rests_leaves_the_tool_where_it_is(seed):
    rng = np.random.default_rng(seed)
    hand, clutch = draw(rng), Clutch(scale=2.0)
    clutch.release(TOOL)
    for _ in range(2):
        place, turn = clutch(hand.translation, hand.rotation)
        np.testing.assert_allclose(place, TOOL.translation, atol=1e-12)
        np.testing.assert_allclose(turn, TOOL.rotation, atol=1e-12)


@given(SEEDS, st.floats(0.01, 10.0))
def test_the_tool_goes_and_turns_as_the_hand_does(seed, scale):
    rng = np.random.default_rng(seed)
    hand, later, clutch = draw(rng), draw(rng), Clutch(scale)
    clutch.release(TOOL)
    clutch(hand.translation, hand.rotation)
    place, turn = clutch(later.translation, later.rotation)
    way = later.translation - hand.translation
    np.testing.assert_allclose(place - TOOL.translation, scale * way, atol=1e-9)
    # What takes the hand's first rotation to its later one takes the tool's there, too.
    np.testing.assert_allclose(turn @ TOOL.rotation.T, later.rotation @ hand.rotation.T, atol=1e-9)


class Arm:
    """An operator, and an arm whose tool is somewhere."""

    def __init__(self, **options) -> None:
        self.tool: RigidTransform | None = TOOL
        wrist = WristLimits(linear=0.5, angular=2.0)
        self.teleoperator = Teleoperator(
            TeleoperatorOptions(wrist=wrist, **options), tool=self.where
        )
        self.now = 10.0

    def where(self) -> RigidTransform:
        if self.tool is None:
            raise ToolUnknown('no transform to the tool')
        return self.tool

    def show(self, positions, frames: int = 1):
        for _ in range(frames):
            self.now += PERIOD
            self.teleoperator.see(Skeleton(positions, 0.9, self.now, 0.02), self.now)
        command = self.teleoperator.command
        return None if command is None else command.hand.wrist

    def arm(self) -> str | None:
        return self.teleoperator.request(True, self.now, 'a test')


def test_the_first_command_is_where_the_tool_is():
    arm = Arm()
    arm.show(open_hand((0.1, 0.2, 0.5)))
    assert arm.arm() is None
    wrist = arm.show(open_hand((0.1, 0.2, 0.5)))
    np.testing.assert_allclose(wrist.position, TOOL.translation, atol=1e-12)
    np.testing.assert_allclose(wrist.rotation, TOOL.rotation, atol=1e-12)
    assert not wrist.linear.any()


def test_the_tool_follows_the_hands_way():
    arm = Arm(motion_scale=0.5)
    arm.show(open_hand())
    arm.arm()
    arm.show(open_hand())
    for step in range(20):
        wrist = arm.show(open_hand((0.01 * step, 0, 0.5)))
    wrist = arm.show(open_hand((0.19, 0, 0.5)), frames=10)
    way = wrist.position - TOOL.translation
    np.testing.assert_allclose(way, [0.095, 0, 0], atol=1e-9)


def test_the_measured_wrist_stays_the_hands():
    arm = Arm()
    arm.show(open_hand())
    arm.arm()
    arm.show(open_hand())
    measured = arm.teleoperator.measured.wrist
    np.testing.assert_allclose(measured.position, [0, 0, 0.5])
    np.testing.assert_allclose(measured.rotation, wrist_frame(open_hand()))


def test_an_arm_that_nobody_knows_of_is_not_armed():
    arm = Arm()
    arm.show(open_hand())
    arm.tool = None
    assert arm.arm() == 'no transform to the tool'
    assert arm.show(open_hand()) is None
    assert arm.teleoperator.safety.reason == 'not armed: no transform to the tool'
    arm.tool = TOOL
    assert arm.arm() is None


def test_a_hand_that_nobody_sees_is_the_first_reason():
    arm = Arm()
    arm.tool = None
    assert arm.arm() == 'no skeleton came yet'


@pytest.mark.parametrize('end', ['loss', 'disarming'])
def test_armed_again_the_tool_goes_on_from_where_it_is_then(end):
    arm = Arm()
    arm.show(open_hand())
    arm.arm()
    arm.show(open_hand(), frames=3)
    if end == 'loss':
        arm.show(None, frames=10)
        assert arm.teleoperator.safety.state == 'lost'
    else:
        arm.teleoperator.request(False, arm.now, 'a test')
    # Meanwhile the arm was moved, and so was the hand.
    arm.tool = RigidTransform(np.eye(3), np.array([1.0, 0.0, 0.2]))
    elsewhere = open_hand((0.12, 0.1, 0.6))
    arm.show(elsewhere, frames=2)
    assert arm.arm() is None
    wrist = arm.show(elsewhere)
    np.testing.assert_allclose(wrist.position, [1.0, 0.0, 0.2], atol=1e-12)
    np.testing.assert_allclose(wrist.rotation, np.eye(3), atol=1e-12)


def test_arming_what_is_armed_changes_nothing():
    arm = Arm()
    arm.show(open_hand())
    arm.arm()
    arm.show(open_hand())
    near = open_hand((0.01, 0, 0.5))
    before = arm.show(near, frames=5).position
    assert arm.arm() is None
    np.testing.assert_allclose(arm.show(near).position, before, atol=1e-12)


def test_after_a_short_interruption_the_tool_goes_on_from_the_same_beginning():
    arm = Arm()
    arm.show(open_hand())
    arm.arm()
    arm.show(open_hand())
    arm.show(None)
    assert arm.teleoperator.safety.state == 'holding'
    arm.tool = RigidTransform(np.eye(3), np.array([1.0, 0.0, 0.2]))  # of no importance now
    wrist = arm.show(open_hand((0.02, 0, 0.5)), frames=20)
    way = wrist.position - TOOL.translation
    np.testing.assert_allclose(way, [0.02, 0, 0], atol=1e-9)
