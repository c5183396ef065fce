"""Images survive the way to a message and back, whatever their layout."""

import numpy as np
import pytest

cv_bridge = pytest.importorskip('cv_bridge')
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

BRIDGE = cv_bridge.CvBridge()


@pytest.mark.parametrize(
    ('dtype', 'channels', 'encoding'),
    [
        (np.uint8, 1, '8UC1'),
        (np.uint8, 1, 'mono8'),
        (np.uint8, 3, '8UC3'),
        (np.uint8, 3, 'bgr8'),
        (np.uint8, 3, 'rgb8'),
        (np.uint8, 4, 'bgra8'),
        (np.uint16, 1, '16UC1'),
        (np.uint16, 1, 'mono16'),
        (np.float32, 1, '32FC1'),
        (np.float64, 2, '64FC2'),
    ],
)
def test_round_trip(dtype: type, channels: int, encoding: str) -> None:
    shape = (4, 6) if channels == 1 else (4, 6, channels)
    image = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    message = BRIDGE.cv2_to_imgmsg(image, encoding, header=Header(frame_id='camera'))
    assert (message.height, message.width, message.encoding) == (4, 6, encoding)
    assert message.step == 6 * channels * image.itemsize
    assert message.header.frame_id == 'camera'
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), image)


def test_passthrough_names_the_encoding_after_the_type() -> None:
    assert BRIDGE.cv2_to_imgmsg(np.zeros((2, 2), np.uint16)).encoding == '16UC1'
    assert BRIDGE.cv2_to_imgmsg(np.zeros((2, 2, 3), np.uint8)).encoding == '8UC3'


def test_padding_at_the_end_of_rows_is_left_out() -> None:
    rows = np.arange(2 * 5, dtype=np.uint16).reshape(2, 5)
    message = Image(height=2, width=3, encoding='16UC1', step=10, data=rows.tobytes())
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), rows[:, :3])


def test_big_endian_data_is_read() -> None:
    values = np.array([[1, 256, 4095]], dtype='>u2')
    message = Image(
        height=1, width=3, encoding='mono16', step=6, is_bigendian=1, data=values.tobytes()
    )
    image = BRIDGE.imgmsg_to_cv2(message)
    assert image.dtype.isnative
    np.testing.assert_array_equal(image, [[1, 256, 4095]])


def test_big_endian_arrays_say_so() -> None:
    message = BRIDGE.cv2_to_imgmsg(np.array([[1, 2]], dtype='>u2'))
    assert message.is_bigendian
    assert bytes(message.data) == b'\x00\x01\x00\x02'


def test_colors_are_converted() -> None:
    red = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    message = BRIDGE.cv2_to_imgmsg(red, 'rgb8')
    assert BRIDGE.imgmsg_to_cv2(message, 'bgr8').tolist() == [[[0, 0, 255]]]
    assert BRIDGE.imgmsg_to_cv2(message, 'rgba8').tolist() == [[[255, 0, 0, 255]]]
    assert BRIDGE.imgmsg_to_cv2(message, 'mono8').tolist() == [[76]]  # 0.299 red
    assert BRIDGE.imgmsg_to_cv2(message, 'passthrough').tolist() == [[[255, 0, 0]]]


def test_gray_of_16_bits_is_scaled_to_8() -> None:
    message = BRIDGE.cv2_to_imgmsg(np.array([[0, 65535, 257]], np.uint16), 'mono16')
    assert BRIDGE.imgmsg_to_cv2(message, 'mono8').tolist() == [[0, 255, 1]]


def test_what_does_not_fit_is_refused() -> None:
    depth = np.zeros((2, 2), np.uint16)
    with pytest.raises(cv_bridge.CvBridgeError, match='incompatible'):
        BRIDGE.cv2_to_imgmsg(depth, 'bgr8')
    with pytest.raises(cv_bridge.CvBridgeError, match='Unrecognized'):
        BRIDGE.cv2_to_imgmsg(depth, 'bgr9')
    with pytest.raises(cv_bridge.CvBridgeError):
        BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(depth), 'bgr8')
    with pytest.raises(TypeError):
        BRIDGE.cv2_to_imgmsg([[1, 2]])
