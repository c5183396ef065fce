"""What the filter costs and gives: jitter of a hand at rest, lag behind one that moves.

    .venv/bin/python benchmarks/filter_lag.py [--hands 32] [--joints FILE.npz] [--json FILE]

Hands keep their poses before two cameras and four kinds of sensor noise, at rest and carried to
and fro along x at 1 Hz.  The network follows them as in the node; every setting of the filter then
gets the same joints.  Nothing here depends on how fast the machine is, but following takes up to a
minute for a hand; with --joints the joints are kept in a file and not estimated again.

* jitter: root mean square distance of the five fingertips from their mean places, at rest;
* lag: how much later than without a filter the fingertips turn when the hand is carried, from the
  phases at 1 Hz, and when fingers flex: the joints of the hand at rest, noise and all, with 20 mm
  at 1 Hz added to the fingertips, and less to the joints before them.

All are given as median and 90th percentile over the hands, jitter also as root mean square over
the fingertips of all hands.  Teleoperation wants less than 1.5 mm of that, and of lag less than
40 ms in the median.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.defaults import FILTER_BETA, FILTER_MIN_CUTOFF
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.filters import OneEuroFilter, OneEuroOptions
from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.synthesis.cameras import kinect, sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.synthesis.sensors import FAMILIES, observe, SensorSettings
from v2v_pose_ros.tracking import Tracker

RATE = 30  # frames per second
FREQUENCY = 1.0  # Hz
AMPLITUDE = 0.05  # metres to each side
SECONDS = {'rest': 3.5, 'carried': 2.5}
SETTLING = 1.0  # s until filters have forgotten how they began
MARGIN = 0.09  # metres about the joints that the network may look at
TIPS = HAND.indices([f'{finger}_tip' for finger in FINGERS])
FLEXED = {'tip': 0.02, 'dip': 0.012, 'pip': 0.005}  # metres
WANTED = 1.5, 40.0  # mm, ms
SENSORS = ('synthetic_camera', *FAMILIES)

SETTINGS: tuple[OneEuroOptions | None, ...] = (
    None,
    OneEuroOptions(FILTER_MIN_CUTOFF, FILTER_BETA),
    *(OneEuroOptions(cutoff, beta) for cutoff in (1, 2, 4) for beta in (25, 50, 100, 200)),
    *(OneEuroOptions(cutoff, beta, 2.0) for cutoff in (1, 2) for beta in (50, 100)),
)

Joints = dict[str, np.ndarray]


class CarriedHand(HandCameraScene):
    """A hand that keeps a pose of the camera's scene, and is where it is put along x."""

    def __init__(self, number: int, noise: bool) -> None:
        """Draw a hand; noise is whether frames are as the synthetic camera measures them."""
        super().__init__(sr305() if number % 2 else kinect(), seed=number, noise=noise)
        self._pose, self.shift = 1.6 * (1 + number % 3), 0.0  # where motion has reached a pose
        motion = self._motion
        self._motion = lambda _: motion(self._pose)

    def placement(self, time: float, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hand's rotation [3, 3] and its wrist's position [3] at a time."""
        rotation, wrist = super().placement(self._pose, angles)
        return rotation, wrist + torch.tensor([self.shift, 0.0, 0.0])


def frames(number: int, amplitude: float, count: int) -> Iterator[tuple[np.ndarray, Camera]]:
    """Yield consecutive depth images of a hand through its sensor, and their camera.

    Of the full sensor models, only the part of the image about the hand is made.
    """
    sensor = SENSORS[number % len(SENSORS)]
    hand = CarriedHand(number, noise=sensor not in FAMILIES)
    shifts = [amplitude * math.sin(math.tau * FREQUENCY * n / RATE) for n in range(count)]
    if sensor not in FAMILIES:
        for n, hand.shift in enumerate(shifts):
            yield hand.frame(n / RATE)[0], hand.camera
        return
    generator = torch.Generator().manual_seed(1000 + number)
    family = torch.tensor([FAMILIES.index(sensor)])
    settings = SensorSettings.sample(1, generator, family)
    exact, joints = hand.frame(0.0)
    rows, columns, camera = _window(hand.camera, joints, amplitude)
    for n, hand.shift in enumerate(shifts):
        depth = hand.frame(n / RATE)[0] if amplitude else exact
        part = torch.from_numpy(np.ascontiguousarray(depth[rows, columns]))[None]
        yield observe(part, torch.tensor([camera.fx]), settings, generator)[0].numpy(), camera


def _window(camera: Camera, joints: np.ndarray, amplitude: float) -> tuple[slice, slice, Camera]:
    """Return the rows and columns about joints [21, 3] that move, and the camera of that part."""
    pixels, nearest = camera.project(joints), joints[:, 2].min()
    reach = (abs(amplitude) + MARGIN) * camera.fx / nearest, MARGIN * camera.fy / nearest
    left, top = (max(int(pixels[:, k].min() - reach[k]), 0) for k in (0, 1))
    right = min(int(pixels[:, 0].max() + reach[0]), camera.width)
    bottom = min(int(pixels[:, 1].max() + reach[1]), camera.height)
    part = Camera(
        right - left, bottom - top, camera.fx, camera.fy, camera.cx - left, camera.cy - top
    )
    return slice(top, bottom), slice(left, right), part


def follow(estimator: PoseEstimator, number: int, motion: str) -> Joints:
    """Return positions [T, 21, 3] and covariances [T, 21, 3, 3]; NaN where no hand was found."""
    tracker, count = Tracker(estimator), round(SECONDS[motion] * RATE)
    positions = np.full((count, len(HAND), 3), np.nan, np.float32)
    covariances = np.full((count, len(HAND), 3, 3), np.nan, np.float32)
    amplitude = AMPLITUDE if motion == 'carried' else 0.0
    for n, (depth, camera) in enumerate(frames(number, amplitude, count)):
        if skeletons := tracker(depth, camera, n / RATE).skeletons:
            positions[n], covariances[n] = skeletons[0].positions, skeletons[0].covariances
    return {'positions': positions, 'covariances': covariances}


def flexed(rest: Joints) -> Joints:
    """Return the joints of a hand at rest with fingers that move along x at 1 Hz."""
    moved = rest['positions'].astype(float)
    wave = np.sin(math.tau * FREQUENCY * np.arange(len(moved)) / RATE)
    for joint, name in enumerate(HAND.names):
        moved[:, joint, 0] += FLEXED.get(name.split('_')[-1], 0.0) * wave
    return {**rest, 'positions': moved}


def filtered(joints: Joints, options: OneEuroOptions | None) -> np.ndarray:
    """Return fingertips [T, 5, 3] as a node with this filter publishes them, settled."""
    positions = joints['positions']
    if options is not None:
        smooth, positions = OneEuroFilter(options), positions.copy()
        for n in np.flatnonzero(np.isfinite(positions[:, 0, 0])):
            positions[n] = smooth(positions[n], n / RATE, joints['covariances'][n])
    return positions[round(SETTLING * RATE) :, TIPS]


def jitter(tips: np.ndarray) -> float:
    """Return the root mean square distance of fingertips from their mean places, millimetres."""
    away = tips - np.nanmean(tips, axis=0)
    return 1e3 * math.sqrt(np.nanmean((away**2).sum(-1)))


def swing(tips: np.ndarray) -> tuple[float, float]:
    """Return amplitude (m) and phase (s) of the fingertips' mean motion along x at 1 Hz."""
    x = tips[..., 0].mean(-1)
    seen = np.isfinite(x)
    angle = math.tau * FREQUENCY * np.arange(len(x))[seen] / RATE
    waves = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], 1)
    sine, cosine, _ = np.linalg.lstsq(waves, x[seen], rcond=None)[0]
    return math.hypot(sine, cosine), math.atan2(cosine, sine) / (math.tau * FREQUENCY)


def lag(joints: Joints, options: OneEuroOptions | None) -> float:
    """Return how much later than without a filter the fingertips turn, milliseconds."""
    return 1e3 * (swing(filtered(joints, None))[1] - swing(filtered(joints, options))[1])


def row(
    options: OneEuroOptions | None, rest: list[Joints], carried: list[Joints]
) -> dict[str, float | None]:
    """Return jitter and lags of a setting over the hands."""
    jitters = [jitter(filtered(each, options)) for each in rest]
    measured = {
        'jitter_mm': jitters,
        'lag_carried_ms': [lag(each, options) for each in carried],
        'lag_flexed_ms': [lag(flexed(each), options) for each in rest],
    }
    return {
        'min_cutoff_hz': options.min_cutoff if options else None,
        'beta_hz_per_m_s': options.beta if options else None,
        'derivative_cutoff_hz': options.derivative_cutoff if options else None,
        **{
            f'{name}_p{percent}': round(float(np.percentile(values, percent)), 2)
            for name, values in measured.items()
            for percent in (50, 90)
        },
        'jitter_mm_rms': round(math.sqrt(np.mean(np.square(jitters))), 2),
        'jitter_mm_max': round(max(jitters), 2),
        'within_wanted': round(float(np.mean(np.array(jitters) < WANTED[0])), 3),
    }


def line(figures: dict[str, float | None]) -> str:
    """Return a row of the table; a star for what is wanted."""
    name = 'no filter'
    if figures['min_cutoff_hz'] is not None:
        cutoff, beta = figures['min_cutoff_hz'], figures['beta_hz_per_m_s']
        name = f'{cutoff:4.1f} Hz {beta:6.0f} {figures["derivative_cutoff_hz"]:8.1f} Hz'
    cells = [
        f'{figures[f"{kind}_p50"]:6.{digits}f} {figures[f"{kind}_p90"]:6.{digits}f}'
        for kind, digits in (('jitter_mm', 2), ('lag_carried_ms', 0), ('lag_flexed_ms', 0))
    ]
    lags = figures['lag_carried_ms_p50'], figures['lag_flexed_ms_p50']
    good = figures['jitter_mm_rms'] < WANTED[0] and max(lags) < WANTED[1]
    hands = f'{figures["jitter_mm_rms"]:5.2f} {figures["within_wanted"]:6.0%}'
    return f'{name:27s} {"   ".join(cells)}   {hands}{"  *" if good else ""}'


def estimated(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return the joints of all hands by `number/motion/what`, from the file if it has them."""
    known: dict[str, np.ndarray] = {}
    if options.joints and options.joints.exists():
        with np.load(options.joints) as stored:
            known = {name: stored[name] for name in stored.files}
    torch.set_num_threads(1)
    estimator = None
    for number in range(options.hands):
        for motion in SECONDS:
            if f'{number}/{motion}/positions' in known:
                continue
            estimator = estimator or PoseEstimator.load(options.model)
            for what, values in follow(estimator, number, motion).items():
                known[f'{number}/{motion}/{what}'] = values
            if options.joints:
                np.savez(options.joints, **known)
            print(f'hand {number + 1} of {options.hands}, {motion}, was followed', flush=True)
    return known


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='hand_lite')
    parser.add_argument('--hands', type=int, default=32, help='how many are looked at')
    parser.add_argument('--joints', type=Path, help='a file (.npz) that keeps what was estimated')
    parser.add_argument('--json', type=Path, help='write the figures there, too')
    options = parser.parse_args()
    known = estimated(options)

    def joints(motion: str) -> list[Joints]:
        return [
            {what: known[f'{n}/{motion}/{what}'] for what in ('positions', 'covariances')}
            for n in range(options.hands)
        ]

    rest, carried = joints('rest'), joints('carried')
    unseen = [np.isnan(each['positions'][:, 0, 0]).mean() for each in (*rest, *carried)]
    rows = [row(setting, rest, carried) for setting in SETTINGS]
    print(f'{options.model}, {options.hands} hands, {RATE} frames per second')
    print('                              jitter, mm       lag, carried    lag, flexed  jitter')
    print(
        'min_cutoff   beta derivative  median   90 %    median   90 %   median   90 %'
        '     rms < 1.5 mm'
    )
    print('\n'.join(line(each) for each in rows))
    print(f'* rms less than {WANTED[0]} mm with a median lag of less than {WANTED[1]:.0f} ms')
    print(f'frames without a hand: {np.mean(unseen):.1%}')
    if options.json:
        report = {'model': options.model, 'hands': options.hands, 'rows': rows}
        options.json.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
