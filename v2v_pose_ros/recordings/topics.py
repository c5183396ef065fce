"""Which topics of a recording are the depth images and the camera_info that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass

from v2v_pose_ros.recordings import RecordingError
from v2v_pose_ros.recordings.depth_messages import compression_of
from v2v_pose_ros.recordings.recording import Recording, Topic
from v2v_pose_ros.recordings.types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE

_TRANSPORTS = ('/compressedDepth', '/compressed')
_DEPTH_ENCODINGS = ('16UC1', '32FC1')


@dataclass(frozen=True)
class Streams:
    """A depth camera in a recording."""

    depth: Topic
    info: Topic


def find_streams(recording: Recording, depth: str = '', info: str = '') -> Streams:
    """Return the topics of the depth camera.

    Args:
        recording: where to look.
        depth: the topic of depth images, when there are several.
        info: that of their calibration, when it is not named as image_transport has it.

    Raises:
        RecordingError: there is none or more than one; the text lists all topics.
    """
    chosen = _named(recording, depth, (IMAGE, COMPRESSED_IMAGE), 'depth images')
    if chosen is None:
        chosen = _find_depth(recording)
    calibration = _named(recording, info, (CAMERA_INFO,), 'camera_info')
    return Streams(chosen, calibration or _find_info(recording, chosen))


def _named(recording: Recording, name: str, types: tuple[str, ...], what: str) -> Topic | None:
    """Return a topic that was asked for by name."""
    if not name:
        return None
    topic = recording.topics.get(name)
    if topic is None or topic.type not in types or not topic.count:
        raise _refusal(
            recording, f'has no {what} on {name}; a topic of type {" or ".join(types)} is expected'
        )
    return topic


def _find_depth(recording: Recording) -> Topic:
    candidates = [topic for topic in recording.topics.values() if _is_depth(recording, topic)]
    raw = {topic.name for topic in candidates if topic.type == IMAGE}
    # A camera's raw image and its compressed copy are one camera; the raw one is read faster.
    cameras = [topic for topic in candidates if topic.name in raw or _base(topic.name) not in raw]
    if not cameras:
        raise _refusal(
            recording,
            'has no depth images: neither 16UC1 nor 32FC1 sensor_msgs/Image nor compressedDepth; '
            'name a topic with --depth-topic where its encoding is mono16',
        )
    if len(cameras) > 1:
        raise _refusal(
            recording,
            f'has {len(cameras)} topics of depth images: {", ".join(t.name for t in cameras)}; '
            'name one with --depth-topic',
        )
    return cameras[0]


def _is_depth(recording: Recording, topic: Topic) -> bool:
    if not topic.count or topic.type not in (IMAGE, COMPRESSED_IMAGE):
        return False
    message = recording.first(topic.name)
    if topic.type == IMAGE:
        return message.encoding in _DEPTH_ENCODINGS
    return compression_of(message.format) in ('compressedDepth', 'png16')


def _find_info(recording: Recording, depth: Topic) -> Topic:
    infos = [t for t in recording.topics.values() if t.type == CAMERA_INFO and t.count]
    sibling = _base(depth.name).rpartition('/')[0] + '/camera_info'
    for topic in infos:
        if topic.name == sibling:
            return topic
    if len(infos) == 1:
        return infos[0]
    have = 'has none' if not infos else f'has {len(infos)} others'
    raise _refusal(
        recording,
        f'has no {sibling}, the camera_info of {depth.name}, and {have}; name it with '
        '--camera-info-topic',
    )


def _base(name: str) -> str:
    """Return the topic that a compressed image is the copy of."""
    for transport in _TRANSPORTS:
        name = name.removesuffix(transport)
    return name


def _refusal(recording: Recording, text: str) -> RecordingError:
    return RecordingError(f'{recording.path} {text}. It holds:\n{recording.listing}')
