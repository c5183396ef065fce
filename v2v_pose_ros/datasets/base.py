"""The interface of all datasets: an index in, a depth frame out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args, Literal

import numpy as np
from numpy.typing import NDArray

from v2v_pose_ros.camera import Camera, DepthError, FloatArray
from v2v_pose_ros.datasets.centres import read_centres
from v2v_pose_ros.datasets.conventions import Convention, CONVENTIONS
from v2v_pose_ros.datasets.depth_files import read_bin
from v2v_pose_ros.datasets.tables import DatasetError
from v2v_pose_ros.frames import read_depth_png

Split = Literal['train', 'test']
Form = Literal['auto', 'original', 'bin']


@dataclass(frozen=True)
class DepthFrame:
    """One frame; positions are metres in the optical frame (x right, y down, z forward).

    Attributes:
        depth: [H, W] metres, 0 = no measurement.
        camera: what took it.
        joints: [J, 3] in the order of the dataset's skeleton, None where labels are not public.
        reference: [3] the reference point of the centre file, None without one.
        valid: whether the frame takes part: not marked invalid by the dataset or the centres.
        name: the file below the dataset's folder, or the frame's number in it.
    """

    depth: FloatArray
    camera: Camera
    joints: FloatArray | None
    reference: FloatArray | None
    valid: bool
    name: str


@dataclass(frozen=True)
class Labels:
    """What the label files of a split say.

    Attributes:
        names: [N] the frames.
        joints: [N, J, 3] metres in the optical frame, None where labels are not public.
        valid: [N] which frames the dataset calls valid; None for all.
    """

    names: Sequence[str]
    joints: NDArray[np.floating] | None
    valid: NDArray[np.bool_] | None = None


class DepthDataset(ABC):
    """A split of a dataset: labels in memory, depth images read when they are asked for.

    It can be pickled and shared by workers: it holds arrays and paths, no open file.  Frames are
    those of the original split in its order, invalid ones included; `valid` tells which are.

    Attributes:
        convention: the dataset's joints, camera, units and axes.
        root: its folder.
        split: 'train' or 'test'.
        joints: [N, J, 3] metres in the optical frame, or None.
        references: [N, 3] reference points, NaN for invalid frames, or None.
        valid: [N].
    """

    def __init__(
        self,
        name: str,
        root: Path,
        split: Split,
        centres: Path | None = None,
        check_counts: bool = True,
    ) -> None:
        """Read the labels of a split.

        Args:
            name: the dataset, one of CONVENTIONS.
            root: its folder.
            split: 'train' or 'test'.
            centres: a centre file with a line for every frame.
            check_counts: refuse a split with another number of frames than published.

        Raises:
            DatasetError: the labels are not as expected, or the centre file cannot be read or has
                another number of frames.
        """
        if split not in get_args(Split):
            raise DatasetError(f"split is {split!r}; 'train' or 'test' is meant")
        self.convention: Convention = CONVENTIONS[name]
        self.root, self.split = root, split
        self._check_counts = check_counts
        labels = self.read_labels()
        # One array and not a list of strings: workers would copy every page of the latter.
        self._names = np.array([name.encode() for name in labels.names], np.bytes_)
        self.joints = None if labels.joints is None else labels.joints.astype(np.float32)
        count = len(labels.names)
        self.valid = np.ones(count, bool) if labels.valid is None else labels.valid
        self.references: FloatArray | None = None
        if centres is not None:
            self.references, usable = read_centres(centres, self.convention)
            if len(usable) != count:
                raise DatasetError(
                    f'{centres} has {len(usable):,} lines; {self.convention.title} {split} in '
                    f'{root} has {count:,} frames'
                )
            self.valid = self.valid & usable

    def __len__(self) -> int:
        """Return the number of frames, invalid ones included."""
        return len(self._names)

    def __iter__(self) -> Iterator[DepthFrame]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> DepthFrame:
        """Read a frame.

        An invalid frame whose depth image is missing has an empty one.

        Raises:
            IndexError: there is no such frame.
            DatasetError: the depth image is missing or damaged.
        """
        index = range(len(self))[index]
        valid = bool(self.valid[index])
        try:
            depth = self.read_depth(index)
        except DatasetError:
            if valid:
                raise
            depth = np.zeros((self.camera.height, self.camera.width), np.float32)
        return DepthFrame(
            depth,
            self.camera,
            None if self.joints is None else self.joints[index],
            None if self.references is None or not valid else self.references[index],
            valid,
            self.frame_name(index),
        )

    @property
    def camera(self) -> Camera:
        """The camera of every frame."""
        return self.convention.camera

    @property
    def valid_indices(self) -> NDArray[np.intp]:
        """The frames that take part in training and evaluation."""
        return np.flatnonzero(self.valid)

    def frame_name(self, index: int) -> str:
        """Return the name of a frame."""
        return bytes(self._names[index]).decode()

    def check_count(self, what: str | Path, found: int, *expected: int) -> None:
        """Raise DatasetError with both numbers where a part of the dataset is not complete."""
        if self._check_counts and found not in expected:
            counts = ' or '.join(f'{count:,}' for count in expected)
            raise DatasetError(
                f'{what} has {found:,} frames; {counts} are expected: the download is incomplete, '
                'or pass check_counts=False to use a part of the dataset'
            )

    @abstractmethod
    def read_labels(self) -> Labels:
        """Read the labels of the split and check their counts; raise DatasetError."""

    @abstractmethod
    def read_depth(self, index: int) -> FloatArray:
        """Read the depth image [H, W] of a frame in metres; raise DatasetError."""


class FileDataset(DepthDataset):
    """A dataset with one depth image a file, in the original or the authors' .bin form.

    A reader says which of CONVENTIONS it is, how its labels are read, and what else is its own.
    """

    name: ClassVar[str]

    def __init__(
        self,
        root: Path,
        split: Split,
        centres: Path | None = None,
        form: Form = 'auto',
        check_counts: bool = True,
    ) -> None:
        """Read the labels of a split; see DepthDataset.

        Args:
            root: the dataset's folder.
            split: 'train' or 'test'.
            centres: a centre file with a line for every frame.
            form: read 'original' files, the authors' 'bin' files, or the latter where they are.
            check_counts: refuse label files with another number of frames than published.
        """
        if form not in get_args(Form):
            raise DatasetError(f"form is {form!r}; 'auto', 'original' or 'bin' is meant")
        super().__init__(self.name, root, split, centres, check_counts)
        self.form = form

    def read_depth(self, index: int) -> FloatArray:
        """Read the depth image of a frame from its .bin file or else from the original one."""
        source, converted = self.original_file(index), self.bin_file(index)
        try:
            if self.form == 'bin' or (self.form == 'auto' and converted.is_file()):
                return self.read_bin(converted)
            return self.read_original(source)
        except DepthError as error:
            raise DatasetError(str(error)) from error

    def read_bin(self, path: Path) -> FloatArray:
        """Read a file of the authors' form; raise DepthError."""
        return read_bin(path, self.camera.width, self.camera.height)

    def read_original(self, path: Path) -> FloatArray:
        """Read a file of the original form, a PNG of 16 bits by default; raise DepthError."""
        return read_depth_png(path, self.camera)

    def original_file(self, index: int) -> Path:
        """Return the file of the dataset that holds a frame."""
        return self.root / self.frame_name(index)

    def bin_file(self, index: int) -> Path:
        """Return where the authors' tools put the frame's .bin file: beside the original."""
        return self.original_file(index).with_suffix('.bin')
