"""Depth decoding and the camera model against hand-packed bytes and OpenCV."""

import struct

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from v2v_pose_ros.camera import Camera, CameraError, decode_depth, DepthError

K = [476.0, 0, 313.7, 0, 475.0, 242.8, 0, 0, 1]
LENSES = {
    'plumb_bob': (0.12, -0.2, 0.001, -0.002, 0.05),
    'rational_polynomial': (0.5, 0.2, 1e-4, 2e-4, 0.01, 0.8, 0.3, 0.05),
    'equidistant': (0.1, -0.02, 0.003, -0.001),
}


@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 6])
def test_millimetres_become_metres_whatever_the_byte_order_and_step(encoding, big, padding):
    values = [[0, 1, 65535], [1000, 2500, 700]]
    order = '>' if big else '<'
    data = b''.join(struct.pack(f'{order}3H', *row) + b'\xaa' * padding for row in values)
    depth = decode_depth(data, encoding, 3, 2, 6 + padding, big)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, np.array(values) / 1000, rtol=1e-6)


@pytest.mark.parametrize('big', [False, True])
def test_what_is_no_measurement_becomes_zero(big):
    row = [0.5, float('nan'), float('inf'), -float('inf'), -1.0, 0.0]
    data = struct.pack(('>' if big else '<') + '6f', *row)
    assert decode_depth(data, '32FC1', 6, 1, 24, big).tolist() == [[0.5, 0, 0, 0, 0, 0]]


def test_the_last_row_may_lack_its_padding():
    data = struct.pack('<2H', 1, 2) + b'\0\0' + struct.pack('<2H', 3, 4)
    assert decode_depth(data, '16UC1', 2, 2, 6, False).shape == (2, 2)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'encoding': 'rgb8'}, 'remap the depth topic'),
        ({'encoding': '8UC1'}, '16UC1'),
        ({'encoding': ''}, '16UC1'),
        ({'step': 7}, 'step 7'),
        ({'step': 9}, 'multiples of 2'),
        ({'step': 0}, 'step 0'),
        ({'data': bytes(10)}, '10 bytes'),
        ({'data': b''}, '0 bytes'),
        ({'data': bytes(25)}, '25 bytes'),
        ({'data': bytes(32)}, '32 bytes'),
        ({'width': 0}, 'no usable size'),
        ({'height': 10**6}, 'no usable size'),
    ],
)
def test_messages_that_do_not_fit_are_refused_with_the_reason(changes, words):
    message = {
        'data': bytes(24),
        'encoding': '16UC1',
        'width': 4,
        'height': 3,
        'step': 8,
        'is_bigendian': False,
    }
    with pytest.raises(DepthError, match=words):
        decode_depth(**{**message, **changes})


@pytest.mark.parametrize('model', ['', *LENSES])
def test_projection_agrees_with_opencv(model):
    d = LENSES.get(model, ())
    camera = Camera.from_calibration(width=640, height=480, k=K, d=d, distortion_model=model)
    points = np.random.default_rng(0).uniform([-0.5, -0.4, 0.6], [0.5, 0.4, 1.6], (500, 3))
    points = points.astype(np.float32)
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    expected, _ = project(
        points.astype(np.float64).reshape(-1, 1, 3),
        np.zeros(3),
        np.zeros(3),
        camera.matrix,
        np.array(d or (0.0,) * 4),
    )
    np.testing.assert_allclose(camera.project(points), expected.reshape(-1, 2), atol=1e-9)


@pytest.mark.parametrize('model', ['', *LENSES])
def test_every_pixel_comes_back_through_its_point(model):
    camera = Camera.from_calibration(
        width=160,
        height=120,
        k=[120.0, 0, 79, 0, 118, 61, 0, 0, 1],
        d=LENSES.get(model, ()),
        distortion_model=model,
    )
    depth = np.random.default_rng(1).uniform(0.3, 3, (120, 160)).astype(np.float32)
    pixels = camera.project(camera.points(depth))
    columns, rows = np.meshgrid(np.arange(160), np.arange(120))
    expected = np.stack([columns.ravel(), rows.ravel()], 1)
    np.testing.assert_allclose(pixels, expected, atol=2e-4)


@settings(max_examples=50, deadline=None)
@given(
    fx=st.floats(50, 2000),
    fy=st.floats(50, 2000),
    cx=st.floats(0, 64),
    cy=st.floats(0, 48),
    seed=st.integers(0, 10**6),
)
def test_points_agree_with_the_definition_in_float64(fx, fy, cx, cy, seed):
    camera = Camera(64, 48, fx, fy, cx, cy)
    depth = np.random.default_rng(seed).uniform(0.2, 5, (48, 64)).astype(np.float32)
    depth[::3] = 0
    points = camera.points(depth)
    expected = [
        (
            (u - cx) / fx * float(depth[v, u]),
            (v - cy) / fy * float(depth[v, u]),
            float(depth[v, u]),
        )
        for v in range(48)
        for u in range(64)
        if depth[v, u] > 0
    ]
    np.testing.assert_allclose(points, expected, rtol=2e-6, atol=2e-6)


def test_binning_and_region_of_interest_keep_rays():
    """A ray through a full-resolution place passes the same place of the cut and binned image."""
    full = Camera.from_calibration(width=640, height=480, k=K)
    part = Camera.from_calibration(
        width=640, height=480, k=K, binning_x=2, binning_y=2, roi=(100, 60, 240, 320)
    )
    assert (part.width, part.height) == (160, 120)
    point = np.array([[0.05, -0.02, 0.7]], np.float32)
    u, v = full.project(point)[0]
    # Binned pixel 0 averages the full pixels 100 and 101: its centre lies at 100.5.
    np.testing.assert_allclose(part.project(point)[0], [(u - 100.5) / 2, (v - 60.5) / 2])


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'k': [0.0] * 9}, 'fx = 0'),
        ({'k': [float('nan')] * 9}, 'finite'),
        ({'k': [1.0] * 8}, '8 numbers'),
        ({'width': 0}, 'no usable size'),
        ({'distortion_model': 'thin_prism', 'd': [0.1]}, 'thin_prism'),
        ({'distortion_model': 'plumb_bob', 'd': [0.1] * 9}, '9 distortion coefficients'),
    ],
)
def test_calibrations_that_are_none_are_refused(changes, words):
    with pytest.raises(CameraError, match=words):
        Camera.from_calibration(**{'width': 640, 'height': 480, 'k': K, **changes})


def test_yaml_of_camera_calibration_is_read(tmp_path):
    path = tmp_path / 'camera.yaml'
    path.write_text(
        'image_width: 640\nimage_height: 480\ncamera_matrix: {rows: 3, cols: 3, data: '
        f'{K}}}\ndistortion_model: plumb_bob\n'
        'distortion_coefficients: {rows: 1, cols: 5, data: [0.0, 0.0, 0.0, 0.0, 0.0]}\n'
    )
    camera = Camera.from_yaml(path)
    assert camera == Camera(640, 480, 476.0, 475.0, 313.7, 242.8)


@pytest.mark.parametrize(
    'text', ['', '[]', 'image_width: 3', '{', 'image_width: x\nimage_height: 2']
)
def test_other_yaml_is_refused_by_name(tmp_path, text):
    path = tmp_path / 'camera.yaml'
    path.write_text(text)
    with pytest.raises(CameraError, match=r'camera\.yaml'):
        Camera.from_yaml(path)
    with pytest.raises(CameraError, match='cannot be read'):
        Camera.from_yaml(tmp_path / 'missing.yaml')
