"""Clouds have the layout their fields declare, and are read back whole."""

import struct

import numpy as np
import pytest

point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
from sensor_msgs.msg import PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

HEADER = Header(frame_id='camera_depth_optical_frame')
FIELDS = [
    PointField(name='x', offset=0, datatype=PointField.FLOAT32, count=1),
    PointField(name='y', offset=4, datatype=PointField.FLOAT32, count=1),
    PointField(name='z', offset=8, datatype=PointField.FLOAT32, count=1),
    PointField(name='label', offset=16, datatype=PointField.UINT8, count=1),
]


def test_xyz_is_three_little_endian_floats_a_point() -> None:
    cloud = point_cloud2.create_cloud_xyz32(HEADER, [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)])
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 2, 12, 24)
    assert bytes(cloud.data) == struct.pack('<6f', 1, 2, 3, 4, 5, 6)
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z']
    assert cloud.header.frame_id == HEADER.frame_id
    assert not cloud.is_dense


def test_gaps_between_fields_are_honoured() -> None:
    cloud = point_cloud2.create_cloud(HEADER, FIELDS, [(1.0, 2.0, 3.0, 7)])
    assert cloud.point_step == 17
    assert struct.unpack_from('<3f', cloud.data) == (1.0, 2.0, 3.0)
    assert cloud.data[16] == 7
    assert point_cloud2.read_points(cloud)['label'].tolist() == [7]


@pytest.mark.parametrize('count', [0, 1, 1000])
def test_points_round_trip(count: int) -> None:
    points = np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32)
    cloud = point_cloud2.create_cloud_xyz32(HEADER, points)
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), points)


def test_points_without_measurement_can_be_left_out() -> None:
    cloud = point_cloud2.create_cloud_xyz32(HEADER, [(1, 2, 3), (np.nan, 5, 6)])
    assert len(point_cloud2.read_points(cloud)) == 2
    kept = point_cloud2.read_points(cloud, field_names=['z', 'x'], skip_nans=True)
    assert kept.tolist() == [(3.0, 1.0)]


def test_a_list_holds_named_tuples() -> None:
    cloud = point_cloud2.create_cloud_xyz32(HEADER, [(1, 2, 3)])
    assert point_cloud2.read_points_list(cloud)[0].z == 3.0


def test_an_organised_cloud_keeps_its_shape() -> None:
    points = np.arange(2 * 3 * 3, dtype=np.float32).reshape(2, 3, 3)
    cloud = point_cloud2.create_cloud_xyz32(HEADER, points)
    assert (cloud.height, cloud.width, cloud.row_step) == (2, 3, 36)
    again = point_cloud2.read_points_numpy(cloud, reshape_organized_cloud=True)
    np.testing.assert_array_equal(again, points)


def test_big_endian_clouds_are_read() -> None:
    cloud = point_cloud2.create_cloud_xyz32(HEADER, [(0, 0, 0)])
    cloud.data = list(struct.pack('>3f', 1, 2, 3))
    cloud.is_bigendian = True
    assert point_cloud2.read_points_numpy(cloud).tolist() == [[1, 2, 3]]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(AssertionError):
        point_cloud2.create_cloud(HEADER, FIELDS, [(1, 2, 3)])
    with pytest.raises(AssertionError):
        point_cloud2.read_points(
            point_cloud2.create_cloud_xyz32(HEADER, [(1, 2, 3)]), field_names=['intensity']
        )
