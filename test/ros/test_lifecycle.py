"""The lifecycle over real DDS: as `ros2 lifecycle` and managers of a robot use it."""

import threading

from diagnostic_msgs.msg import DiagnosticArray
from fake_estimator import FakeEstimator
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future
from ros_bench import camera_info, depth_image, PATIENCE, wait_until
from visualization_msgs.msg import Marker

from v2v_pose_ros.ros.lifecycle import serve
from v2v_pose_ros.ros.node import NODE_NAME, PoseNode

UNCONFIGURED, INACTIVE = State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE
ACTIVE, FINALIZED = State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_FINALIZED

# What the node design of ROS 2 allows (design.ros2.org, Managed nodes).
TRANSITIONS = {
    UNCONFIGURED: {
        Transition.TRANSITION_CONFIGURE: INACTIVE,
        Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: FINALIZED,
    },
    INACTIVE: {
        Transition.TRANSITION_ACTIVATE: ACTIVE,
        Transition.TRANSITION_CLEANUP: UNCONFIGURED,
        Transition.TRANSITION_INACTIVE_SHUTDOWN: FINALIZED,
    },
    ACTIVE: {
        Transition.TRANSITION_DEACTIVATE: INACTIVE,
        Transition.TRANSITION_ACTIVE_SHUTDOWN: FINALIZED,
    },
    FINALIZED: {},
}
WAYS = {
    UNCONFIGURED: [],
    INACTIVE: [Transition.TRANSITION_CONFIGURE],
    ACTIVE: [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE],
    FINALIZED: [Transition.TRANSITION_UNCONFIGURED_SHUTDOWN],
}


class Manager:
    """Calls the services of the node's lifecycle from another node."""

    def __init__(self, bench) -> None:
        camera = bench.camera
        self._change = camera.create_client(ChangeState, '/v2v_pose/change_state')
        self._get = camera.create_client(GetState, '/v2v_pose/get_state')
        self._available = camera.create_client(
            GetAvailableTransitions, '/v2v_pose/get_available_transitions'
        )
        for client in (self._change, self._get, self._available):
            assert client.wait_for_service(PATIENCE)

    def change(self, transition: int) -> bool:
        return self._call(
            self._change, ChangeState.Request(transition=Transition(id=transition))
        ).success

    def state(self) -> int:
        return self._call(self._get, GetState.Request()).current_state.id

    def offers(self) -> set[int]:
        response = self._call(self._available, GetAvailableTransitions.Request())
        return {each.transition.id for each in response.available_transitions}

    @staticmethod
    def _call(client, request):
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE)
        return future.result()


@pytest.fixture
def start(bench):
    """Return a function that starts a node which waits for its manager, and that manager."""

    def start(load=FakeEstimator, listen=('skeletons',)):
        node = bench.start(load, listen, autostart=False)
        return node, Manager(bench)

    return start


def sees(bench, count=1):
    """Tell whether an image gives so many skeletons; the camera may take time to be found."""
    bench.wait_for_camera()
    image = bench.show(depth_image(), camera_info())
    return len(bench.receive_for('skeletons', image).skeletons) == count


def test_it_starts_itself_unless_told_otherwise(bench):
    bench.start(FakeEstimator, ('skeletons',))
    assert Manager(bench).state() == ACTIVE
    assert sees(bench)


def test_a_managed_node_neither_loads_nor_subscribes_by_itself(bench, start):
    loads = []
    node, manager = start(lambda parameters: loads.append(1) or FakeEstimator(parameters))
    assert manager.state() == UNCONFIGURED
    assert node.count_subscribers('depth/image_rect') == 0
    assert not loads
    assert manager.change(Transition.TRANSITION_CONFIGURE)
    assert len(loads) == 1
    assert node.count_subscribers('depth/image_rect') == 0
    assert manager.change(Transition.TRANSITION_ACTIVATE)
    assert node.count_subscribers('depth/image_rect') == 1
    assert sees(bench)


@pytest.mark.parametrize('state', TRANSITIONS, ids=['unconfigured', 'inactive', 'active', 'final'])
def test_from_every_state_the_allowed_transitions_and_no_others(start, state):
    _, manager = start()
    for transition in WAYS[state]:
        assert manager.change(transition)
    assert manager.state() == state
    # A state machine of ROS offers nothing but the shutdown of old in the final state.
    assert manager.offers() >= set(TRANSITIONS[state])
    everything = {each for allowed in TRANSITIONS.values() for each in allowed}
    for transition in [*sorted(everything - set(TRANSITIONS[state])), 99]:
        assert not manager.change(transition)
        assert manager.state() == state
    for transition, goal in TRANSITIONS[state].items():
        if goal == FINALIZED:
            continue
        assert manager.change(transition)
        assert manager.state() == goal
        break


@pytest.mark.parametrize('state', [UNCONFIGURED, INACTIVE, ACTIVE])
def test_shutdown_from_every_state_lets_go_of_everything(start, state):
    node, manager = start()
    for transition in WAYS[state]:
        manager.change(transition)
    (shutdown,) = (t for t, goal in TRANSITIONS[state].items() if goal == FINALIZED)
    assert manager.change(shutdown)
    assert manager.state() == FINALIZED
    assert node.count_subscribers('depth/image_rect') == 0
    assert 'inference' not in [thread.name for thread in threading.enumerate()]


def test_the_whole_round_again_and_again(bench, start):
    _, manager = start()
    for _ in range(3):
        assert manager.change(Transition.TRANSITION_CONFIGURE)
        for _ in range(2):
            assert manager.change(Transition.TRANSITION_ACTIVATE)
            assert sees(bench)
            assert manager.change(Transition.TRANSITION_DEACTIVATE)
        assert manager.change(Transition.TRANSITION_CLEANUP)
    assert [thread.name for thread in threading.enumerate()].count('inference') == 0


def test_deactivation_takes_the_markers_back_and_ends_the_stream(bench, start):
    node, manager = start(listen=('skeletons', 'markers'))
    for transition in WAYS[ACTIVE]:
        manager.change(transition)
    assert sees(bench)
    assert bench.receive('markers').markers[0].action == Marker.ADD
    assert manager.change(Transition.TRANSITION_DEACTIVATE)
    removal = bench.receive('markers').markers
    assert {(marker.ns, marker.action) for marker in removal} == {('hand', Marker.DELETE)}
    assert node.count_subscribers('depth/image_rect') == 0
    assert node.count_subscribers('depth/camera_info') == 0


@pytest.mark.parametrize('reference', ['point', 'region'])
def test_deactivation_lets_go_of_all_that_was_subscribed_to(bench, reference):
    node = bench.start(FakeEstimator, (), autostart=False, reference=reference, output_frame='map')
    manager = Manager(bench)

    def heard():
        subscribed = node.get_subscriber_names_and_types_by_node(NODE_NAME, '/')
        return {name for name, _ in subscribed}

    before = heard()
    for transition in WAYS[ACTIVE]:
        assert manager.change(transition)
    wait_until(lambda: len(heard() - before) == 5, 'the camera, TF and where the subject is')
    assert manager.change(Transition.TRANSITION_DEACTIVATE)
    wait_until(lambda: heard() == before, 'the end of it')


def test_nothing_is_published_once_deactivated(bench, start):
    busy, go_on = threading.Event(), threading.Event()

    def block():
        busy.set()
        assert go_on.wait(PATIENCE)

    _, manager = start(lambda _: FakeEstimator(fail=block))
    for transition in WAYS[ACTIVE]:
        manager.change(transition)
    bench.wait_for_camera()
    bench.show(depth_image(), camera_info())
    assert busy.wait(PATIENCE)
    threading.Timer(0.3, go_on.set).start()
    assert manager.change(Transition.TRANSITION_DEACTIVATE)
    assert go_on.is_set()  # the image in work was waited for
    assert bench.silent('skeletons')
    assert manager.change(Transition.TRANSITION_ACTIVATE)
    assert sees(bench)


def test_tracking_starts_afresh_after_a_pause(bench, start):
    estimator = FakeEstimator()
    _, manager = start(lambda _: estimator)
    for transition in WAYS[ACTIVE]:
        manager.change(transition)
    assert sees(bench)
    assert estimator.resets == 0
    manager.change(Transition.TRANSITION_DEACTIVATE)
    manager.change(Transition.TRANSITION_ACTIVATE)
    assert sees(bench)
    assert estimator.resets == 1


def test_a_model_that_cannot_be_used_leaves_it_unconfigured_and_says_why(bench, start):
    errors = [ValueError('hand.safetensors is cut short')]

    def load(parameters):
        if errors:
            raise errors.pop()
        return FakeEstimator(parameters)

    node, manager = start(load, ('skeletons', 'diagnostics'))
    assert not manager.change(Transition.TRANSITION_CONFIGURE)
    assert manager.state() == UNCONFIGURED
    bench.logged('hand.safetensors is cut short')
    assert 'hand.safetensors is cut short' in bench.receive_error().message
    assert not node.failed.done()  # somebody manages it, who may try again
    for transition in WAYS[ACTIVE]:
        assert manager.change(transition)
    assert sees(bench)


def test_a_warm_up_that_fails_counts_as_a_model_that_cannot_be_used(bench, start):
    class Cold(FakeEstimator):
        def warm_up(self):
            raise RuntimeError('CUDA out of memory')

    _, manager = start(Cold)
    assert not manager.change(Transition.TRANSITION_CONFIGURE)
    assert manager.state() == UNCONFIGURED
    bench.logged('CUDA out of memory')


def test_a_transition_that_fails_is_told_and_the_node_starts_afresh(bench, start, monkeypatch):
    node, manager = start(listen=('skeletons', 'diagnostics'))
    assert manager.change(Transition.TRANSITION_CONFIGURE)
    with monkeypatch.context() as broken:
        broken.setattr(node, 'create_subscription', lambda *_: 1 / 0)
        assert not manager.change(Transition.TRANSITION_ACTIVATE)
    assert manager.state() == UNCONFIGURED
    assert 'inference' not in [thread.name for thread in threading.enumerate()]
    line = bench.logged('division by zero')
    assert 'Traceback' in line.msg
    assert 'division by zero' in bench.receive_error().message
    for transition in WAYS[ACTIVE]:
        assert manager.change(transition)
    assert sees(bench)


def test_a_node_that_starts_itself_and_cannot_says_why(context, monkeypatch):
    node = PoseNode(FakeEstimator, context=context)
    monkeypatch.setattr(node, 'create_subscription', lambda *_: 1 / 0)
    node._start()
    assert 'division by zero' in node.failed.result()
    node.destroy_node()


def test_the_state_is_told_while_the_model_loads(bench, start, make_node):
    go_on, messages = threading.Event(), []

    def load(parameters):
        assert go_on.wait(PATIENCE)
        return FakeEstimator(parameters)

    _, manager = start(load)
    # The bench's own executor serves the node, which loads.
    onlooker = make_node('onlooker')
    onlooker.create_subscription(
        DiagnosticArray, '/diagnostics', lambda array: messages.append(array.status[0].message), 10
    )
    executor = SingleThreadedExecutor(context=bench.context)
    executor.add_node(onlooker)
    change = threading.Thread(target=manager.change, args=[Transition.TRANSITION_CONFIGURE])
    change.start()

    def told(words):
        executor.spin_once(timeout_sec=0.1)
        return any(words in message for message in messages)

    wait_until(lambda: told('loading'), 'the news of loading')
    go_on.set()
    change.join(PATIENCE)
    wait_until(lambda: told('inactive'), 'the news of being inactive')
    executor.shutdown()


def test_serving_for_hours_piles_nothing_up(context, make_node):
    class Counting(Future):
        callbacks = 0

        def add_done_callback(self, callback):
            self.callbacks += 1
            super().add_done_callback(callback)

    node, executor = make_node('served'), SingleThreadedExecutor(context=context)
    executor.add_node(node)
    done, turns = Counting(executor=executor), []

    def turn():
        turns.append(None)
        if len(turns) == 100:
            done.set_result(None)

    node.create_timer(0.001, turn)
    serve(node, executor, until=done)
    assert len(turns) == 100
    assert done.callbacks < 5
