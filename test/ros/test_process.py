"""The node as a process: how it starts, and how it ends."""

from pathlib import Path
import signal
import time

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest
from rclpy.executors import SingleThreadedExecutor
from ros_bench import camera_info, depth_image, wait_until
from sensor_msgs.msg import CameraInfo, Image

from v2v_pose_ros.msg import SkeletonArray

PATIENCE = 90.0  # s; importing PyTorch alone takes 20 on a busy machine
FAKE_NODE = Path(__file__).resolve().parents[1] / 'fake_estimator.py'


@pytest.fixture
def start(start_process):
    """Return a function that starts the node, with an estimator that needs no network."""

    def start(*arguments, command=(str(FAKE_NODE),), **environment):
        return start_process(*command, *arguments, **environment)

    return start


def finish(process):
    """Return exit status and output."""
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def wait_for_line(process, words):
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f'the node ended without {words!r}')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly(start, number):
    process = start()
    wait_for_line(process, 'ready')
    process.send_signal(number)
    status, output = finish(process)
    assert status == 0
    assert 'Traceback' not in output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly_while_it_waits_for_its_manager(start, make_node, number):
    process = start('--ros-args', '-p', 'autostart:=false')
    client = make_node('manager').create_client(GetState, '/v2v_pose/get_state')
    assert client.wait_for_service(PATIENCE)
    process.send_signal(number)
    status, output = finish(process)
    assert status == 0
    assert 'Traceback' not in output


TO_STATE = {
    'inactive': [Transition.TRANSITION_CONFIGURE],
    'active': [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE],
    'finalized': [Transition.TRANSITION_UNCONFIGURED_SHUTDOWN],
}


@pytest.mark.parametrize('state', TO_STATE)
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly_in_every_state(rig, state, number):
    process = rig.start('--ros-args', '-p', 'autostart:=false')
    client = rig.client(ChangeState, 'change_state')
    for transition in TO_STATE[state]:
        answer = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        wait_until(answer.done, 'the transition')
        assert answer.result().success
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert 'Traceback' not in rig.output()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly_while_it_loads(start, make_node, number):
    process = start(FAKE_LOADING='3.0')
    client = make_node('manager').create_client(GetState, '/v2v_pose/get_state')
    assert client.wait_for_service(PATIENCE)
    process.send_signal(number)
    status, output = finish(process)
    assert status == 0
    assert 'Traceback' not in output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_again_and_again_ends_it_cleanly(start, number):
    process = start()
    wait_for_line(process, 'ready')
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.002)
    status, output = finish(process)
    assert status == 0
    assert 'Traceback' not in output


def test_images_of_another_process_give_skeletons(context, make_node, start):
    node = make_node('camera')
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    infos = node.create_publisher(CameraInfo, 'front/info', 1)
    images = node.create_publisher(Image, 'front/depth', 1)
    received = []
    node.create_subscription(SkeletonArray, '/left/v2v_pose/skeletons', received.append, 1)
    process = start(
        *['--ros-args', '-r', '__ns:=/left', '-p', 'subject:=operator'],
        *['-r', 'depth/image_rect:=/front/depth', '-r', 'depth/camera_info:=/front/info'],
    )
    try:
        wait_for_line(process, 'ready')
        wait_until(lambda: images.get_subscription_count() > 0, 'the image subscription')
        wait_until(lambda: infos.get_subscription_count() > 0, 'the info subscription')

        def seen():
            infos.publish(camera_info())
            images.publish(depth_image())
            executor.spin_once(timeout_sec=0.05)
            return bool(received)

        wait_until(seen, 'skeletons')
    finally:
        process.send_signal(signal.SIGINT)
        status, _ = finish(process)
    assert status == 0
    assert received[0].skeletons[0].subject_id == 'operator'


def test_unusable_model_is_one_line_and_a_failure(start):
    status, output = finish(start(FAKE_FAILURE='hand.safetensors is cut short'))
    assert status == 1
    assert output.count('\n') == 1
    assert 'hand.safetensors is cut short' in output


def test_impossible_parameter_is_one_line_and_wrong_use(start):
    status, output = finish(start('--ros-args', '-p', 'min_depth:=9.0'))
    assert status == 2
    assert output.count('\n') == 1
    assert 'min_depth' in output


def test_missing_parameter_file_is_one_line_and_wrong_use(start):
    status, output = finish(start('--ros-args', '--params-file', '/nowhere/hand.yaml'))
    assert status == 2
    assert 'Traceback' not in output
    assert '/nowhere/hand.yaml' in output


def test_missing_model_file_is_named(start):
    status, output = finish(
        start(
            *['--ros-args', '-p', 'model:=/nowhere/hand.safetensors'],
            command=('-m', 'v2v_pose_ros.ros.node'),
        )
    )
    assert status == 1
    assert output.count('\n') == 1
    assert '/nowhere/hand.safetensors' in output


def test_a_cache_that_cannot_be_written_costs_time_alone(start):
    process = start(command=('-m', 'v2v_pose_ros.ros.node'), XDG_CACHE_HOME='/dev/null/cache')
    wait_for_line(process, 'ready')
    process.send_signal(signal.SIGINT)
    status, output = finish(process)
    assert status == 0
    assert 'Traceback' not in output
