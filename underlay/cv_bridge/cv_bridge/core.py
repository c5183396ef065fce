"""The Python interface of cv_bridge, for the encodings of depth and colour cameras."""

import re
import sys

import cv2
import numpy as np
from sensor_msgs.msg import Image

_NUMPY_TYPES = {
    '8U': 'uint8',
    '8S': 'int8',
    '16U': 'uint16',
    '16S': 'int16',
    '32S': 'int32',
    '32F': 'float32',
    '64F': 'float64',
}
_OPENCV_TYPES = {name: depth for depth, name in _NUMPY_TYPES.items()}

# Encodings with a meaning: OpenCV type, and colour space.
_COLOR_ENCODINGS = {
    'mono8': ('8UC1', 'GRAY'),
    'bgr8': ('8UC3', 'BGR'),
    'rgb8': ('8UC3', 'RGB'),
    'bgra8': ('8UC4', 'BGRA'),
    'rgba8': ('8UC4', 'RGBA'),
    'mono16': ('16UC1', 'GRAY'),
    'bgr16': ('16UC3', 'BGR'),
    'rgb16': ('16UC3', 'RGB'),
    'bgra16': ('16UC4', 'BGRA'),
    'rgba16': ('16UC4', 'RGBA'),
}
_FULL_SCALE = {'8U': 255.0, '16U': 65535.0}


class CvBridgeError(TypeError):
    """An image cannot be converted as asked."""


class CvBridge:
    """Converts between image messages and OpenCV arrays."""

    def cv2_to_imgmsg(self, cvim, encoding='passthrough', header=None):
        """Convert an array to an image message.

        Args:
            cvim: array of shape [height, width] or [height, width, channels].
            encoding: encoding of the message, which must agree with the array's type and number of
                channels; ``'passthrough'`` names it after these, as in ``'16UC1'``.
            header: header of the message, if given.

        Raises:
            TypeError: the input is not an array.
            CvBridgeError: the encoding does not agree with the array, or is unknown.
        """
        if not isinstance(cvim, (np.ndarray, np.generic)):
            raise TypeError('Your input type is not a numpy array')
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        cv_type = self.dtype_with_channels_to_cvtype2(cvim.dtype, channels)
        if encoding != 'passthrough' and _cv_type(encoding) != cv_type:
            raise CvBridgeError(
                f'encoding specified as {encoding}, but image has incompatible type {cv_type}'
            )
        message = Image()
        message.height, message.width = cvim.shape[:2]
        if header is not None:
            message.header = header
        message.encoding = cv_type if encoding == 'passthrough' else encoding
        message.is_bigendian = cvim.dtype.byteorder == '>'
        message.data.frombytes(cvim.tobytes())
        message.step = len(message.data) // message.height
        return message

    def imgmsg_to_cv2(self, img_msg, desired_encoding='passthrough'):
        """Convert an image message to an array in the byte order of this machine.

        Args:
            img_msg: the message; its ``step`` and byte order are honoured.
            desired_encoding: encoding of the result; ``'passthrough'`` leaves it as it is.

        Raises:
            CvBridgeError: an encoding is unknown, or one cannot be converted to the other.
        """
        dtype, channels = self.encoding_to_dtype_with_channels(img_msg.encoding)
        dtype = np.dtype(dtype).newbyteorder('>' if img_msg.is_bigendian else '<')
        pixels_per_row = img_msg.step // dtype.itemsize // channels
        shape = (img_msg.height, pixels_per_row, channels)[: 2 if channels == 1 else 3]
        image = np.ndarray(shape=shape, dtype=dtype, buffer=img_msg.data)
        image = np.ascontiguousarray(image[:, : img_msg.width])
        if bool(img_msg.is_bigendian) == (sys.byteorder == 'little'):
            image = image.astype(dtype.newbyteorder('='))
        if desired_encoding == 'passthrough':
            return image
        return _convert(image, img_msg.encoding, desired_encoding)

    def dtype_with_channels_to_cvtype2(self, dtype, n_channels):
        """Name an OpenCV type: ``'16UC1'`` for uint16 and one channel."""
        try:
            return f'{_OPENCV_TYPES[np.dtype(dtype).name]}C{n_channels}'
        except KeyError:
            raise CvBridgeError(f'OpenCV has no type for {dtype}') from None

    def encoding_to_dtype_with_channels(self, encoding):
        """Return the NumPy type name and the number of channels of an encoding."""
        depth, channels = _cv_type(encoding).split('C')
        return _NUMPY_TYPES[depth], int(channels)


def _cv_type(encoding):
    """Return the OpenCV type of an encoding, with its number of channels: ``'8UC3'``."""
    if encoding in _COLOR_ENCODINGS:
        return _COLOR_ENCODINGS[encoding][0]
    match = re.fullmatch(r'(8U|8S|16U|16S|32S|32F|64F)(?:C(\d+))?', encoding)
    if not match:
        raise CvBridgeError(f'Unrecognized image encoding [{encoding}]')
    return f'{match[1]}C{match[2] or 1}'


def _convert(image, source, target):
    source_type, target_type = _cv_type(source), _cv_type(target)
    source_space = _COLOR_ENCODINGS.get(source, (None, None))[1]
    target_space = _COLOR_ENCODINGS.get(target, (None, None))[1]
    if source_space and target_space:
        if source_space != target_space:
            image = cv2.cvtColor(image, getattr(cv2, f'COLOR_{source_space}2{target_space}'))
        return _scale(image, source_type.split('C')[0], target_type.split('C')[0])
    if source_type.split('C')[1] != target_type.split('C')[1]:
        raise CvBridgeError(
            f'[{source}] is not a color format, but [{target}] is. '
            'The conversion does not make sense'
        )
    if source_type == target_type:
        return image
    return _scale(image, source_type.split('C')[0], target_type.split('C')[0], rescale=False)


def _scale(image, source_depth, target_depth, rescale=True):
    if source_depth == target_depth:
        return image
    target = np.dtype(_NUMPY_TYPES[target_depth])
    factor = _FULL_SCALE[target_depth] / _FULL_SCALE[source_depth] if rescale else 1.0
    values = image.astype(np.float64) * factor
    if target.kind in 'iu':
        limits = np.iinfo(target)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(target)
