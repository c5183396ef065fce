"""Which recordings can be used, and what the others are refused with."""

import contextlib
import re
import struct

import cv2
from hypothesis import given
from hypothesis import strategies as st
import lz4.frame
import numpy as np
import pytest
from recorded import (
    DEPTH,
    depth_image,
    FakeSource,
    INFO,
    PERIOD,
    START,
    Types,
    usual_messages,
    write_recording,
    write_ros1_bag,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from v2v_pose_ros.camera import DepthError
from v2v_pose_ros.recordings import RecordingError
from v2v_pose_ros.recordings.depth_messages import decode_compressed, decode_rvl
from v2v_pose_ros.recordings.jobs import Job, Options
from v2v_pose_ros.recordings.processing import process
from v2v_pose_ros.recordings.recording import Recording
from v2v_pose_ros.recordings.stream import recorded_frames
from v2v_pose_ros.recordings.topics import find_streams

IMAGE, CAMERA_INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
TYPES = Types()


def frames_of(path, **topics):
    with Recording(path) as recording:
        return list(recorded_frames(recording, find_streams(recording, **topics)))


def messages_of(make, topic=DEPTH, kind=IMAGE, count=3):
    """Yield camera_info and what make(stamp, number) returns."""
    for number in range(count):
        stamp = START + number * PERIOD
        yield INFO, CAMERA_INFO, stamp, TYPES.info(stamp)
        yield topic, kind, stamp, make(stamp, number)


def png(depth: np.ndarray, config: bytes = bytes(12)) -> bytes:
    return config + cv2.imencode('.png', depth)[1].tobytes()


def rvl(depth: np.ndarray) -> bytes:
    """Encode as Wilson's C++ does, nibble by nibble."""
    nibbles: list[int] = []

    def put(value: int) -> None:
        while True:
            nibble, value = value & 7, value >> 3
            nibbles.append(nibble | 8 if value else nibble)
            if not value:
                return

    pixels, place, previous = depth.ravel().tolist(), 0, 0
    while place < len(pixels):
        begin = place
        while place < len(pixels) and not pixels[place]:
            place += 1
        put(place - begin)
        begin = place
        while place < len(pixels) and pixels[place]:
            place += 1
        put(place - begin)
        for current in pixels[begin:place]:
            delta, previous = current - previous, current
            put((delta << 1) ^ (delta >> 31))
    nibbles += [0] * (-len(nibbles) % 8)
    words = np.array(nibbles, np.uint32).reshape(-1, 8) << np.arange(28, -1, -4, dtype=np.uint32)
    return words.sum(axis=1).astype('<u4').tobytes()


@pytest.mark.parametrize(
    ('encoding', 'scale', 'kind'),
    [('16UC1', 1, np.uint16), ('mono16', 1, np.uint16), ('32FC1', 0.001, np.float32)],
)
def test_depth_comes_in_every_usual_encoding(tmp_path, encoding, scale, kind):
    def make(stamp, number):
        return TYPES.image(stamp, (depth_image(number) * scale).astype(kind), encoding)

    path = write_recording(tmp_path / 'in', messages_of(make))
    frames = frames_of(path, depth=DEPTH)
    assert [frame.stamp for frame in frames] == [START + n * PERIOD for n in range(3)]
    for number, frame in enumerate(frames):
        np.testing.assert_allclose(frame.picture.depth, depth_image(number) / 1000, atol=1e-6)


@pytest.mark.parametrize(
    ('text', 'encode'),
    [
        ('16UC1; compressedDepth', png),
        ('16UC1; compressedDepth png', png),
        (
            '16UC1; compressedDepth rvl',
            lambda depth: bytes(12) + struct.pack('<II', *depth.shape[::-1]) + rvl(depth),
        ),
        ('16UC1; png compressed ', lambda depth: png(depth, b'')),
    ],
)
def test_compressed_depth_is_depth(tmp_path, text, encode):
    def make(stamp, number):
        return TYPES.compressed(stamp, text, encode(depth_image(number)))

    topic = f'{DEPTH}/compressedDepth'
    path = write_recording(tmp_path / 'in', messages_of(make, topic, COMPRESSED))
    for number, frame in enumerate(frames_of(path)):
        np.testing.assert_allclose(frame.picture.depth, depth_image(number) / 1000, atol=1e-6)
    summary = process(Job(path, tmp_path / 'out', Options(FakeSource())))
    assert summary.gaps.found == 3


def test_inverse_depth_is_turned_round():
    # compressed_depth_image_transport: depth = a / (value - b), 0 is no measurement.
    a, b = 3000.0, 10.0
    data = png(np.array([[0, 1010, 3010]], np.uint16), struct.pack('<iff', 0, a, b))
    depth = decode_compressed('32FC1; compressedDepth png', np.frombuffer(data, np.uint8))
    np.testing.assert_allclose(depth, [[0.0, 3.0, 1.0]], rtol=1e-6)


@given(
    st.lists(
        st.one_of(st.just(0), st.integers(0, 65535), st.integers(700, 720)),
        min_size=1,
        max_size=300,
    )
)
def test_rvl_gives_back_what_was_encoded(pixels):
    depth = np.array(pixels, np.uint16)
    data = np.frombuffer(rvl(depth), np.uint8)
    np.testing.assert_array_equal(decode_rvl(data, len(depth)), depth)


FORMATS = [f'16UC1; compressedDepth{kind}' for kind in (' png', ' rvl', '')]


@given(st.binary(max_size=60), st.sampled_from([*FORMATS, '16UC1; png compressed ']))
def test_damaged_compressed_depth_is_refused_or_an_image(data, text):
    with contextlib.suppress(DepthError):
        depth = decode_compressed(text, np.frombuffer(data, np.uint8))
        assert depth.dtype == np.float32
        assert depth.ndim == 2


def test_a_compressed_image_without_data_is_refused():
    with pytest.raises(DepthError, match='it was cut'):
        decode_compressed('16UC1; png compressed ', np.zeros(0, np.uint8))


def test_jpeg_is_no_depth():
    with pytest.raises(DepthError, match='does not survive'):
        decode_compressed('16UC1; jpeg compressed', np.zeros(10, np.uint8))


def test_the_raw_image_is_preferred_to_its_compressed_copy(tmp_path):
    def both():
        yield from usual_messages(TYPES, 3)
        message = TYPES.compressed(START, '16UC1; compressedDepth png', png(depth_image(0)))
        yield f'{DEPTH}/compressedDepth', COMPRESSED, START, message

    with Recording(write_recording(tmp_path / 'in', both())) as recording:
        assert find_streams(recording).depth.name == DEPTH


def test_the_newest_camera_info_counts(tmp_path):
    def changing():
        yield DEPTH, IMAGE, START, TYPES.image(START, depth_image(0))
        yield INFO, CAMERA_INFO, START + 1, TYPES.info(START)
        yield DEPTH, IMAGE, START + 2, TYPES.image(START + 2, np.zeros((24, 32), np.uint16))
        yield INFO, CAMERA_INFO, START + 3, TYPES.info(START, 32, 24)
        yield DEPTH, IMAGE, START + 4, TYPES.image(START + 4, np.zeros((24, 32), np.uint16))

    frames = frames_of(write_recording(tmp_path / 'in', changing()))
    assert [frame.picture is not None for frame in frames] == [True, False, True]
    assert '32x24' in frames[1].problem


def two_cameras():
    yield from usual_messages(TYPES, 2)
    yield '/second/depth/image', IMAGE, START, TYPES.image(START, depth_image(0))


def with_infrared():
    yield from usual_messages(TYPES, 2)
    yield '/camera/infra', IMAGE, START, TYPES.image(START, np.zeros((48, 64), np.uint8), 'mono8')


def without_depth():
    yield INFO, CAMERA_INFO, START, TYPES.info(START)
    yield '/camera/infra', IMAGE, START, TYPES.image(START, np.zeros((48, 64), np.uint8), 'mono8')


def without_info():
    yield DEPTH, IMAGE, START, TYPES.image(START, depth_image(0))


def with_two_foreign_infos():
    yield from without_info()
    for name in ('/left/camera_info', '/right/camera_info'):
        yield name, CAMERA_INFO, START, TYPES.info(START)


def test_other_images_do_not_disturb(tmp_path):
    assert len(frames_of(write_recording(tmp_path / 'in', with_infrared()))) == 2


@pytest.mark.parametrize(
    ('messages', 'words'),
    [
        (two_cameras, ['2 topics of depth images', '--depth-topic', '/second/depth/image', INFO]),
        (without_depth, ['no depth images', '--depth-topic', '/camera/infra', INFO]),
        (without_info, ['no /camera/depth/camera_info', '--camera-info-topic', DEPTH]),
        (with_two_foreign_infos, ['2 others', '--camera-info-topic', '/left/camera_info']),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_topics(tmp_path, messages, words):
    with pytest.raises(RecordingError) as error:
        frames_of(write_recording(tmp_path / 'in', messages()))
    for word in words:
        assert word in str(error.value)


def test_topics_may_be_named(tmp_path):
    path = write_recording(tmp_path / 'in', two_cameras())
    assert len(frames_of(path, depth='/second/depth/image', info=INFO)) == 1
    for topics in ({'depth': '/none'}, {'depth': '/chatter'}, {'depth': DEPTH, 'info': DEPTH}):
        with pytest.raises(RecordingError, match='/chatter'):
            frames_of(path, **topics)


def test_a_single_camera_info_serves_whatever_its_name(tmp_path):
    def messages():
        yield from without_info()
        yield '/somewhere/info', CAMERA_INFO, START, TYPES.info(START)

    assert frames_of(write_recording(tmp_path / 'in', messages()))[0].picture is not None


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('share', [0.0, 0.3, 0.9])
def test_a_truncated_recording_is_refused(tmp_path, storage, share):
    path = write_recording(tmp_path / 'in', usual_messages(TYPES, 30), storage)
    cut(path / ('in.mcap' if storage == 'mcap' else 'in.db3'), share)
    with pytest.raises(RecordingError, match='repaired') as error:
        process(Job(path, tmp_path / 'out', Options(FakeSource())))
    for topic in (DEPTH, INFO, '/chatter'):
        assert re.search(rf'^  {topic} +\w+/msg/\w+  30 messages$', str(error.value), re.M)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('share', [0.5, 0.9])
@pytest.mark.parametrize('kind', ['mcap', 'mcap compressed', 'mcap lz4', 'db3', 'bag', 'killed'])
def test_a_truncated_file_is_refused_with_the_topics_that_it_names(tmp_path, kind, share):
    """A recorder that is killed leaves neither metadata.yaml nor the index at an MCAP's end."""
    storage = 'sqlite3' if kind == 'db3' else 'mcap'
    compression = 'storage' if 'compressed' in kind else ''
    if kind == 'bag':
        file = write_ros1_bag(tmp_path / 'in.bag', 30)
    else:
        folder = write_recording(
            tmp_path / 'in', usual_messages(TYPES, 30), storage, compression=compression
        )
        file = folder / f'in.{"db3" if kind == "db3" else "mcap"}'
    if kind == 'mcap lz4':
        write_lz4_mcap(file)
    cut(file, share)
    path = file
    if kind == 'killed':
        (folder / 'metadata.yaml').unlink()
        path = folder
    with pytest.raises(RecordingError, match='names the topics') as error:
        Recording(path)
    for topic in (DEPTH, INFO, '/chatter'):
        assert re.search(rf'^  {topic} +\w+/msg/\w+$', str(error.value), re.M)


def write_lz4_mcap(path):
    """Write the records of a file's first chunk as rosbag2 does with its preset zstd or lz4."""
    data = path.read_bytes()
    begin = 8 + 9 + struct.unpack_from('<Q', data, 9)[0]
    assert data[begin] == 6  # a chunk
    (size,) = struct.unpack_from('<Q', data, begin + 9 + 28 + 4)
    records = data[begin + 9 + 28 + 4 + 8 :][:size]
    packed = lz4.frame.compress(records)
    body = data[begin + 9 :][:28] + struct.pack('<I3sQ', 3, b'lz4', len(packed)) + packed
    path.write_bytes(data[:begin] + struct.pack('<BQ', 6, len(body)) + body)


@pytest.mark.parametrize('metadata', ['', 'hello', '{', 'rosbag2_bagfile_information: {}'])
def test_damaged_metadata_is_refused_as_well(tmp_path, metadata):
    path = write_recording(tmp_path / 'in', usual_messages(TYPES, 3))
    (path / 'metadata.yaml').write_text(metadata)
    with pytest.raises(RecordingError, match='rosbag2 folder'):
        Recording(path)


def test_a_folder_without_metadata_is_read_by_its_only_file(tmp_path):
    path = write_recording(tmp_path / 'in', usual_messages(TYPES, 3))
    (path / 'metadata.yaml').unlink()
    assert len(frames_of(path)) == 3


def test_a_storage_file_is_a_recording(tmp_path):
    path = write_recording(tmp_path / 'in', usual_messages(TYPES, 3), 'sqlite3')
    assert len(frames_of(path / 'in.db3')) == 3


def test_a_missing_recording_is_not_said_to_be_damaged(tmp_path):
    with pytest.raises(RecordingError, match=f'there is no {tmp_path}/gone.mcap') as error:
        Recording(tmp_path / 'gone.mcap')
    assert 'repaired' not in str(error.value)


@pytest.mark.parametrize('name', ['gone', 'text.txt', 'text.mcap', 'text.db3', 'text.bag', 'dir'])
def test_what_is_no_recording_is_refused(tmp_path, name):
    (tmp_path / 'dir').mkdir()
    if name.startswith('text'):
        (tmp_path / name).write_text('hello')
    with pytest.raises(RecordingError, match='rosbag2 folder'):
        Recording(tmp_path / name)


def test_an_empty_recording_is_refused(tmp_path):
    path = write_recording(tmp_path / 'in', [])
    with pytest.raises(RecordingError, match='is empty'):
        Recording(path)


def test_a_recording_of_topics_without_messages_is_refused_with_them(tmp_path):
    with Writer(tmp_path / 'in', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection(DEPTH, IMAGE, typestore=TYPES.store)
    with pytest.raises(RecordingError, match=rf'is empty.*\n  {DEPTH}  {IMAGE}  0 messages'):
        Recording(tmp_path / 'in')


def test_topics_of_unknown_types_are_copied(tmp_path):
    # Humble's SQLite recordings do not say what their types look like.
    path = write_recording(tmp_path / 'in', usual_messages(TYPES, 3), 'sqlite3')
    for file in (path / 'metadata.yaml', path / 'in.db3'):
        file.write_bytes(file.read_bytes().replace(b'std_msgs/msg/String', b'odd_msgs/msg/Secret'))
    process(Job(path, tmp_path / 'out', Options(FakeSource())))
    with Recording(tmp_path / 'out') as recording:
        assert recording.topics['/chatter'].type == 'odd_msgs/msg/Secret'
        assert recording.topics['/chatter'].count == 3
