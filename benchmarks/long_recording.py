"""A long recording: is its memory bounded, and does a killed run end as one that was not?

    .venv/bin/python benchmarks/long_recording.py FOLDER

Writes a recording of --minutes of a synthetic hand (640x480, 30 Hz, uncompressed) into FOLDER,
processes it with `v2v-pose record` at one go, processes it again, killing that run half-way and
repeating its command, and compares the two results byte by byte. Needs 2 GB of disk for each
minute three times over; give --keep to look at what came out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import hashlib
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from v2v_pose_ros.recordings.types import CAMERA_INFO, IMAGE, TYPES
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene

RATE = 30
CLIP = 300  # frames that are rendered; the recording repeats them
START = 1_700_000_000_000_000_000
DEPTH, INFO = '/camera/depth/image_rect_raw', '/camera/depth/camera_info'


def main() -> None:
    """Write, process twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='a new one')
    parser.add_argument('--minutes', type=float, default=10.0)
    parser.add_argument('--model', default='hand_lite')
    parser.add_argument('--storage', default='mcap', choices=['mcap', 'sqlite3'])
    parser.add_argument('--keep', action='store_true', help='leave the recordings there')
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    source = options.folder / 'in'
    frames = round(options.minutes * 60 * RATE)
    write_recording(source, frames, options.storage)
    whole, killed = options.folder / 'whole' / 'out', options.folder / 'killed' / 'out'
    peaks = {'whole': run(source, whole, options.model)}
    done = kill_half_way(source, killed, options.model, frames)
    peaks['continued'] = run(source, killed, options.model)
    document = {
        'frames': frames,
        'recording_mb': round(size(source) / 1e6),
        'peak_memory_mb': peaks,
        'killed_after_frames': done,
        'identical': digests(whole) == digests(killed),
    }
    print(json.dumps(document, indent=2))
    if not options.keep:
        shutil.rmtree(options.folder)


def write_recording(path: Path, frames: int, storage: str) -> None:
    """Write depth images and their camera_info."""
    scene = HandCameraScene(sr305(), seed=0)
    clip = [millimetres(scene.frame(number / RATE)[0]) for number in range(min(CLIP, frames))]
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        topics = {
            name: writer.add_connection(name, kind, typestore=TYPES)
            for name, kind in ((INFO, CAMERA_INFO), (DEPTH, IMAGE))
        }
        for number in range(frames):
            stamp = START + number * 1_000_000_000 // RATE
            info, image = messages(scene, stamp, clip[number % len(clip)])
            writer.write(topics[INFO], stamp, TYPES.serialize_cdr(info, CAMERA_INFO))
            writer.write(topics[DEPTH], stamp, TYPES.serialize_cdr(image, IMAGE))


def millimetres(depth: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, Any]:
    """Return what a camera sends of a depth image in metres."""
    return np.rint(1000 * depth).astype(np.uint16)


def messages(scene: HandCameraScene, stamp: int, depth: np.ndarray[Any, Any]) -> Iterator[Any]:
    """Yield camera_info and image of a stamp (nanoseconds)."""
    types, camera = TYPES.types, scene.camera
    when = types['builtin_interfaces/msg/Time'](*divmod(stamp, 1_000_000_000))
    head = types['std_msgs/msg/Header'](when, 'camera_depth_optical_frame')
    yield types[CAMERA_INFO](
        header=head,
        height=camera.height,
        width=camera.width,
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=np.asarray(camera.matrix, np.float64).ravel(),
        r=np.eye(3).ravel(),
        p=np.column_stack([camera.matrix, np.zeros(3)]).astype(np.float64).ravel(),
        binning_x=0,
        binning_y=0,
        roi=types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
    )
    data = depth.view(np.uint8).ravel()
    yield types[IMAGE](head, camera.height, camera.width, '16UC1', 0, 2 * camera.width, data)


def start(source: Path, target: Path, model: str) -> subprocess.Popen[bytes]:
    """Start the command that a user would give."""
    program = [sys.executable, '-m', 'v2v_pose_ros.cli', 'record']
    return subprocess.Popen([*program, str(source), str(target), '--model', model])


def run(source: Path, target: Path, model: str) -> int:
    """Process a recording; return the largest resident memory in MB, mapped files included."""
    process = start(source, target, model)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f'v2v-pose record ended with {process.returncode}')
    return round(usage.ru_maxrss * 1024 / 1e6)


def kill_half_way(source: Path, target: Path, model: str, frames: int) -> int:
    """Start, kill when half of the frames are in the journal, and return how many there were."""
    process = start(source, target, model)
    journal = target.with_name(target.name + '.part') / 'estimates.jsonl'
    while (done := lines(journal) - 1) < frames // 2:
        if process.poll() is not None:
            sys.exit('v2v-pose record ended before it could be killed')
        time.sleep(1.0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return done


def lines(path: Path) -> int:
    """Return how many lines a file has."""
    if not path.is_file():
        return 0
    with path.open('rb') as file:
        return sum(1 for _ in file)


def size(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.iterdir())


def digests(folder: Path) -> dict[str, str]:
    """Return a checksum of every file."""
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open('rb') as file:
            found[path.name] = hashlib.file_digest(file, 'sha256').hexdigest()
    return found


if __name__ == '__main__':
    main()
