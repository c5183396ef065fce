"""Reading and writing of ``sensor_msgs/PointCloud2`` with NumPy."""

import array
from collections import namedtuple
import sys

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField

_DATATYPES = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def read_points(cloud, field_names=None, skip_nans=False, uvs=None, reshape_organized_cloud=False):
    """Read points as a structured array.

    Args:
        cloud: the message.
        field_names: fields to read; all of them by default.
        skip_nans: leave out points of which any of the fields read is NaN.
        uvs: read these points only, given by indices or, in an organised cloud, (column, row).
        reshape_organized_cloud: return shape [height, width] instead of [points].

    Raises:
        AssertionError: the cloud is none, or lacks a field.
    """
    assert isinstance(cloud, PointCloud2), 'Cloud is not a sensor_msgs.msg.PointCloud2'
    points = np.ndarray(
        shape=(cloud.width * cloud.height,),
        dtype=dtype_from_fields(cloud.fields, point_step=cloud.point_step),
        buffer=cloud.data,
    )
    if field_names is not None:
        names = list(field_names)
        assert set(names) <= set(points.dtype.names), 'Requests field is not in the fields.'
        points = points[names]
    if bool(sys.byteorder != 'little') != bool(cloud.is_bigendian):
        points = points.byteswap().view(points.dtype)
    if skip_nans and not cloud.is_dense:
        valid = np.ones(len(points), dtype=bool)
        for name in points.dtype.names:
            valid &= ~np.isnan(points[name])
        points = points[valid]
    if uvs is not None:
        uvs = np.asarray(list(uvs))
        points = points[uvs if uvs.ndim == 1 else uvs[:, 1] * cloud.width + uvs[:, 0]]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.height, cloud.width)
    return points


def read_points_numpy(
    cloud, field_names=None, skip_nans=False, uvs=None, reshape_organized_cloud=False
):
    """Read points as an array of shape [points, fields]; all fields read must have one type."""
    assert all(cloud.fields[0].datatype == field.datatype for field in cloud.fields[1:]), (
        'All fields need to have the same datatype. Use `read_points()` otherwise.'
    )
    return structured_to_unstructured(
        read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    )


def read_points_list(cloud, field_names=None, skip_nans=False, uvs=None):
    """Read points as a list of named tuples."""
    points = read_points(cloud, field_names, skip_nans, uvs)
    point_type = namedtuple('Point', points.dtype.names)
    return [point_type._make(point) for point in points.tolist()]


def dtype_from_fields(fields, point_step=None):
    """Return the structured type that describes the bytes of a point.

    A field of more than one element becomes that many, with the index appended to its name.
    """
    names, formats, offsets = [], [], []
    for position, field in enumerate(fields):
        element = _DATATYPES[field.datatype]
        name = field.name or f'unnamed_field_{position}'
        for index in range(field.count):
            names.append(f'{name}_{index}' if field.count > 1 else name)
            formats.append(element)
            offsets.append(field.offset + index * element.itemsize)
    layout = {'names': names, 'formats': formats, 'offsets': offsets}
    if point_step is not None:
        layout['itemsize'] = point_step
    return np.dtype(layout)


def create_cloud(header, fields, points, step=None):
    """Make a cloud.

    Args:
        header: header of the message.
        fields: what a point consists of.
        points: structured array of the fields' type, or anything of shape [points, fields]; with a
            further leading dimension the cloud is organised, [height, width, fields].
        step: bytes from one point to the next; as few as the fields need by default.
    """
    dtype = dtype_from_fields(fields, point_step=step)
    if not isinstance(points, np.ndarray):
        points = np.array(list(points))
        if points.size == 0:
            points = points.reshape(0, len(dtype.names))
    if points.dtype.names is None:
        assert points.shape[-1] == len(dtype.names), (
            'The points have a different number of fields than given.'
        )
        points = unstructured_to_structured(points, dtype=dtype)
    else:
        assert points.dtype == dtype, 'PointFields and structured NumPy array dtype do not match.'
    height, width = points.shape if points.ndim == 2 else (1, len(points))
    cloud = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=fields,
        is_bigendian=sys.byteorder != 'little',
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * width,
        is_dense=False,
    )
    cloud.data = array.array('B', np.ascontiguousarray(points).tobytes())
    return cloud


def create_cloud_xyz32(header, points, step=None):
    """Make a cloud of x, y and z in 32 bits, from anything of shape [points, 3]."""
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate('xyz')
    ]
    return create_cloud(header, fields, points, step)
