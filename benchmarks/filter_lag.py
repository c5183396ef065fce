"""What the One Euro filter costs and gives: jitter of a hand at rest, lag behind one that moves.

    .venv/bin/python benchmarks/filter_lag.py [--json FILE]

The synthetic camera, with a sensor's noise, looks at hands that keep their poses: at rest, and
carried to and fro along x at 1 Hz.  The network follows them as in the node; every setting of the
filter then gets the same joints.  Nothing here depends on how fast the machine is.

* jitter: root mean square distance of the five fingertips from their mean places, at rest: the
  mean over the hands, and the worst hand, where the network wavers between two answers;
* lag: how much later than without a filter the fingertips turn, from the phases at 1 Hz;
* gain: how far they go, against without a filter; 1 is as far.

Teleoperation wants less than 1.5 mm of jitter with less than 40 ms of lag.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.defaults import FILTER_BETA, FILTER_MIN_CUTOFF
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.filters import OneEuroFilter, OneEuroOptions
from v2v_pose_ros.skeletons import FINGERS, HAND
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene
from v2v_pose_ros.tracking import Tracker

RATE = 30  # frames per second
FREQUENCY = 1.0  # Hz
SETTLING = 1.0  # s until filters have forgotten how they began
TIPS = HAND.indices([f'{finger}_tip' for finger in FINGERS])
WANTED = 1.5, 40.0  # mm, ms

SETTINGS: tuple[OneEuroOptions | None, ...] = (
    None,
    OneEuroOptions(FILTER_MIN_CUTOFF, FILTER_BETA),
    *(OneEuroOptions(cutoff, beta) for cutoff in (0.5, 1, 2, 4) for beta in (10, 20, 40)),
    *(OneEuroOptions(cutoff, beta, 2.0) for cutoff in (0.5, 1, 2) for beta in (10, 20, 40)),
)


class CarriedHand(HandCameraScene):
    """A hand that keeps its pose and is carried along x; only the noise is new in every frame."""

    def __init__(self, pose: float, amplitude: float) -> None:
        """Take the pose of a moment of the camera's scene.

        Args:
            pose: the moment, seconds.
            amplitude: how far the hand is carried to each side, metres.
        """
        super().__init__(sr305(), seed=round(pose * 10))
        self._pose, self._amplitude = pose, amplitude
        motion = self._motion
        self._motion = lambda _: motion(pose)

    def placement(self, time: float, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hand's rotation [3, 3] and its wrist's position [3] at a time."""
        rotation, wrist = super().placement(self._pose, angles)
        shift = self._amplitude * math.sin(math.tau * FREQUENCY * time)
        return rotation, wrist + torch.tensor([shift, 0.0, 0.0])


def follow(estimator: PoseEstimator, scene: HandCameraScene, seconds: float) -> np.ndarray:
    """Return estimated joints [T, 21, 3] of consecutive frames; those without a hand are NaN."""
    tracker, joints = Tracker(estimator), []
    for frame in range(round(seconds * RATE)):
        depth, _ = scene.frame(frame / RATE)
        skeletons = tracker(depth, scene.camera, frame / RATE).skeletons
        joints.append(skeletons[0].positions if skeletons else np.full((len(HAND), 3), np.nan))
    return np.array(joints)


def filtered(joints: np.ndarray, options: OneEuroOptions | None) -> np.ndarray:
    """Return fingertips [T, 5, 3] as a node with this filter publishes them, settled."""
    if options is not None:
        smooth = OneEuroFilter(options)
        joints = np.array(
            [
                smooth(positions, frame / RATE) if np.isfinite(positions).all() else positions
                for frame, positions in enumerate(joints)
            ]
        )
    return joints[round(SETTLING * RATE) :, TIPS]


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


def row(
    options: OneEuroOptions | None, rest: Sequence[np.ndarray], moved: Sequence[np.ndarray]
) -> dict[str, float | None]:
    """Return jitter, lag and gain of a setting, means over the poses."""
    lags, gains = [], []
    for joints in moved:
        (before, early), (after, late) = (
            swing(filtered(joints, each)) for each in (None, options)
        )
        lags.append(1e3 * (early - late))
        gains.append(after / before)
    jitters = [jitter(filtered(joints, options)) for joints in rest]
    return {
        'min_cutoff_hz': options.min_cutoff if options else None,
        'beta_hz_per_m_s': options.beta if options else None,
        'derivative_cutoff_hz': options.derivative_cutoff if options else None,
        'jitter_mm': round(float(np.mean(jitters)), 2),
        'worst_jitter_mm': round(max(jitters), 2),
        'lag_ms': round(float(np.mean(lags)), 1),
        'gain': round(float(np.mean(gains)), 3),
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='hand_lite')
    parser.add_argument('--poses', type=int, default=6, help='how many hands are looked at')
    parser.add_argument('--seconds', type=float, default=5.0, help='how long, each')
    parser.add_argument('--amplitude', type=float, default=0.05, help='metres to each side')
    parser.add_argument('--json', type=Path, help='write the figures there, too')
    options = parser.parse_args()
    torch.set_num_threads(1)
    estimator = PoseEstimator.load(options.model)
    rest, moved = [], []
    for number in range(options.poses):
        pose = 1.6 * number  # where the scene's motion has reached a drawn pose
        rest.append(follow(estimator, CarriedHand(pose, 0.0), options.seconds))
        moved.append(follow(estimator, CarriedHand(pose, options.amplitude), options.seconds))
        print(f'hand {number + 1} of {options.poses} was followed', flush=True)
    unseen = [float(np.isnan(each[:, 0, 0]).mean()) for each in (*rest, *moved)]
    rows = [row(setting, rest, moved) for setting in SETTINGS]
    print(f'{options.model}, {options.amplitude} m at {FREQUENCY:g} Hz, {RATE} frames per second')
    print('min_cutoff   beta  derivative   jitter   worst      lag   gain')
    for each in rows:
        setting = [each[name] for name in ('min_cutoff_hz', 'beta_hz_per_m_s')]
        name = 'no filter'
        if setting[0] is not None:
            name = f'{setting[0]:7.1f} Hz {setting[1]:6.0f} {each["derivative_cutoff_hz"]:8.1f} Hz'
        good = each['jitter_mm'] < WANTED[0] and each['lag_ms'] < WANTED[1]
        print(
            f'{name:29s} {each["jitter_mm"]:5.2f} mm {each["worst_jitter_mm"]:5.2f} mm '
            f'{each["lag_ms"]:5.1f} ms  {each["gain"]:5.3f}{"  *" if good else ""}'
        )
    print(f'* less than {WANTED[0]} mm with less than {WANTED[1]:.0f} ms')
    print(f'frames without a hand: {np.mean(unseen):.1%}')
    if options.json:
        report = {'model': options.model, 'amplitude_m': options.amplitude, 'rows': rows}
        options.json.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
