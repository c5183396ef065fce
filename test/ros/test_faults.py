"""What can go wrong around the node, with real processes over DDS: it lives, and recovers.

`make faults` runs the long form of these tests.
"""

from array import array
import os
import random
import signal
import time

from geometry_msgs.msg import PointStamped, TransformStamped
import numpy as np
import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from ros_bench import camera_info, depth_image, HEIGHT, wait_until, WIDTH
from ros_rig import CAMERA, ends_well
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from v2v_pose_ros.msg import SkeletonArray

LONG = bool(os.environ.get('V2V_POSE_FAULTS'))


def fuzzed_image(r: random.Random) -> Image:
    """Return an image with anything in it that the message's types allow."""
    image = depth_image()
    for _ in range(r.randint(1, 4)):
        name = r.choice(['size', 'encoding', 'step', 'data', 'stamp', 'frame', 'endian', 'noise'])
        if name == 'size':
            sizes = [0, 1, WIDTH, 2**16, 2**32 - 1]
            image.width, image.height = r.choice(sizes), r.choice([*sizes, HEIGHT])
        elif name == 'encoding':
            image.encoding = r.choice(['16UC1', '32FC1', 'mono16', 'rgb8', '', '16UC1 ', '\u2603'])
        elif name == 'step':
            image.step = r.choice([0, 1, 2 * WIDTH, 2 * WIDTH + 1, 2**31, 2**32 - 1])
        elif name == 'data':
            image.data = array('B', r.randbytes(r.choice([0, 1, 2 * WIDTH * HEIGHT, 9999])))
        elif name == 'stamp':
            image.header.stamp.sec = r.choice([0, -1, -(2**31), 2**31 - 1, 1700000000])
            image.header.stamp.nanosec = r.choice([0, 999999999, 2**32 - 1])
        elif name == 'frame':
            image.header.frame_id = r.choice(['', '/', 'a b', 'hand/wrist', 'x' * 5000, '\u2603'])
        elif name == 'endian':
            image.is_bigendian = r.choice([0, 1, 255])
        elif name == 'noise':
            special = [np.nan, np.inf, -np.inf, -1.0, 1e-40, 1e38, 0.5]
            depth = np.array(r.choices(special, k=WIDTH * HEIGHT), '<f4')
            image.encoding, image.step = '32FC1', 4 * WIDTH
            image.data = array('B', depth.tobytes())
    return image


def fuzzed_info(r: random.Random) -> CameraInfo:
    """Return a calibration with anything in it that the message's types allow."""
    info = camera_info()
    numbers = [0.0, -1.0, np.nan, np.inf, -np.inf, 1e308, 1e-308, 60.0]
    for _ in range(r.randint(0, 3)):
        name = r.choice(['size', 'k', 'p', 'd', 'model', 'binning', 'roi'])
        if name == 'size':
            info.width, info.height = r.choice([0, WIDTH, 2**32 - 1]), r.choice([0, HEIGHT, 1])
        elif name in ('k', 'p'):
            setattr(info, name, r.choices(numbers, k=9 if name == 'k' else 12))
        elif name == 'd':
            info.d = r.choices(numbers, k=r.choice([0, 1, 4, 5, 8, 12, 14, 100]))
        elif name == 'model':
            models = [
                '',
                'plumb_bob',
                'rational_polynomial',
                'equidistant',
                'thin_prism',
                '\u2603',
            ]
            info.distortion_model = r.choice(models)
        elif name == 'binning':
            info.binning_x, info.binning_y = r.choice([0, 1, 2, 2**32 - 1]), r.choice([0, 3])
        elif name == 'roi':
            info.roi.x_offset, info.roi.width = (
                r.choice([0, 5, 2**32 - 1]),
                r.choice([0, 9, 2**31]),
            )
    return info


@pytest.mark.parametrize('seed', range(5 if LONG else 1))
def test_fuzzed_images_and_calibrations(rig, seed):
    process = rig.start_node()
    r = random.Random(seed)
    for _ in range(2000 if LONG else 400):
        rig.show(fuzzed_image(r), fuzzed_info(r))
        time.sleep(0.002)
    assert rig.sees()
    assert ends_well(rig, process)
    assert 'Traceback' not in rig.output()
    assert 'in the estimator' not in rig.output()


ANY_NUMBER = [0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 1e-308]
ANY_FRAME = ['', '/', 'base', 'camera_depth_optical_frame', 'a b', 'x' * 5000, '\u2603']


def fuzz_header(r: random.Random, header) -> None:
    header.frame_id = r.choice(ANY_FRAME)
    header.stamp.sec = r.choice([0, -1, -(2**31), 2**31 - 1, int(time.time())])
    header.stamp.nanosec = r.choice([0, 999999999, 2**32 - 1])


def fuzz_vector(r: random.Random, vector) -> None:
    for name in vector.get_fields_and_field_types():
        setattr(vector, name, r.choice(ANY_NUMBER))


def fuzzed_transform(r: random.Random) -> TFMessage:
    """Return a transform with anything in it that the message's types allow."""
    transform = TransformStamped(child_frame_id=r.choice(ANY_FRAME))
    fuzz_header(r, transform.header)
    fuzz_vector(r, transform.transform.translation)
    fuzz_vector(r, transform.transform.rotation)
    return TFMessage(transforms=[transform] * r.choice([0, 1, 1, 1, 2]))


def fuzzed_point(r: random.Random) -> PointStamped:
    """Return a point with anything in it that the message's types allow."""
    point = PointStamped()
    fuzz_header(r, point.header)
    fuzz_vector(r, point.point)
    return point


def test_fuzzed_transforms_and_points(rig):
    process = rig.start_node('reference:=point', 'reference_timeout:=60.0', 'output_frame:=base')
    transforms = rig.node.create_publisher(TFMessage, '/tf', 10)
    points = rig.node.create_publisher(PointStamped, '/v2v_pose/reference_point', 10)
    for publisher in (transforms, points):
        wait_until(lambda each=publisher: each.get_subscription_count() > 0, 'the node')
    r = random.Random(0)
    for _ in range(2000 if LONG else 400):
        transforms.publish(fuzzed_transform(r))
        points.publish(fuzzed_point(r))
        rig.show()
        time.sleep(0.002)
    good = PointStamped()
    good.point.z = 0.5
    points.publish(good)
    assert rig.sees()
    assert ends_well(rig, process)
    assert 'Traceback' not in rig.output()


def test_the_camera_is_killed_and_comes_back(rig):
    process = rig.start_node()
    for number in (1, 2):
        camera = rig.start(script=CAMERA)
        count = len(rig.skeletons)
        wait_until(lambda c=count: len(rig.skeletons) > c + 5, 'skeletons')
        camera.kill()
        camera.wait()
        rig.health.clear()
        wait_until(lambda: rig.told('no image on'), f'the news of silence {number}')
    assert ends_well(rig, process)


def test_another_camera_on_the_same_topic(rig):
    process = rig.start_node()
    cameras = [rig.start('--offset', offset, script=CAMERA) for offset in ('0', '-5')]
    wait_until(lambda: len(rig.skeletons) > 20, 'skeletons')
    # They run backwards and jump forward in turn; which was the last is a matter of chance.
    wait_until(lambda: rig.told('stamps of the depth images'), 'a word about the stamps')

    def ages():
        stamps = [m.header.stamp for m in rig.skeletons if m.skeletons]
        return [time.time() - stamp.sec - stamp.nanosec * 1e-9 for stamp in stamps[-20:]]

    wait_until(lambda: min(ages()) < 2.5 < 5.0 < max(ages()), 'skeletons of both')
    for camera in cameras:
        camera.kill()
    assert ends_well(rig, process)


# What waits for longer than a second in shared memory, Fast DDS itself throws away.
@pytest.mark.parametrize('stall', [0.9, 5.0 if LONG else 2.0])
def test_frames_burst_after_a_stall(rig, stall):
    """A node that was stopped for a while goes on with the newest image, not with the oldest."""
    process = rig.start_node()
    rig.start('--rate', '60', script=CAMERA)
    wait_until(lambda: len(rig.skeletons) > 5, 'skeletons')
    process.send_signal(signal.SIGSTOP)
    time.sleep(stall)
    resumed = time.time()
    process.send_signal(signal.SIGCONT)

    def current():
        stamp = rig.skeletons[-1].header.stamp
        return stamp.sec + stamp.nanosec * 1e-9 > resumed

    wait_until(current, 'skeletons of the present')
    # The middleware keeps five images at most, and of those the newest is taken.
    stamps = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in rig.skeletons]
    late = [stamp for stamp in stamps if resumed - stall + 0.1 < stamp < resumed - 0.5]
    assert not late
    assert ends_well(rig, process)


def verdicts_of(response):
    """Return the verdict on every change, or on all of them together."""
    return response.results if hasattr(response, 'results') else [response.result]


def test_a_storm_of_parameters(rig):
    process = rig.start_node()
    clients = [
        rig.client(SetParameters, 'set_parameters'),
        rig.client(SetParametersAtomically, 'set_parameters_atomically'),
    ]
    r = random.Random(0)
    names = ['min_depth', 'max_depth', 'cube_size', 'passes', 'filter', 'model', 'publish_tf']
    names += ['workspace_min_z', 'no_such_thing', 'use_sim_time', '']
    values = [
        ParameterValue(type=0),
        ParameterValue(type=1, bool_value=False),
        ParameterValue(type=2, integer_value=-(2**63)),
        ParameterValue(type=3, double_value=float('nan')),
        ParameterValue(type=3, double_value=0.3),
        ParameterValue(type=3, double_value=float('inf')),
        ParameterValue(type=4, string_value='\u2603' * 500),
        ParameterValue(type=8, double_array_value=[1.0]),
        ParameterValue(type=255),
    ]
    answers, expected, verdicts = [], 0, []
    for number in range(2000 if LONG else 200):
        changes = [
            ParameterMessage(name=r.choice(names), value=r.choice(values))
            for _ in range(r.randint(1, 4))
        ]
        client = clients[number % 2]
        future = client.call_async(client.srv_type.Request(parameters=changes))
        future.add_done_callback(lambda f: verdicts.append(verdicts_of(f.result())))
        # To values of a kind that does not exist, rclpy gives no answer.
        expected += all(each.value.type != 255 for each in changes)
        rig.show()
        # A service keeps ten requests that wait, and drops what comes beyond.
        wait_until(lambda sent=expected: len(verdicts) > sent - 8, 'answers to go on')
    wait_until(lambda: len(verdicts) == expected, 'an answer to every request')
    refused = [each for answer in verdicts for each in answer if not each.successful]
    assert refused
    assert all(each.reason for each in refused)
    ranges = rig.client(GetParameters, 'get_parameters')
    future = ranges.call_async(GetParameters.Request(names=['min_depth', 'max_depth']))
    wait_until(future.done, 'the depth range')
    low, high = (each.double_value for each in future.result().values)
    assert low < high
    good = [ParameterMessage(name='min_depth', value=ParameterValue(type=3, double_value=0.15))]
    good.append(ParameterMessage(name='max_depth', value=ParameterValue(type=3, double_value=1.5)))
    zero = ParameterValue(type=3, double_value=-100.0)
    good.append(ParameterMessage(name='workspace_min_z', value=zero))
    future = clients[1].call_async(SetParametersAtomically.Request(parameters=good))
    future.add_done_callback(lambda f: answers.append(f.result()))
    wait_until(lambda: bool(answers), 'the answer')
    assert answers[0].result.successful
    assert rig.sees()
    assert ends_well(rig, process)


def test_a_subscriber_that_never_reads(rig):
    process = rig.start_node()
    idle = Node('idle', context=rig.context)  # served by no executor
    idle.create_subscription(SkeletonArray, '/v2v_pose/skeletons', lambda _: None, 1)
    wait_until(lambda: idle.count_publishers('/v2v_pose/skeletons') > 0, 'the publisher')
    for _ in range(300):
        rig.show()
        time.sleep(0.002)
    assert rig.sees()
    assert ends_well(rig, process)
    idle.destroy_node()


def test_two_nodes_with_one_name(rig):
    first = rig.start_node()
    arguments = ['--ros-args', '-p', 'subject:=other', '-p', 'diagnostics_period:=0.2']
    second = rig.start(*arguments)
    wait_until(lambda: rig.images.get_subscription_count() > 1, 'the second node')

    def both_see():
        rig.show()
        time.sleep(0.03)
        seen = {each.subject_id for m in rig.skeletons for each in m.skeletons}
        return seen == {'hand', 'other'}

    wait_until(both_see, 'skeletons of both')
    assert ends_well(rig, second)
    assert rig.sees()
    assert ends_well(rig, first)


def test_simulated_time_that_nobody_publishes(rig):
    process = rig.start_node('use_sim_time:=true')
    assert rig.sees()
    rig.health.clear()
    wait_until(lambda: bool(rig.health), 'diagnostics')
    assert ends_well(rig, process)


def test_calibration_that_comes_late_and_changes(rig):
    process = rig.start_node()
    begin = time.monotonic()

    def told():
        rig.images.publish(depth_image())
        time.sleep(0.03)
        return rig.told('no camera_info')

    wait_until(told, 'the news that there is no camera_info')
    assert time.monotonic() - begin > 1.0
    assert rig.sees()
    before = rig.skeletons[-1].skeletons[0].poses[0].position.x
    moved = camera_info()
    moved.k[2] += 12.0

    def taken_over():
        rig.show(info=moved)
        time.sleep(0.03)
        x = rig.skeletons[-1].skeletons[0].poses[0].position.x
        return x == pytest.approx(before - 12 / 60 * 0.5, abs=1e-3)

    wait_until(taken_over, 'skeletons by the new calibration')
    assert ends_well(rig, process)


def milliseconds(text):
    return float(text.removesuffix(' ms'))


def test_large_images_much_faster_than_the_network(rig):
    """The age of what is published stays that of one image in work and one that waits for it."""
    busy, period = 0.1, 1 / 90
    process = rig.start_node(FAKE_BUSY=str(busy))
    rig.start('--rate', '90', '--size', '848x480', script=CAMERA)
    wait_until(lambda: len(rig.skeletons) > 20, 'skeletons')
    rig.health.clear()
    wait_until(lambda: bool(rig.health), 'diagnostics')
    values = {pair.key: pair.value for pair in rig.health[0].status[0].values}
    # Inference takes all of the time between two results, on a busy machine more than it sleeps.
    inference = 1 / float(values['results per second'])
    arriving = 1 / float(values['images per second'])
    assert milliseconds(values['latency in the node, p50']) < 1e3 * (inference + 2 * arriving)
    if LONG:  # on a machine that has nothing else to do
        assert milliseconds(values['latency from stamp, p50']) < 1e3 * (busy + 2 * period)
    names = ('images received', 'results published', 'images dropped for newer ones')
    received, published, dropped = (int(values[name]) for name in names)
    assert dropped > published
    # One may be in work and one may wait.
    assert 0 <= received - published - dropped <= 2
    assert ends_well(rig, process)


def test_best_effort_camera(rig):
    process = rig.start_node()
    rig.images = rig.node.create_publisher(Image, 'depth/image_rect', qos_profile_sensor_data)
    wait_until(lambda: rig.images.get_subscription_count() > 0, 'the image subscription')
    assert rig.sees()
    assert ends_well(rig, process)
