"""Depth images as they arrive and the camera that took them.

Pixel centres have integer coordinates.  Depth is metres along the optical axis, float32, and 0
where nothing was measured.  Points are x right, y down, z forward in the optical frame (REP 103).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import yaml

FloatArray = NDArray[np.float32]

_ENCODINGS = {'16UC1': np.uint16, 'mono16': np.uint16, '32FC1': np.float32}
_MODELS = {'': 0, 'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4, 'fisheye': 4}
"""Distortion models and how many coefficients they have at most."""

_MAX_SIDE = 16384
_STEPS = 40  # of the fixed-point inversion of lens distortion


class DepthError(ValueError):
    """A depth image cannot be used."""


class CameraError(ValueError):
    """A camera calibration cannot be used."""


def decode_depth(
    data: Any, encoding: str, width: int, height: int, step: int, is_bigendian: bool
) -> FloatArray:
    """Decode the bytes of a depth image (REP 118).

    Args:
        data: the bytes, row by row; any object with the buffer protocol.
        encoding: '16UC1' or 'mono16' in millimetres, '32FC1' in metres.
        width: columns.
        height: rows.
        step: bytes from one row to the next, padding included.
        is_bigendian: byte order.

    Returns:
        [height, width] metres; 0 for no measurement: zero, negative, NaN and infinite values.

    Raises:
        DepthError: what does not fit, what was expected, and what to do.
    """
    if encoding not in _ENCODINGS:
        raise DepthError(
            f'the image has the encoding {encoding!r}; depth comes as 16UC1 (millimetres), mono16 '
            'or 32FC1 (metres): remap the depth topic, not the colour or infrared one'
        )
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise DepthError(f'the image measures {width} x {height} pixels; it has no usable size')
    kind = np.dtype(_ENCODINGS[encoding]).newbyteorder('>' if is_bigendian else '<')
    if step < width * kind.itemsize or step % kind.itemsize:
        raise DepthError(
            f'the image has step {step}; {width} columns of {encoding} take at least '
            f'{width * kind.itemsize} bytes in multiples of {kind.itemsize}: the driver fills the '
            'message wrongly'
        )
    raw = np.frombuffer(data, np.uint8)
    if raw.size < step * (height - 1) + width * kind.itemsize:
        raise DepthError(
            f'the image has {raw.size} bytes; {height} rows of step {step} need {step * height}: '
            'the message was cut or the driver fills it wrongly'
        )
    if raw.size > step * height:
        raise DepthError(
            f'the image has {raw.size} bytes; {height} rows of step {step} are {step * height}: '
            'step or height do not belong to this data, the driver fills the message wrongly'
        )
    rows = np.lib.stride_tricks.as_strided(
        raw[: raw.size // kind.itemsize * kind.itemsize].view(kind),
        shape=(height, width),
        strides=(step, kind.itemsize),
        writeable=False,
    )
    if kind.kind == 'u':
        return rows.astype(np.float32) * np.float32(0.001)
    depth = rows.astype(np.float32)
    # One comparison finds zero, negative values and NaN; the other infinity.
    depth[~((depth > 0) & (depth < np.inf))] = 0
    return depth


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with the distortion models of camera_info.

    Attributes:
        width: columns of the image.
        height: rows of the image.
        fx: focal length in columns.
        fy: focal length in rows.
        cx: principal point, column.
        cy: principal point, row.
        distortion_model: '', 'plumb_bob', 'rational_polynomial' or 'equidistant'.
        distortion: its coefficients; all zero for rectified images.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ''
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no camera."""
        if not (0 < self.width <= _MAX_SIDE and 0 < self.height <= _MAX_SIDE):
            raise CameraError(
                f'the calibration is of {self.width} x {self.height} pixels; it has no usable size'
            )
        values = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(map(math.isfinite, values)) or self.fx <= 0 or self.fy <= 0:
            raise CameraError(
                f'the calibration has fx = {self.fx}, fy = {self.fy}, cx = {self.cx}, '
                f'cy = {self.cy}; finite numbers and positive focal lengths are expected: '
                'calibrate the camera or remap its camera_info'
            )
        if self.distortion_model not in _MODELS:
            known = ', '.join(model for model in _MODELS if model)
            raise CameraError(
                f'the calibration has the distortion model {self.distortion_model!r}; known are '
                f'{known}: use the rectified image'
            )
        most = _MODELS[self.distortion_model]
        if len(self.distortion) > most:
            raise CameraError(
                f'the calibration has {len(self.distortion)} distortion coefficients; '
                f'{self.distortion_model or "no distortion"} has {most}'
            )

    @classmethod
    def from_calibration(
        cls,
        *,
        width: int,
        height: int,
        k: Sequence[float],
        d: Sequence[float] = (),
        distortion_model: str = '',
        binning_x: int = 0,
        binning_y: int = 0,
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Camera:
        """Return the camera of an image from the fields of sensor_msgs/CameraInfo (REP 104).

        Args:
            width: columns of the calibration.
            height: rows of the calibration.
            k: the 3x3 matrix, row by row.
            d: distortion coefficients.
            distortion_model: name of the model.
            binning_x: columns averaged into one; 0 and 1 mean none.
            binning_y: rows averaged into one.
            roi: x_offset, y_offset, height, width in full-resolution pixels; all zero means all.

        Raises:
            CameraError: the calibration is none.
        """
        if len(k) != 9:
            raise CameraError(f'the calibration matrix has {len(k)} numbers; 9 are expected')
        left, top, rows, columns = roi
        if rows == 0 or columns == 0:
            left, top, rows, columns = 0, 0, height, width
        bin_x, bin_y = max(binning_x, 1), max(binning_y, 1)
        coefficients = tuple(float(value) for value in d)
        if not any(coefficients):
            distortion_model, coefficients = '', ()
        while coefficients and coefficients[-1] == 0:
            coefficients = coefficients[:-1]  # drivers pad with zeros
        return cls(
            width=int(columns) // bin_x,
            height=int(rows) // bin_y,
            fx=float(k[0]) / bin_x,
            fy=float(k[4]) / bin_y,
            # A binned pixel's centre is the middle of the pixels that it averages.
            cx=(float(k[2]) - left + 0.5) / bin_x - 0.5,
            cy=(float(k[5]) - top + 0.5) / bin_y - 0.5,
            distortion_model=distortion_model,
            distortion=coefficients,
        )

    @classmethod
    def from_info(cls, info: Any, rectified: bool = False) -> Camera:
        """Return the camera that a sensor_msgs/CameraInfo describes, as REP 104 has it.

        Args:
            info: the message, of rclpy or of a recording.
            rectified: the image belongs to P, the camera after rectification, not to K and D.

        Raises:
            CameraError: the calibration is none.
        """
        p, roi = info.p, info.roi
        return cls.from_calibration(
            width=info.width,
            height=info.height,
            k=[*p[0:3], *p[4:7], *p[8:11]] if rectified else list(info.k),
            d=() if rectified else tuple(info.d),
            distortion_model='' if rectified else info.distortion_model,
            binning_x=info.binning_x,
            binning_y=info.binning_y,
            roi=(roi.x_offset, roi.y_offset, roi.height, roi.width),
        )

    @classmethod
    def from_yaml(cls, path: Path) -> Camera:
        """Read a camera.yaml as camera_calibration writes it; raise CameraError."""
        try:
            values = yaml.safe_load(path.read_text())
            return cls.from_calibration(
                width=int(values['image_width']),
                height=int(values['image_height']),
                k=[float(value) for value in values['camera_matrix']['data']],
                d=[float(v) for v in values.get('distortion_coefficients', {}).get('data', [])],
                distortion_model=values.get('distortion_model', ''),
            )
        except CameraError as error:
            raise CameraError(f'{path}: {error}') from error
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CameraError(f'{path} cannot be read: {error}') from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CameraError(
                f'{path} is no camera calibration ({error!r}); image_width, image_height and '
                'camera_matrix are expected, as camera_calibration writes them'
            ) from error

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The 3x3 matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    @property
    def rays(self) -> tuple[FloatArray, FloatArray]:
        """Return x / z and y / z of the pixels, broadcastable to [height, width]."""
        return _rays(self)

    def rays_at(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[FloatArray, FloatArray]:
        """Return x / z [N] and y / z [N] of some pixels."""
        x, y = self.rays
        if self.distortion:
            return x[rows, columns], y[rows, columns]
        return x[0].take(columns), y[:, 0].take(rows)

    def points(self, depth: FloatArray, mask: NDArray[np.bool_] | None = None) -> FloatArray:
        """Return the measured points [N, 3] of a depth image, in row order.

        Args:
            depth: [height, width] metres, 0 = no measurement.
            mask: [height, width] the pixels to take; all measurements by default.
        """
        rows, columns = np.nonzero(depth if mask is None else mask & (depth > 0))
        return self.points_at(depth, rows, columns)

    def points_at(
        self, depth: FloatArray, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> FloatArray:
        """Return the points [N, 3] of some pixels."""
        x, y = self.rays_at(rows, columns)
        z = depth[rows, columns]
        points = np.empty((len(z), 3), np.float32)
        points[:, 0], points[:, 1], points[:, 2] = x * z, y * z, z
        return points

    def project(self, points: FloatArray) -> NDArray[np.float64]:
        """Return the pixels (column, row) [N, 2] of points [N, 3] in front of the camera."""
        flat = np.asarray(points, np.float64).reshape(-1, 3)
        x, y = flat[:, 0] / flat[:, 2], flat[:, 1] / flat[:, 2]
        if self.distortion:
            x, y = _distort(self, x, y)
        return np.stack([x * self.fx + self.cx, y * self.fy + self.cy], axis=1)


@lru_cache(maxsize=8)
def _rays(camera: Camera) -> tuple[FloatArray, FloatArray]:
    columns = np.arange(camera.width, dtype=np.float64)[None]
    rows = np.arange(camera.height, dtype=np.float64)[:, None]
    if not camera.distortion:
        x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
        return x.astype(np.float32), y.astype(np.float32)
    x, y = np.broadcast_arrays((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
    x, y = _undistort(camera, x, y)
    return x.astype(np.float32), y.astype(np.float32)


def _distort(
    camera: Camera, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bend rays x / z, y / z as the lens does."""
    if camera.distortion_model in ('equidistant', 'fisheye'):
        r = np.maximum(np.hypot(x, y), 1e-12)
        scale = _fisheye(camera, np.arctan(r)) / r
        return x * scale, y * scale
    radial, tangent_x, tangent_y = _radial_tangential(camera, x, y)
    return x * radial + tangent_x, y * radial + tangent_y


def _undistort(
    camera: Camera, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Invert `_distort` by fixed-point steps, which contract for any lens of practical use."""
    if camera.distortion_model in ('equidistant', 'fisheye'):
        bent = np.maximum(np.hypot(x, y), 1e-12)
        theta = bent.copy()
        for _ in range(_STEPS):
            theta = np.clip(theta - (_fisheye(camera, theta) - bent), 0.0, 1.5)
        return x * np.tan(theta) / bent, y * np.tan(theta) / bent
    straight_x, straight_y = x.copy(), y.copy()
    for _ in range(_STEPS):
        radial, tangent_x, tangent_y = _radial_tangential(camera, straight_x, straight_y)
        radial = np.maximum(radial, 0.1)
        straight_x, straight_y = (x - tangent_x) / radial, (y - tangent_y) / radial
    return straight_x, straight_y


def _radial_tangential(
    camera: Camera, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the radial factor and the tangential shifts of Brown's model, rational or not."""
    k1, k2, p1, p2, k3, k4, k5, k6 = camera.distortion[:8] + (0.0,) * (8 - len(camera.distortion))
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return (
        radial,
        2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def _fisheye(camera: Camera, theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Kannala and Brandt's bent angle of an angle to the axis."""
    k1, k2, k3, k4 = camera.distortion[:4] + (0.0,) * (4 - len(camera.distortion))
    t2 = theta * theta
    return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
