"""The teleoperation node's wiring: what its messages say, its lifecycle, parameters and launch."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from ros_bench import PATIENCE, wait_until
from std_msgs.msg import Header
from teleop_bench import COMMANDS, FRAME, MEASURED, PERIOD, skeletons, TeleopBench
from teleop_hands import open_hand
from tf2_ros import TransformBroadcaster
import yaml

from v2v_pose_ros.kinematics import bone_orientations
from v2v_pose_ros.ros.declarations import ParameterError
from v2v_pose_ros.ros.teleop import messages
from v2v_pose_ros.ros.teleop.input import find_hand, joints_of, positions_of, SkeletonReader
from v2v_pose_ros.ros.teleop.messages import joint_state_message, trajectory_message
from v2v_pose_ros.ros.teleop.node import FRESH, TeleopNode
from v2v_pose_ros.ros.teleop.parameters import TeleopParameters
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.teleoperation.anatomy import FINGER_ANGLES
from v2v_pose_ros.teleoperation.hand import finger_angles, palm_length
from v2v_pose_ros.teleoperation.openings import keypoints, OPENINGS, openings

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'config' / 'teleop.yaml'
# A machine that is busy with other tests makes gaps; they are not what is looked at here.
PATIENT = {'timeout': 1.0, 'grace': 5.0, 'max_age': 20.0}

BUILDERS = (
    'wrist_pose_message',
    'wrist_twist_message',
    'joint_state_message',
    'points_message',
    'trajectory_message',
)

GRIPPER = """
<robot name="gripper"><link name="palm"/><link name="finger"/>
  <joint name="finger_joint" type="prismatic"><parent link="palm"/><child link="finger"/>
    <limit lower="0.0" upper="0.04" effort="10" velocity="0.1"/></joint>
</robot>
"""


@pytest.fixture
def start(context) -> Iterator:
    """Return a function that runs the node in this process, in front of a bench."""
    ends = []

    def start(topics=None, **parameters):
        overrides = [
            Parameter(name, value=value) for name, value in {**PATIENT, **parameters}.items()
        ]
        node = TeleopNode(context=context, parameter_overrides=overrides)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        bench = TeleopBench(context, {**COMMANDS, **MEASURED} if topics is None else topics)
        ends.append((executor, thread, node, bench))
        return bench, node

    yield start
    for executor, thread, node, bench in ends:
        executor.shutdown()
        thread.join(PATIENCE)
        bench.close()
        node.destroy_node()


def test_messages_say_what_the_hand_does(start):
    bench, _ = start()
    bench.wait_for_node()
    hand = open_hand((0.1, 0.05, 0.6))
    bench.arm(hand)
    bench.show_until(lambda: bool(bench.received['command/keypoints']), hand, 'a command')
    size = float(palm_length(hand))
    for prefix in ('measured', 'command'):
        pose = bench.latest(f'{prefix}/wrist_pose')
        assert pose.header.frame_id == FRAME
        place, turn = pose.pose.position, pose.pose.orientation
        np.testing.assert_allclose([place.x, place.y, place.z], [0.1, 0.05, 0.6], atol=1e-6)
        found = np.array([turn.x, turn.y, turn.z, turn.w])
        expected = bone_orientations(HAND, hand)[0]
        assert abs(found @ expected) == pytest.approx(1.0)
        angles = bench.latest(f'{prefix}/finger_angles')
        assert tuple(angles.name) == FINGER_ANGLES
        np.testing.assert_allclose(angles.position, finger_angles(hand), atol=1e-6)
        opening = bench.latest(f'{prefix}/openings')
        assert tuple(opening.name) == OPENINGS
        np.testing.assert_allclose(opening.position, openings(hand, size), atol=1e-6)
        points = bench.latest(f'{prefix}/keypoints')
        assert points.header.frame_id == 'hand/mano_wrist'
        found = [[p.position.x, p.position.y, p.position.z] for p in points.poses]
        np.testing.assert_allclose(found, keypoints(hand), atol=1e-6)
        assert bench.latest(f'{prefix}/wrist_twist').header.frame_id == FRAME
    assert not bench.received['command/robot_joints']


def test_what_nobody_subscribes_to_is_not_made(start, monkeypatch):
    made = []

    def watch(name):
        builder = getattr(messages, name)

        def build(*arguments):
            made.append(name)
            return builder(*arguments)

        monkeypatch.setattr(messages, name, build)

    for name in BUILDERS:
        watch(name)
    bench, _ = start({'command/wrist_pose': COMMANDS['command/wrist_pose']})
    bench.wait_for_node()
    bench.show(open_hand(), frames=5)
    assert not made
    bench.arm(open_hand())
    bench.show_until(lambda: bool(bench.received['command/wrist_pose']), open_hand(), 'a command')
    assert set(made) == {'wrist_pose_message'}
    # Who comes later is served as well.
    bench.listen('measured/keypoints', MEASURED['measured/keypoints'])
    bench.show_until(lambda: bool(bench.received['measured/keypoints']), open_hand(), 'points')
    assert set(made) == {'wrist_pose_message', 'points_message'}


def test_a_moving_wrist_has_a_twist(start):
    bench, _ = start({'measured/wrist_twist': MEASURED['measured/wrist_twist']})
    bench.wait_for_node()
    begun = time.time()
    for frame in range(30):
        stamp = begun + frame * PERIOD
        bench.show(open_hand((0.2 * frame * PERIOD, 0, 0.5)), stamp=stamp)
    wait_until(lambda: len(bench.received['measured/wrist_twist']) > 25, 'twists')
    linear = bench.latest('measured/wrist_twist').twist.linear
    assert (linear.x, linear.y, linear.z) == pytest.approx((0.2, 0, 0), abs=0.01)


def test_a_gripper_starts_from_where_it_is_and_follows_the_fingers(start, tmp_path):
    urdf = tmp_path / 'gripper.urdf'
    urdf.write_text(GRIPPER)
    topics = {
        name: COMMANDS[name] for name in ('command/robot_joints', 'command/robot_trajectory')
    }
    bench, _ = start(topics, robot='gripper', urdf=str(urdf))
    bench.wait_for_node()
    wait_until(lambda: bench.node.count_subscribers('/joint_states') > 0, 'the joint states')
    for _ in range(3):
        bench.say_joints(finger_joint=0.0, elbow=1.0)
        bench.show(open_hand())
    bench.arm(open_hand())
    bench.show_until(lambda: bool(bench.received['command/robot_joints']), open_hand(), 'joints')
    first = bench.received['command/robot_joints'][0][1]
    assert list(first.name) == ['finger_joint']
    assert first.position[0] <= 0.1 * 0.1 + 1e-6
    bench.show_until(
        lambda: bench.latest('command/robot_joints').position[0] > 0.0399, open_hand(), 'opening'
    )
    (point,) = bench.latest('command/robot_trajectory').points
    assert list(point.positions) == pytest.approx([0.04], abs=1e-3)
    assert point.time_from_start.nanosec == 50_000_000


def test_a_clutched_arm_starts_from_where_its_tool_is(start):
    bench, _ = start({'command/wrist_pose': COMMANDS['command/wrist_pose']}, tool_frame='tool0')
    bench.wait_for_node()
    bench.show(open_hand())
    refused = bench.call(True)
    assert not refused.success
    assert 'tool0' in refused.message
    broadcaster = TransformBroadcaster(bench.node)

    def show_and_say_where_the_tool_is():
        now = time.time()
        tool = TransformStamped(child_frame_id='tool0')
        tool.header = skeletons(None, now).header
        tool.transform.translation.z = 1.5
        tool.transform.rotation.x, tool.transform.rotation.w = 1.0, 0.0
        broadcaster.sendTransform(tool)
        bench.show(open_hand(), stamp=now)
        return bench.call(True).success

    bench.show_until(show_and_say_where_the_tool_is, open_hand(), 'arming')
    bench.show_until(lambda: bool(bench.received['command/wrist_pose']), open_hand(), 'a command')
    pose = bench.received['command/wrist_pose'][0][1].pose
    assert (pose.position.x, pose.position.y) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert pose.position.z == pytest.approx(1.5)
    assert abs(pose.orientation.x) == pytest.approx(1.0)
    # The hand goes 5 cm, and so does the tool; the transforms are old by then.
    there = open_hand((0.05, 0.0, 0.5))
    bench.show_until(
        lambda: bench.latest('command/wrist_pose').pose.position.x > 0.0499, there, 'the tool'
    )
    assert bench.call(False).success
    time.sleep(FRESH)  # nobody says where the tool is
    bench.show(there)
    assert not bench.call(True).success


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'frame': 'base_link'}, "in the frame 'base_link'"),
        ({'subject_id': 'hand_2'}, 'no hand'),
        ({'handedness': 'left'}, 'no hand'),
        ({'skeleton_name': 'body'}, 'no hand'),
        ({'confidence': 0.1}, 'confidence is 0.10'),
        ({'joint_names': ['wrist']}, 'joints are missing'),
        ({'stamp': 1.0}, 's old'),
    ],
)
def test_what_is_not_the_hand_that_was_armed_is_not_followed(start, changes, words):
    bench, node = start({'command/wrist_pose': COMMANDS['command/wrist_pose']})
    bench.wait_for_node()
    bench.arm(open_hand())
    bench.show_until(lambda: bool(bench.received['command/wrist_pose']), open_hand(), 'a command')
    there = open_hand((0.05, 0, 0.5))
    bench.show_until(lambda: bench.state in ('holding', 'lost'), there, 'holding', **changes)
    assert words in node._teleoperator.safety.reason
    assert bench.latest('command/wrist_pose').pose.position.x == pytest.approx(0.0)


def test_a_held_command_stays_in_its_frame(start):
    """Whatever comes into view after a loss, and wherever that is."""
    bench, _ = start({'command/wrist_pose': COMMANDS['command/wrist_pose']})
    bench.wait_for_node()
    bench.arm(open_hand())
    bench.show_until(lambda: bool(bench.received['command/wrist_pose']), open_hand(), 'a command')
    bench.show_until(lambda: bench.state == 'lost', None, 'the state lost')
    before = len(bench.received['command/wrist_pose'])
    bench.show(open_hand((0.3, 0, 0.5)), frames=10, frame='base_link')
    held = [message for _, message in bench.received['command/wrist_pose'][before:]]
    assert held
    assert {message.header.frame_id for message in held} == {FRAME}
    assert {message.pose.position.x for message in held} == {0.0}


def test_diagnostics_tell_the_state_and_its_reason(start):
    bench, _ = start({}, diagnostics_period=0.1, grace=0.0)
    bench.wait_for_node()

    def status(words):
        """Return the first status from now on whose message has some words."""
        _, message = bench.wait_for(
            'diagnostics', time.monotonic(), lambda m: words in m.status[0].message
        )
        return message.status[0]

    assert status('disarmed: not armed yet').level == DiagnosticStatus.OK
    bench.arm(open_hand())
    bench.show_until(lambda: bench.state == 'lost', None, 'the loss')
    lost = status('lost: no hand is seen')
    assert lost.level == DiagnosticStatus.ERROR
    values = {entry.key: entry.value for entry in lost.values}
    assert values['losses'] == '1'
    assert values['safety state'] == 'lost'


def test_lifecycle_takes_every_command_back(start):
    bench, _ = start({'command/wrist_pose': COMMANDS['command/wrist_pose']}, autostart=False)
    client = bench.node.create_client(ChangeState, '/v2v_teleop/change_state')
    wait_until(client.service_is_ready, 'the lifecycle service')

    def transition(number):
        future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
        wait_until(future.done, 'a transition')
        return future.result().success

    wait_until(bench._arm.service_is_ready, 'the service ~/arm')
    refused = bench.call(True)
    assert not refused.success
    assert 'activate' in refused.message
    assert transition(Transition.TRANSITION_CONFIGURE)
    assert transition(Transition.TRANSITION_ACTIVATE)
    bench.wait_for_node()
    bench.arm(open_hand())
    bench.show_until(lambda: bool(bench.received['command/wrist_pose']), open_hand(), 'a command')
    assert transition(Transition.TRANSITION_DEACTIVATE)
    wait_until(lambda: bench.state == 'disarmed', 'the state disarmed')
    count = len(bench.received['command/wrist_pose'])
    assert transition(Transition.TRANSITION_ACTIVATE)
    bench.wait_for_node()
    bench.show(open_hand(), frames=15)
    assert len(bench.received['command/wrist_pose']) == count
    assert transition(Transition.TRANSITION_DEACTIVATE)
    assert transition(Transition.TRANSITION_CLEANUP)
    assert transition(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


def test_a_gesture_that_arms_leaves_only_disarming_to_the_service(start):
    bench, _ = start({}, dead_man='pinch')
    bench.wait_for_node()
    bench.show(open_hand())
    answer = bench.call(True)
    assert not answer.success
    assert 'pinch' in answer.message
    assert bench.call(False).success


def test_defaults_pass_their_own_check_and_are_what_the_shipped_file_says():
    TeleopParameters().check()
    values = yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters']
    assert values == asdict(TeleopParameters())
    assert [type(value) for value in values.values()] == [
        type(entry.default) for entry in fields(TeleopParameters)
    ]


def test_shipped_file_describes_every_parameter():
    lines = CONFIG.read_text().splitlines()
    for entry in fields(TeleopParameters):
        (row,) = [i for i, line in enumerate(lines) if line.strip().startswith(f'{entry.name}:')]
        assert lines[row - 1].strip().startswith('#'), entry.name


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'gesture_close': 0.6}, 'gesture_close must be smaller'),
        ({'robot': 'allegro'}, 'urdf is empty'),
        ({'dead_man': 'nobody'}, 'dead_man'),
    ],
)
def test_impossible_parameters_are_refused(context, wrong, words):
    overrides = [Parameter(name, value=value) for name, value in wrong.items()]
    with pytest.raises(ParameterError, match=words):
        TeleopNode(context=context, parameter_overrides=overrides)


def test_the_hand_of_the_right_side_and_name_is_found():
    array = skeletons(open_hand(), handedness='left', subject_id='hand_1')
    array.skeletons += skeletons(open_hand(), subject_id='hand_2').skeletons
    array.skeletons += skeletons(open_hand(), subject_id='hand_3', handedness='').skeletons
    assert find_hand(array, 'left').subject_id == 'hand_1'
    assert find_hand(array, 'right').subject_id == 'hand_2'
    assert find_hand(array, 'right', 'hand_3').subject_id == 'hand_3'
    assert find_hand(array, 'right', 'hand_1') is None


def test_joints_are_read_by_name():
    (hand,) = skeletons(open_hand()).skeletons
    hand.joint_names = list(hand.joint_names)[::-1]
    hand.poses = list(hand.poses)[::-1]
    np.testing.assert_allclose(positions_of(hand), open_hand())


def test_stamps_of_zero_have_no_age():
    reader = SkeletonReader(TeleopParameters())
    assert reader.read(skeletons(open_hand(), stamp=0.0), 50.0, follows=False).age is None
    old = reader.read(skeletons(open_hand(), stamp=20.0), 50.0, follows=False)
    assert old.age == pytest.approx(30.0)


def test_joint_states_without_the_robot_say_nothing():
    states = joint_state_message(Header(), ['a', 'b'], np.array([1.0, np.nan]))
    np.testing.assert_allclose(joints_of(states, ['a']), [1.0])
    assert joints_of(states, ['b']) is None
    assert joints_of(states, ['a', 'c']) is None


def test_a_trajectory_starts_at_once():
    message = trajectory_message(['a'], np.array([0.5]), 1.25)
    assert message.header.stamp.sec == message.header.stamp.nanosec == 0
    assert message.points[0].time_from_start.sec == 1
