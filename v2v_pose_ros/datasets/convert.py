"""PNG depth images to the authors' .bin files, which are faster to read.

`python -m v2v_pose_ros.datasets.convert nyu FOLDER train` does what PNG2BIN.m of the authors does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from v2v_pose_ros.camera import DepthError
from v2v_pose_ros.datasets.base import FileDataset
from v2v_pose_ros.datasets.catalogue import open_dataset
from v2v_pose_ros.datasets.depth_files import write_bin
from v2v_pose_ros.datasets.tables import DatasetError


def convert(dataset: FileDataset) -> tuple[int, int]:
    """Write the .bin file of every frame that has a PNG.

    Files that exist are kept, so that an interrupted conversion can be continued.

    Returns:
        How many files were written, and for how many frames there is no PNG.

    Raises:
        DepthError: a PNG is damaged; it is named.
    """
    written = missing = 0
    for index in range(len(dataset)):
        source, target = dataset.original_file(index), dataset.bin_file(index)
        if target.is_file():
            continue
        if not source.is_file():
            missing += 1
            continue
        depth = dataset.read_original(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix('.part')
        write_bin(partial, depth)
        partial.replace(target)
        written += 1
    return written, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the conversion and return the exit code."""
    parser = argparse.ArgumentParser(description='Convert PNG depth images to .bin files.')
    parser.add_argument('dataset', choices=('icvl', 'nyu', 'hands2017'))
    parser.add_argument('root', type=Path, help='the folder of the dataset')
    parser.add_argument('split', choices=('train', 'test'))
    options = parser.parse_args(arguments)
    try:
        dataset = open_dataset(options.dataset, options.root, options.split, check_counts=False)
        assert isinstance(dataset, FileDataset)
        written, missing = convert(dataset)
    except (DatasetError, DepthError, OSError) as error:
        print(f'convert: {error}', file=sys.stderr)
        return 1
    print(f'{written:,} of {len(dataset):,} frames converted, {missing:,} have no PNG')
    return 0


if __name__ == '__main__':
    sys.exit(main())
