"""This package and dragonbook/V2V-PoseNet-pytorch in turn, in one run, on the same frames.

    git clone https://github.com/dragonbook/V2V-PoseNet-pytorch /tmp/reference
    .venv/bin/python benchmarks/compare_reference.py /tmp/reference

Both get 640 x 480 frames of the synthetic camera and the hand's true middle, since the reference
cannot search; localisation is what turns the image into the points about that middle.  The
88-voxel network has the reference's random weights, imported: the heatmaps are compared first.
Every frame goes through all programs before the next one does.  Prints medians of wall and
processor time; on a machine that does other work the latter are the ones to compare.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
from pathlib import Path
import resource
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch

from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.importing.weights import import_weights
from v2v_pose_ros.localization import bounding_box_middle, find_reference
from v2v_pose_ros.models import load_model, Model
from v2v_pose_ros.runtimes import make_runtime
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.synthesis.hands.scenes import HandScenes, SceneOptions
from v2v_pose_ros.synthesis.windows import middle_of

STAGES = ('localisation', 'voxels', 'network', 'decoding')
CUBE = 0.25  # metres
Stages = dict[str, tuple[float, float]]


def main() -> None:
    """Measure in turn and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('reference', type=Path, help='a checkout of V2V-PoseNet-pytorch')
    parser.add_argument('--frames', type=int, default=20)
    parser.add_argument(
        '--error-frames', type=int, default=256, help='for the change of the error'
    )
    parser.add_argument('--threads', type=int, help='of torch; all cores by default')
    parser.add_argument('--json', type=Path, help='write all figures here')
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    scene = HandCameraScene(sr305(), seed=0)
    frames = [scene.frame(index / 5) for index in range(options.frames + 2)]
    reference = Reference(options.reference)
    reference.lower(frames[0])
    published = reference.imported()
    programs: dict[str, Callable[[Any, Any], Stages]] = {'reference': reference}
    for name, model in {'88 voxels': published, 'hand_lite': load_model('hand_lite')}.items():
        for runtime in ('openvino', 'openvino_int8'):
            programs[f'{name}, {runtime}'] = Ours(model, runtime)
    result: dict[str, Any] = {
        'heatmaps_difference': same_heatmaps(reference, published, frames[0]),
        'threads': torch.get_num_threads(),
    }
    seen: dict[str, list[Stages]] = {name: [] for name in programs}
    searching = []
    for number, (depth, joints) in enumerate(frames):
        centre = bounding_box_middle(joints)
        for name, program in programs.items():
            found = program(depth, centre)
            if number >= 2:  # the first two warm up
                seen[name].append(found)
        watch = Watch()
        find_reference(depth, scene.camera, CUBE)
        searching.append(watch.lap())
    result['programs'] = {name: medians(runs) for name, runs in seen.items()}
    result['search_ms'] = {
        clock: 1e3 * float(np.median([lap[index] for lap in searching]))
        for index, clock in enumerate(('wall', 'cpu'))
    }
    result['memory_mb'] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if options.error_frames:
        result['hand_lite_errors'] = change_of_error(options.error_frames)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + '\n')


class Watch:
    """Wall and processor seconds since the last lap."""

    def __init__(self) -> None:
        self._last = time.perf_counter(), time.process_time()

    def lap(self) -> tuple[float, float]:
        now = time.perf_counter(), time.process_time()
        last, self._last = self._last, now
        return now[0] - last[0], now[1] - last[1]


class Reference:
    """The reference's own functions, in the order in which its test program calls them."""

    def __init__(self, folder: Path, device: torch.device | str = 'cpu') -> None:
        sys.path.insert(0, str(folder.resolve()))
        from datasets.msra_hand import depthmap2points
        from src.v2v_model import V2VModel
        from src.v2v_util import V2VVoxelization

        self._points = depthmap2points
        self._codec = V2VVoxelization(cubic_size=1000 * CUBE, augmentation=False)
        self._device = torch.device(device)
        torch.manual_seed(0)
        self.network = V2VModel(input_channels=1, output_channels=21).eval()
        for module in self.network.modules():  # weights of 0.001 would give nothing to compare
            if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
                torch.nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
        self.network.to(self._device)
        sys.path.pop(0)

    def grid(self, depth: Any, centre: Any, watch: Watch | None = None) -> Any:
        """Return its points' grid; millimetres, y upwards."""
        filled = np.where(depth == 0, np.float32(700), depth * 1000)
        points = self._points(filled, 476.0, 476.0).reshape(-1, 3)
        first = watch.lap() if watch else None
        where = 1000 * np.array([centre[0], -centre[1], centre[2]])
        grid = self._codec.voxelize(points, where)
        return torch.from_numpy(grid[None]).to(self._device, torch.float32), where, first

    @torch.no_grad()
    def __call__(self, depth: Any, centre: Any) -> Stages:
        watch = Watch()
        grid, where, localisation = self.grid(depth, centre, watch)
        voxels = watch.lap()
        output = self.network(grid).cpu()  # which waits for a GPU
        network = watch.lap()
        self._codec.evaluate(output.numpy(), where.reshape(1, 1, 3))
        return dict(zip(STAGES, (localisation, voxels, network, watch.lap()), strict=True))

    @torch.no_grad()
    def lower(self, frame: Any) -> None:
        """Shift the outputs so that, as in trained networks, few cells are above zero."""
        depth, joints = frame
        output = self.network(self.grid(depth, joints.mean(axis=0))[0])[0].flatten(1)
        highest = output.topk(60, dim=1).values
        self.network.output_layer.bias -= highest[:, -1]

    def imported(self) -> Model:
        """Return its network as a model of this package."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'reference.pth'
            torch.save(self.network.state_dict(), path)
            network, info = import_weights(
                path, 'hand', name='reference', joint_order='hands2017', y_axis='down'
            )
        return Model(network.eval().requires_grad_(False), info, Path())


class Ours:
    """This package from an image to joints about a point."""

    def __init__(self, model: Model, runtime: str) -> None:
        made = make_runtime(model, runtime, 'cpu')
        self._camera = sr305()
        self._estimator = PoseEstimator([model], [made], passes=1, min_confidence=0.0)

    def __call__(self, depth: Any, centre: Any) -> Stages:
        # The estimator's own stages in wall time; processor time is of the whole.
        watch = Watch()
        timings = self._estimator(depth, self._camera, centre, passes=1).timings
        whole = watch.lap()
        names = {'localisation': 'crop', **{name: name for name in STAGES[1:]}}
        return {
            **{stage: (timings[name], float('nan')) for stage, name in names.items()},
            'whole': whole,
        }


def same_heatmaps(reference: Reference, model: Model, frame: Any) -> float:
    """Return the largest difference of the heatmaps as a share of their own size."""
    depth, joints = frame
    grid, _, _ = reference.grid(depth, joints.mean(axis=0))
    with torch.no_grad():
        wanted = reference.network(grid).permute(0, 1, 4, 3, 2)  # theirs is [x][y][z]
        found = model.network(grid.permute(0, 1, 4, 3, 2))
    return float((found - wanted).abs().max() / wanted.abs().max())


def medians(runs: list[Stages]) -> dict[str, Any]:
    """Return the median milliseconds of every stage and of the whole, wall and processor."""
    for run in runs:
        run.setdefault('whole', (sum(t[0] for t in run.values()), sum(t[1] for t in run.values())))
    return {
        clock: {
            stage: round(1e3 * float(np.median([run[stage][index] for run in runs])), 3)
            for stage in (*STAGES, 'whole')
        }
        for index, clock in enumerate(('wall', 'cpu'))
    }


def change_of_error(count: int) -> dict[str, Any]:
    """Return hand_lite's mean error on synthetic hands by runtime, all on the same grids."""
    model = load_model('hand_lite')
    codec = model.info.make_codec()
    scenes = HandScenes(seed=991, options=SceneOptions(astray=0.0))
    runtimes = {
        'float32': model.network,
        'openvino': make_runtime(model, 'openvino', 'cpu'),
        'openvino_int8': make_runtime(model, 'openvino_int8', 'cpu'),
    }
    errors: dict[str, list[Any]] = {name: [] for name in runtimes}
    for _ in range(-(-count // 16)):
        scene = scenes.sample(16)
        middle = middle_of(scene.joints)
        centres = middle + 0.012 * torch.randn(16, 3, generator=scenes.generator)
        points, valid = scene.points()
        grids = codec.occupancy(points, centres, valid)
        for name, run in runtimes.items():
            for index in range(16):
                one = slice(index, index + 1)
                with torch.inference_mode():
                    found = codec.decode(run(grids[one]), centres[one]).positions
                errors[name].append(1e3 * (found - scene.joints[one]).norm(dim=-1).mean().item())
    exact = np.array(errors['float32'])
    return {
        name: {
            'mean_mm': round(float(np.mean(values)), 3),
            'change_mm': round(float(np.mean(values - exact)), 3),
            'standard_error_mm': round(float(np.std(values - exact) / len(exact) ** 0.5), 3),
        }
        for name, values in ((name, np.array(values)) for name, values in errors.items())
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures for people."""
    columns = (*STAGES, 'whole')
    lines = [f'{"ms, wall":26}' + ''.join(f'{name:>14}' for name in columns) + f'{"cpu":>10}']
    base = result['programs']['reference']
    for name, found in result['programs'].items():
        times = ''.join(f'{found["wall"][stage]:14.2f}' for stage in columns)
        lines.append(f'{name:26}{times}{found["cpu"]["whole"]:10.1f}')
        if name != 'reference':
            ratios = [base['wall'][stage] / found['wall'][stage] for stage in columns]
            cpu = base['cpu']['whole'] / found['cpu']['whole']
            times = ''.join(f'{ratio:13.1f}x' for ratio in ratios)
            lines.append(f'{"  times as fast":26}{times}{cpu:9.1f}x')
    lines.append(f'heatmaps differ by {result["heatmaps_difference"]:.1e} of their size')
    lines.append(f'our search, which the reference lacks: {result["search_ms"]["wall"]:.2f} ms')
    for name, found in result.get('hand_lite_errors', {}).items():
        lines.append(
            f'hand_lite, {name}: {found["mean_mm"]:.2f} mm, {found["change_mm"]:+.3f} '
            f'(standard error {found["standard_error_mm"]:.3f})'
        )
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
