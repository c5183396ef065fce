"""Tiny datasets, written byte by byte in the original formats.

Every dataset shows one flat wall and, in front of it, one pixel whose 3D position is known.
"""

from __future__ import annotations

from pathlib import Path
import struct
import zlib

import numpy as np

GESTURES = (*'123456789', 'I', 'IP', 'L', 'MP', 'RP', 'T', 'TIP', 'Y')


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a PNG of 16-bit grey [H, W] or 8-bit red, green, blue [H, W, 3]."""
    height, width = image.shape[:2]
    depth, colour = (16, 0) if image.ndim == 2 else (8, 2)
    rows = image.astype('>u2' if image.ndim == 2 else 'u1').reshape(height, -1)
    data = b''.join(b'\0' + row.tobytes() for row in rows)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', checksum)

    header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(data))
        + chunk(b'IEND', b'')
    )


def wall(width: int, height: int, u: int, v: int, near: int, far: int = 900) -> np.ndarray:
    """Return millimetres [H, W]: a wall, a hole at 0, 0 and one nearer pixel at u, v."""
    image = np.full((height, width), far, np.uint16)
    image[0, 0], image[v, u] = 0, near
    return image


def line(values: np.ndarray, separator: str = ' ') -> str:
    return separator.join(f'{value:.4f}' for value in np.ravel(values))


def write_icvl(root: Path, pixels: np.ndarray) -> None:
    """Write test frames with labels u, v, d [N, 16, 3]: the first in sequence 1, the rest in 2."""
    for sequence, chosen in ((1, pixels[:1]), (2, pixels[1:])):
        lines = []
        for number, label in enumerate(chosen):
            name = f'test_seq_{sequence}/image_{number:04d}.png'
            u, v, d = label[0].astype(int)
            write_png(root / 'Testing' / 'Depth' / name, wall(320, 240, u, v, d))
            lines.append(f'{name} {line(label)} ')
        (root / 'Testing' / f'test_seq_{sequence}.txt').write_text('\n'.join(lines) + '\n\n')


def write_nyu(root: Path, world: np.ndarray, u: int, v: int, near: int) -> None:
    """Write test frames with labels [N, 36, 3] for the first of two Kinects."""
    from scipy.io import savemat

    folder = root / 'test'
    for number in range(1, len(world) + 1):
        depth = wall(640, 480, u, v, near)
        image = np.stack([np.full_like(depth, 77), depth >> 8, depth & 255], axis=-1)
        write_png(folder / f'depth_1_{number:07d}.png', image)
    both = np.stack([world, np.full_like(world, -1.0)])
    savemat(folder / 'joint_data.mat', {'joint_xyz': both, 'joint_uvd': both})


def write_msra(root: Path, joints: dict[int, np.ndarray], u: int, v: int, near: float) -> None:
    """Write one frame a gesture; labels of each subject [17, 21, 3] as in joint.txt."""
    for subject, labels in joints.items():
        for gesture, label in zip(GESTURES, labels, strict=True):
            folder = root / f'P{subject}' / gesture
            folder.mkdir(parents=True)
            (folder / 'joint.txt').write_text(f'1\n{line(label)}\n')
            left, top, right, bottom = u - 3, v - 2, u + 5, v + 4
            crop = np.zeros((bottom - top, right - left), '<f4')
            crop[v - top, u - left] = near
            header = struct.pack('<6i', 320, 240, left, top, right, bottom)
            (folder / '000000_depth.bin').write_bytes(header + crop.tobytes())


def write_hands2017(root: Path, world: np.ndarray, u: int, v: int, near: int) -> None:
    """Write training frames with labels [N, 21, 3] and as many test frames."""
    lines, boxes = [], []
    for number, label in enumerate(world, start=1):
        name = f'image_D{number:08d}.png'
        write_png(root / 'training' / 'images' / name, wall(640, 480, u, v, near))
        write_png(root / 'frame' / 'images' / name, wall(640, 480, u, v, near))
        lines.append(f'{name}\t{line(label, chr(9))}')
        boxes.append(f'{name}\t10\t20\t110\t220')
    (root / 'training' / 'Training_Annotation.txt').write_text('\n'.join(lines) + '\n')
    (root / 'frame' / 'BoundingBox.txt').write_text('\n'.join(boxes) + '\n')


def write_itop(root: Path, world: np.ndarray, valid: list[int], u: int, v: int) -> None:
    """Write test frames of the front view with labels [N, 15, 3] in metres."""
    import h5py

    depth = np.full((len(world), 240, 320), 4.0, np.float16)
    depth[:, 0, 0], depth[:, v, u] = 0, 2.5
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / 'ITOP_side_test_depth_map.h5', 'w') as file:
        file['data'] = depth
    with h5py.File(root / 'ITOP_side_test_labels.h5', 'w') as file:
        file['real_world_coordinates'] = world.astype(np.float32)
        file['is_valid'] = np.array(valid, np.uint8)
