"""Teleoperation with real processes over DDS: what a robot is told, and when nothing."""

from collections.abc import Callable, Iterator
from itertools import pairwise
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ros_bench import wait_until
from teleop_bench import COMMANDS, MEASURED, PERIOD, TeleopBench
from teleop_hands import fist, open_hand, pinching_hand

from v2v_pose_ros.msg import SkeletonArray
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.teleoperation.robot_hand import urdf

ROOT = Path(__file__).resolve().parents[2]
PATH = f'{os.environ.get("PYTHONPATH", "")}:{Path(__file__).parent}'
PATIENCE = 60.0  # s


class Process:
    """The teleoperation node in a process of its own, as the launch file starts it."""

    PROGRAM = (str(ROOT / 'scripts' / 'teleop_node'),)

    def __init__(self, program: tuple[str, ...] = PROGRAM, **parameters: object) -> None:
        arguments = [*program, '--ros-args']
        for name, value in parameters.items():
            arguments += ['-p', f'{name}:={value}']
        self.may_fail = False  # and say where
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, 'PYTHONPATH': PATH},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> None:
        self._process.wait(PATIENCE)

    def finish(self, number: int | None = signal.SIGINT) -> tuple[int, str]:
        """End it; return its status and output."""
        if number is not None:
            self._process.send_signal(number)
        try:
            output, _ = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        return self._process.returncode, output


@pytest.fixture
def start(context) -> Iterator:
    """Return a function that starts the node and returns its bench and process."""
    benches, processes = [], []

    def start(topics=COMMANDS, program=Process.PROGRAM, **parameters):
        process = Process(program, **parameters)
        processes.append(process)
        bench = TeleopBench(context, topics)
        benches.append(bench)
        bench.wait_for_node()
        return bench, process

    yield start
    for process in processes:
        process.send(signal.SIGCONT)
        status, output = process.finish()
        assert status in (0, -signal.SIGKILL), output
        assert 'Traceback' not in output or process.may_fail
    for bench in benches:
        bench.close()


def at_rest(twist) -> bool:
    linear, angular = twist.twist.linear, twist.twist.angular
    return not any((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z))


def held_after(moment: float) -> Callable:
    """Return what accepts a held command that was not made before a moment (monotonic clock)."""
    offset = time.time() - time.monotonic()

    def accepts(twist) -> bool:
        stamp = twist.header.stamp
        return at_rest(twist) and stamp.sec + 1e-9 * stamp.nanosec - offset >= moment

    return accepts


def commands(bench: TeleopBench) -> int:
    return sum(len(bench.received[name]) for name in COMMANDS)


def moving(bench: TeleopBench, frames: int = 15) -> float:
    """Move an open hand to the right; return when the last frame was published."""
    for frame in range(frames):
        last = bench.show(open_hand((0.01 * frame, 0, 0.5)))
    return last


def test_nothing_is_commanded_before_arming(start, tmp_path):
    file = tmp_path / 'hand.urdf'
    file.write_text(urdf())
    bench, _ = start({**COMMANDS, **MEASURED}, robot='direct', urdf=str(file))
    bench.show_until(lambda: bool(bench.received['measured/wrist_pose']), open_hand(), 'a hand')
    for positions in (open_hand(), pinching_hand(), None, open_hand((0.4, 0, 0.5)), open_hand()):
        bench.show(positions, frames=15)
    assert len(bench.received['measured/wrist_pose']) > 20
    assert bench.state == 'disarmed'
    assert commands(bench) == 0
    bench.arm(open_hand())
    bench.show_until(
        lambda: all(bench.received[topic] for topic in COMMANDS), open_hand(), 'every command'
    )


LOSSES = {
    'no hand in the frame': {'positions': None},
    'no frame at all': None,
    'a confidence that is low': {'confidence': 0.1},
    'a skeleton that is a second old': {'stamp': -1.0},
    'a stamp that runs backwards': {'stamp': -0.2},
    'a jump': {'positions': open_hand((0.5, 0, 0.5))},
    'joints that are not finite': {'positions': np.full((len(HAND), 3), np.nan)},
    'joints that are missing': {'joint_names': ['wrist']},
    'a palm as no hand has it': {'positions': 3.0 * open_hand((0.0, 0.0, 0.5 / 3.0))},
    'another frame': {'frame': 'base_link'},
    'another subject': {'subject_id': 'hand_2'},
    'another hand': {'handedness': 'left'},
}
# What the robot hand of failing_robot_node cannot do.
FAILURES = {
    'a retargeting without a result': {'positions': pinching_hand((0.05, 0, 0.5))},
    'a retargeting that raises': {'positions': fist((0.05, 0, 0.5))},
}


def lose(bench: TeleopBench, changes: dict | None) -> None:
    """Show one frame of a loss, or none."""
    if changes is None:
        return
    changes = {'positions': open_hand((0.05, 0, 0.5)), **changes}
    if 'stamp' in changes:
        changes['stamp'] += time.time()
    bench.show(**changes)


def within_two_periods(delays: list[float]) -> bool:
    """Tell whether a delay was short enough; fail when none of several was.

    What the machine was late is taken off already; a busy one adds more to some of them.
    """
    assert len(delays) < 8 or min(delays) <= 2 * PERIOD, delays
    return bool(delays) and min(delays) <= 2 * PERIOD


def is_held_in_time(bench: TeleopBench, losses: dict[str, dict | None]) -> None:
    """Lose a hand in every way, and fail unless each holds the command soon enough."""
    for changes in losses.values():
        delays: list[float] = []
        while not within_two_periods(delays):
            bench.arm(open_hand())
            last_seen = moving(bench, frames=6)
            lose(bench, changes)
            arrival, _ = bench.wait_for('command/wrist_twist', last_seen, held_after(last_seen))
            delays.append(bench.delay(last_seen, arrival))
            bench.call(False)


def test_a_lost_hand_is_held_within_two_frame_periods_however_it_is_lost(start):
    # A busy machine makes gaps of its own; they must not count as losses here.
    bench, _ = start(grace=1.0)
    is_held_in_time(bench, LOSSES)


def test_a_robot_hand_that_fails_is_a_loss_within_two_frame_periods(start):
    bench, process = start(program=('-m', 'failing_robot_node'), grace=1.0)
    process.may_fail = True
    is_held_in_time(bench, FAILURES)
    for changes in FAILURES.values():
        bench.arm(open_hand())
        bench.show_until(lambda: bench.state == 'lost', what='the state lost', **changes)


def test_a_hand_that_is_lost_stays_lost(start):
    bench, _ = start()
    bench.arm(open_hand())
    moving(bench)
    bench.show_until(lambda: bench.state == 'lost', None, 'the state lost')
    held = bench.latest('command/wrist_pose').pose.position.x
    bench.show(open_hand((0.3, 0, 0.5)), frames=10)
    assert bench.state == 'lost'
    assert bench.latest('command/wrist_pose').pose.position.x == held


class Chain:
    """A synthetic camera and a pose node that knows the truth, each in a process of its own."""

    MODULES = ('v2v_pose_ros.ros.synthetic_camera', 'perfect_pose_node')

    def __init__(self, bench: TeleopBench) -> None:
        self.seen: list[float] = []  # when hands arrived here
        bench.node.create_subscription(SkeletonArray, 'v2v_pose/skeletons', self._on_hands, 10)
        self._bench = bench
        self._environment = {**os.environ, 'PYTHONPATH': PATH}
        self._processes = {module: self._start(module) for module in self.MODULES}

    def _start(self, module: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, '-m', module], env=self._environment)

    def _on_hands(self, message: SkeletonArray) -> None:
        if message.skeletons:
            self.seen.append(time.monotonic())

    def arm(self) -> None:
        self.seen.clear()
        deadline = time.monotonic() + PATIENCE
        while not self._bench.call(True).success or self._bench.state != 'armed':
            assert time.monotonic() < deadline, 'arming was refused to the end'
            time.sleep(0.02)  # for the next frame, which nobody here is told of
        wait_until(lambda: self.seen, 'hands')  # this end may be found later than the other

    def kill(self, module: str) -> None:
        """Kill one of the processes, so that it cannot say anything."""
        self._processes[module].kill()
        self._processes[module].wait()

    def restart(self, module: str) -> None:
        self._processes[module] = self._start(module)

    def close(self) -> None:
        for module in self.MODULES:
            self.kill(module)


@pytest.mark.parametrize('module', Chain.MODULES)
def test_a_camera_or_a_pose_node_that_dies_is_a_loss_within_two_frame_periods(start, module):
    bench, _ = start(
        {name: COMMANDS[name] for name in ('command/wrist_twist', 'command/wrist_pose')},
        max_jump=1.0,
        grace=1.0,
    )
    chain = Chain(bench)
    delays: list[float] = []
    try:
        while not within_two_periods(delays):
            if delays:
                chain.restart(module)
            chain.arm()
            since = time.monotonic()
            bench.wait_for('command/wrist_twist', since, lambda twist: not at_rest(twist))
            chain.kill(module)
            wait_until(lambda: bench.state == 'lost', 'the state lost')
            last_seen = chain.seen[-1]
            arrival, _ = bench.wait_for('command/wrist_twist', last_seen, held_after(last_seen))
            delays.append(bench.delay(last_seen, arrival))
    finally:
        chain.close()


def test_a_node_that_dies_commands_nothing_more(start):
    bench, process = start()
    bench.arm(open_hand())
    moving(bench, frames=6)
    process.send(signal.SIGKILL)
    process.wait()
    time.sleep(2 * PERIOD)  # what is on its way
    before = commands(bench)
    bench.show(open_hand(), frames=10)
    assert commands(bench) == before > 0


def test_after_a_loss_the_robot_moves_only_when_armed_again_and_slowly(start):
    # A busy machine makes gaps of its own; they must not count as losses here.
    bench, _ = start(max_linear_speed=0.5, grace=1.0)
    bench.arm(open_hand())
    bench.show_until(lambda: commands(bench) > 0, open_hand(), 'a command')
    bench.show_until(lambda: bench.state == 'lost', None, 'the state lost')
    there = open_hand((0.4, 0, 0.5))
    bench.show(there, frames=30)
    held = [message for _, message in bench.received['command/wrist_pose'][-10:]]
    assert {message.pose.position.x for message in held} == {0.0}
    bench.arm(there)
    armed = time.monotonic()
    bench.show(there, frames=6)
    path = [m for at, m in bench.received['command/wrist_pose'] if at >= armed - 2 * PERIOD]
    steps = [b.pose.position.x - a.pose.position.x for a, b in pairwise(path)]
    assert max(steps) <= 0.5 * 0.1 + 1e-6
    bench.show_until(
        lambda: bench.latest('command/wrist_pose').pose.position.x > 0.399, there, 'arrival'
    )


def test_output_stops_where_it_is_to_stop(start):
    bench, _ = start(unsafe='stop')
    bench.arm(open_hand())
    bench.show_until(lambda: commands(bench) > 0, open_hand(), 'a command')
    bench.show_until(lambda: bench.state == 'lost', None, 'the state lost')
    before = commands(bench)
    bench.show(open_hand(), frames=30)
    assert commands(bench) == before


def test_the_dead_man_topic_arms_only_while_it_is_repeated(start):
    bench, _ = start(dead_man='topic', dead_man_timeout=0.2)
    bench.show(open_hand())
    assert not bench.call(True).success

    def push_and_show(pressed, frames=1):
        for _ in range(frames):
            bench.push(pressed)
            bench.show(open_hand())
        return bench.state == 'armed'

    # A pedal that was down when the node started has to come up first.
    assert not push_and_show(True, frames=15)
    assert not push_and_show(False, frames=3)
    bench.show_until(lambda: push_and_show(True), open_hand(), 'the state armed')
    bench.show_until(lambda: bench.state == 'disarmed', open_hand(), 'the state disarmed')
    assert not push_and_show(True, frames=15)


@pytest.mark.parametrize(('dead_man', 'gesture'), [('pinch', pinching_hand), ('fist', fist)])
def test_a_gesture_arms_and_its_end_disarms(start, dead_man, gesture):
    bench, _ = start(dead_man=dead_man)
    bench.show(open_hand(), frames=5)
    bench.show_until(lambda: bench.state == 'armed', gesture(), 'the state armed')
    bench.show_until(lambda: bench.state == 'disarmed', open_hand(), 'the state disarmed')


def test_a_node_that_was_stopped_for_a_while_does_not_go_on_by_itself(start):
    bench, process = start()
    bench.arm(open_hand())
    process.send(signal.SIGSTOP)
    bench.show(open_hand((0.2, 0, 0.5)), frames=20)
    process.send(signal.SIGCONT)
    bench.show_until(lambda: bench.state == 'lost', open_hand((0.2, 0, 0.5)), 'the state lost')


@pytest.mark.parametrize(
    ('parameters', 'status', 'words'),
    [
        ({'robot': 'gripper', 'urdf': '/nowhere/hand.urdf'}, 1, '/nowhere/hand.urdf'),
        ({'robot': 'gripper'}, 2, 'urdf is empty'),
        ({'timeout': '-1.0'}, 2, 'timeout'),
        ({'gesture_close': '0.9'}, 2, 'gesture_close must be smaller'),
    ],
)
def test_what_cannot_be_is_one_line_and_a_failure(ros_domain_id, parameters, status, words):
    found, output = Process(**parameters).finish(number=None)
    assert found == status
    assert words in output
    assert output.count('\n') == 1
