"""Correctness and speed on an NVIDIA GPU, from a depth image in host memory to joints in it.

    python benchmarks/gpu.py [--out gpu.json] [--seconds 3] [--reference CHECKOUT]

Checks the recorded path against float32 on the CPU, then measures the shipped model, the published
88-voxel network and an ensemble of ten of them (random weights: speed does not depend on them),
stage by stage too, and says how far that is from what the GPU's arithmetic and memory allow.
With a checkout of dragonbook/V2V-PoseNet-pytorch, that one is measured on the same GPU and frames
in the same run.  Prints one JSON document; a part that fails says why and the others go on.  The
exit status is 1 when a check fails or a part does, and does not judge speed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
from pathlib import Path
import sys
import time
import traceback
from typing import Any

from compare_reference import Reference
import numpy as np
import torch

from v2v_pose_ros.benchmark import count_work
from v2v_pose_ros.camera import Camera
from v2v_pose_ros.localization import bounding_box_middle
from v2v_pose_ros.models import load_model, Model, ModelInfo
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.runtimes.device_pipeline import DevicePipeline
from v2v_pose_ros.runtimes.gpu import prepare_network, Replay
from v2v_pose_ros.runtimes.probes import probe_grids
from v2v_pose_ros.runtimes.torch_runtime import fold_normalisation
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene

TARGETS_MS = {'published': 2.0, 'ensemble_of_10': 10.0}
_JOINTS_MM = 0.5  # median over joints and frames, half precision against float32


def main() -> None:
    """Check, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, help='also write the document here')
    parser.add_argument('--seconds', type=float, default=3.0, help='of every measurement')
    parser.add_argument('--reference', type=Path, help='a checkout of V2V-PoseNet-pytorch')
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit('torch finds no CUDA GPU; nothing was measured')
    device = torch.device('cuda')
    camera, images, centres = make_frames()
    # On a machine without a GPU the path was tested on the CPU; here the GPU is compared with it.
    lite, published = load_model('hand_lite'), make_published(0)
    ensemble = [published, *(make_published(seed) for seed in range(1, 10))]
    frames = camera, images, centres
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        'check_hand_lite': lambda: check([lite], frames, device),
        'check_hand_lite_of_3': lambda: check([lite] * 3, frames, device),
        'check_published': lambda: check_output(published, device),
        'hand_lite': lambda: measure([lite], frames, device, options.seconds),
        'published': lambda: measure([published], frames, device, options.seconds),
        'ensemble_of_10': lambda: measure(ensemble, frames, device, options.seconds),
        'stages_published': lambda: stages(published, frames, device, options.seconds),
        'networks_published': lambda: networks(published, device, options.seconds),
        'floor_published': lambda: floor(published, device, options.seconds),
    }
    if options.reference:
        parts['reference'] = lambda: reference(options.reference, frames, device, options.seconds)
    document: dict[str, Any] = {
        'device': torch.cuda.get_device_name(device),
        'torch': torch.__version__,
        'cuda': torch.version.cuda,
        'cudnn': torch.backends.cudnn.version(),
        'image': [camera.width, camera.height],
        'targets_ms': TARGETS_MS,
    }
    failed = False
    for name, part in parts.items():
        begun = time.perf_counter()
        try:
            document[name] = part()
        except Exception as error:  # one part must not cost the others
            traceback.print_exc()
            document[name] = {'failed': f'{type(error).__name__}: {error}'}
        failed |= 'failed' in document[name] or document[name].get('ok') is False
        print(f'{name}: {time.perf_counter() - begun:.1f} s', file=sys.stderr)
    document['ratios'] = ratios(document)
    text = json.dumps(document, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + '\n')
    sys.exit(1 if failed else 0)


def make_frames(count: int = 8) -> tuple[Camera, list[Any], list[Any]]:
    """Return 640 x 480 images of the synthetic camera, and where the hand is in each."""
    scene = HandCameraScene(sr305(), seed=0)
    frames = [scene.frame(index / 3) for index in range(count)]
    centres = [bounding_box_middle(joints) for _, joints in frames]
    return scene.camera, [depth for depth, _ in frames], centres


def make_published(seed: int) -> Model:
    """Return the published architecture with random weights."""
    torch.manual_seed(seed)
    network = V2VPoseNet(V2VConfig(len(HAND))).eval().requires_grad_(False)
    info = ModelInfo(f'random_{seed}', 'hand', network.config.to_dict(), {'cube_size': 0.25})
    return Model(network, info, Path())


def check(models: list[Model], frames: Any, device: torch.device) -> dict[str, Any]:
    """Compare joints with those of float32 on the CPU."""
    camera, images, centres = frames
    exact, fast = DevicePipeline(models, torch.device('cpu')), DevicePipeline(models, device)
    moved, sure, spread = [], [], []
    for depth, centre in zip(images, centres, strict=True):
        wanted, found = exact(depth, camera, centre), fast(depth, camera, centre)
        moved.append(1e3 * np.linalg.norm(wanted.positions - found.positions, axis=1))
        sure.append(np.abs(wanted.confidences - found.confidences).max())
        spread.append(np.abs(wanted.covariances - found.covariances).max() * 1e6)
    median = float(np.median(moved))
    return {
        'ok': median <= _JOINTS_MM,
        'joints_median_mm': median,
        'joints_max_mm': float(np.max(moved)),
        'confidences_max': float(np.max(sure)),
        'covariances_max_mm2': float(np.max(spread)),
    }


def check_output(model: Model, device: torch.device) -> dict[str, Any]:
    """Compare the output of untrained weights, whose joints mean nothing."""
    grids = probe_grids(model.info.make_codec(), HAND, 1)
    with torch.inference_mode():
        wanted = model.network(grids)
        network = prepare_network(fold_normalisation(model.network), device, torch.float16)
        found = Replay(network, grids.to(device))(grids).cpu()
    share = float((found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())
    return {'ok': share < 0.05, 'heatmaps_share': share}


def timed(run: Callable[[], object], seconds: float) -> dict[str, float]:
    """Return percentiles in milliseconds of a function that waits for its result."""
    for _ in range(10):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - begun))
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return {'runs': len(times), 'p50': float(p50), 'p90': float(p90), 'p99': float(p99)}


def measure(
    models: list[Model], frames: Any, device: torch.device, seconds: float
) -> dict[str, Any]:
    """Time depth in host memory to joints in host memory."""
    camera, images, centres = frames
    torch.cuda.reset_peak_memory_stats(device)
    pipeline = DevicePipeline(models, device)
    begun = time.perf_counter()
    pipeline(images[0], camera, centres[0])
    first = time.perf_counter() - begun
    index = 0

    def run() -> None:
        nonlocal index
        index = (index + 1) % len(images)
        pipeline(images[index], camera, centres[index])

    times = timed(run, seconds)
    memory = torch.cuda.max_memory_allocated(device) / 2**20
    return {'ms': times, 'first_frame_s': first, 'gpu_memory_mb': round(memory)}


def reference(folder: Path, frames: Any, device: torch.device, seconds: float) -> dict[str, Any]:
    """Time the reference's own functions, its network on the GPU, on the same frames."""
    _, images, centres = frames
    run = Reference(folder, device)
    index = 0

    def once() -> None:
        nonlocal index
        index = (index + 1) % len(images)
        run(images[index], centres[index])

    return {'ms': timed(once, seconds)}


def floor(model: Model, device: torch.device, seconds: float) -> dict[str, float]:
    """Return what arithmetic and memory allow, by what this GPU does at its best."""
    work = count_work(model.network, model.info.make_codec().input_size)
    left, right = (torch.randn(8192, 8192, device=device).half() for _ in range(2))
    source = torch.zeros(2**28, device=device)
    target = torch.empty_like(source)

    def best(run: Callable[[], object]) -> float:
        def both() -> None:
            run()
            torch.cuda.synchronize(device)

        return timed(both, seconds / 2)['p50'] / 1e3

    multiplications = len(left) ** 3 / best(lambda: left @ right)
    rate = 2 * source.nbytes / best(lambda: target.copy_(source))
    return {
        'tera_operations_per_s': 2e-12 * multiplications,
        'memory_tb_per_s': 1e-12 * rate,
        'arithmetic_ms': 1e3 * work.multiplications / multiplications,
        'memory_ms': 1e3 * work.values * torch.float16.itemsize / rate,
    }


def ratios(document: dict[str, Any]) -> dict[str, float]:
    """Return how the published network's time compares with the reference and with the floor."""
    found = {}
    ours = document['published'].get('ms', {}).get('p50')
    theirs = document.get('reference', {}).get('ms', {}).get('p50')
    if ours and theirs:
        found['times_as_fast_as_the_reference'] = theirs / ours
    least = document['floor_published']
    if ours and 'arithmetic_ms' in least:
        found['times_the_floor'] = ours / max(least['arithmetic_ms'], least['memory_ms'])
    return found


def stages(model: Model, frames: Any, device: torch.device, seconds: float) -> dict[str, Any]:
    """Time the parts, each recorded and waited for by itself; the sum is more than the whole."""
    camera, images, centres = frames
    codec = model.info.make_codec()
    depth = torch.from_numpy(images[0]).pin_memory()
    on_device = depth.to(device)
    x, y = (torch.from_numpy(ray).to(device) for ray in camera.rays)
    centre = torch.from_numpy(centres[0].astype(np.float32)).to(device)
    origin = torch.zeros(1, 3, device=device)

    def voxelise(depth: torch.Tensor) -> torch.Tensor:
        points = torch.stack([x * depth, y * depth, depth], -1).view(1, -1, 3) - centre
        return codec.occupancy(points, origin, (depth > 0).view(1, -1))

    def decode(output: torch.Tensor) -> torch.Tensor:
        return torch.cat([part.flatten() for part in codec.read(output, origin)])

    with torch.inference_mode():
        network = prepare_network(fold_normalisation(model.network), device, torch.float16)
        grid = voxelise(on_device)
        output = network(grid)
        recorded = {
            'voxels': Replay(voxelise, on_device.clone()),
            'network': Replay(network, grid.clone()),
            'decoding': Replay(decode, output.clone()),
        }
        given = {'voxels': on_device, 'network': grid, 'decoding': output}

        def wait(run: Callable[[], object]) -> dict[str, float]:
            def both() -> None:
                run()
                torch.cuda.synchronize(device)

            return timed(both, seconds / 2)

        found = {'upload': wait(lambda: on_device.copy_(depth, non_blocking=True))}
        for name, replay in recorded.items():
            found[name] = wait(lambda replay=replay, name=name: replay(given[name]))  # type: ignore[misc]
    return found


def networks(model: Model, device: torch.device, seconds: float) -> dict[str, Any]:
    """Time ways to run the network alone, to see that the chosen one is the fastest."""
    grid = probe_grids(model.info.make_codec(), HAND, 1).to(device)
    found: dict[str, Any] = {}
    ways: dict[str, tuple[torch.dtype, bool, bool, bool]] = {
        # precision, wide stem, recorded, compiled
        'float16_wide_recorded': (torch.float16, True, True, False),
        'float16_plain_stem_recorded': (torch.float16, False, True, False),
        'bfloat16_wide_recorded': (torch.bfloat16, True, True, False),
        'float32_wide_recorded': (torch.float32, True, True, False),
        'float16_wide_not_recorded': (torch.float16, True, False, False),
        'float16_wide_compiled_recorded': (torch.float16, True, True, True),
    }
    for name, (precision, wide, recorded, compiled) in ways.items():
        try:
            folded = fold_normalisation(model.network)
            run = prepare_network(folded, device, precision, wide)
            if compiled:
                run = torch.compile(run)
            with torch.inference_mode():
                if compiled:
                    run(grid)
                call = Replay(run, grid.clone()) if recorded else run

                def once(call: Any = call) -> None:
                    call(grid)
                    torch.cuda.synchronize(device)

                found[name] = timed(once, seconds / 2)
        except Exception as error:  # a compiler may be missing
            found[name] = f'{type(error).__name__}: {str(error)[:300]}'
    for batch in (1, 4, 16, 64):
        run = prepare_network(fold_normalisation(model.network), device, torch.float16)
        with torch.inference_mode():
            replay = Replay(run, grid.repeat(batch, 1, 1, 1, 1))

            def once(replay: Any = replay) -> None:
                replay._graph.replay()
                torch.cuda.synchronize(device)

            found[f'batch_{batch}'] = timed(once, seconds / 2)
    return found


if __name__ == '__main__':
    main()
