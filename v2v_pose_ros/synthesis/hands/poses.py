"""Hand poses: joint limits, everyday gestures, random fingers, and motion between them."""

from __future__ import annotations

from collections.abc import Sequence
import math

import torch
from torch import Tensor

from v2v_pose_ros.synthesis.hands.angles import ANGLES, DEGREES
from v2v_pose_ros.synthesis.hands.model import HandModel, HandShape
from v2v_pose_ros.synthesis.poses import PoseSampler

LIMITS = torch.deg2rad(torch.tensor(DEGREES, dtype=torch.float32))
"""[22, 2] lowest and highest angle of each joint in radians."""

# Curl of thumb, index, middle, ring and little finger (0 straight, 1 in the palm); how the thumb
# lies (flexion, abduction, degrees), and how far the fingers spread (degrees at the outer ones).
GESTURES: dict[str, tuple[tuple[float, ...], tuple[float, float], float]] = {
    'open': ((0.05, 0.0, 0.0, 0.0, 0.0), (-10, 0), 12),
    'flat': ((0.05, 0.05, 0.05, 0.05, 0.05), (10, -15), 0),
    'relaxed': ((0.25, 0.3, 0.35, 0.4, 0.42), (5, 5), 3),
    'fist': ((0.7, 0.95, 1.0, 1.0, 1.0), (25, 20), -3),
    'point': ((0.6, 0.02, 0.95, 1.0, 1.0), (20, 20), 0),
    'two': ((0.7, 0.0, 0.0, 0.95, 1.0), (28, 25), 14),
    'three': ((0.7, 0.0, 0.0, 0.0, 0.95), (28, 25), 10),
    'three_thumb': ((0.0, 0.0, 0.0, 0.95, 1.0), (-15, -5), 10),
    'four': ((0.65, 0.0, 0.0, 0.0, 0.0), (30, 15), 9),
    'thumb_up': ((0.0, 0.95, 1.0, 1.0, 1.0), (-20, -10), 0),
    'gun': ((0.0, 0.0, 0.95, 1.0, 1.0), (-20, -5), 0),
    'horns': ((0.6, 0.0, 0.95, 0.95, 0.0), (25, 22), 8),
    'shaka': ((0.0, 0.9, 0.95, 0.9, 0.0), (-20, -5), 10),
    'pinch': ((0.35, 0.5, 0.25, 0.2, 0.15), (10, 28), 4),
    'ok': ((0.35, 0.52, 0.05, 0.0, 0.0), (10, 28), 10),
    'tripod': ((0.35, 0.48, 0.5, 0.6, 0.65), (12, 28), 2),
    'claw': ((0.35, 0.45, 0.45, 0.45, 0.45), (0, 15), 10),
    'cylinder': ((0.35, 0.55, 0.58, 0.6, 0.62), (5, 32), 2),
    'sphere': ((0.3, 0.38, 0.4, 0.4, 0.4), (-5, 30), 12),
    'card': ((0.15, 0.55, 0.6, 0.65, 0.7), (18, 0), 0),
    'hook': ((0.15, 0.6, 0.6, 0.6, 0.6), (0, -5), 0),
    'tabletop': ((0.2, 0.5, 0.5, 0.5, 0.5), (5, 10), 0),
}
CLOSED = ('fist', 'point', 'thumb_up', 'hook', 'cylinder', 'card', 'tripod', 'pinch')
"""Gestures of a hand that closes, whose fingers hide each other."""
_NAMES = tuple(GESTURES)


def _column(name: str) -> int:
    return ANGLES.index(name)


def angles_from_curl(curl: Tensor, hook: Tensor, thumb: Tensor, spread: Tensor) -> Tensor:
    """Turn a few numbers a finger into all joint angles.

    Args:
        curl: [B, 5], 0 straight to 1 in the palm, thumb first.
        hook: [B, 5] in -1..1: which joints bend first, the knuckle (-1) or the outer two (1).
        thumb: [B, 2] flexion and abduction of the thumb's first joint, radians.
        spread: [B, 5] abduction of the fingers, radians; the first column is not used.

    Returns:
        Angles [B, 22] in radians, not yet clamped.
    """
    angles = torch.zeros(len(curl), len(ANGLES), device=curl.device)
    angles[:, 2:4] = thumb
    angles[:, 4] = math.radians(60) * curl[:, 0]
    angles[:, 5] = math.radians(75) * curl[:, 0] * (1 + 0.4 * hook[:, 0])
    for finger in range(1, 5):
        base = 2 + 4 * finger
        bend, first = curl[:, finger], hook[:, finger]
        knuckle = bend * (1 - 0.75 * first.clamp(0)) - 0.25 * bend.clamp(0, 0.5) * first.clamp(0)
        outer = bend * (1 + 0.8 * first.clamp(max=0))
        angles[:, base] = math.radians(82) * knuckle
        angles[:, base + 1] = spread[:, finger] * (1 - 0.7 * bend.clamp(0, 1))
        angles[:, base + 2] = math.radians(102) * outer
        angles[:, base + 3] = 0.62 * angles[:, base + 2]
    return angles


class HandPoseSampler(PoseSampler):
    """Draws joint angles [B, 22] of hands.

    Two fifths are gestures, the rest free or between two poses; a share of `closed` hands is put
    in their place.
    """

    tolerance = 0.004

    def __init__(
        self,
        model: HandModel,
        generator: torch.Generator,
        gestures: Sequence[str] = (),
        closed: float = 0.0,
    ) -> None:
        """Remember the hand and the source of randomness (on the hand's device).

        Args:
            model: the hand.
            generator: on the hand's device.
            gestures: of GESTURES; these alone are drawn; all, and free poses, by default.
            closed: share of gestures of CLOSED on top.
        """
        super().__init__(generator, LIMITS)
        self.model, self.closed = model, closed
        self._all = torch.arange(len(_NAMES), device=self.device)
        self._closed = torch.tensor([_NAMES.index(name) for name in CLOSED], device=self.device)
        self._only = torch.tensor([_NAMES.index(name) for name in gestures], device=self.device)
        self._curl = torch.tensor([GESTURES[n][0] for n in _NAMES], device=self.device)
        self._thumb = torch.deg2rad(
            torch.tensor([GESTURES[n][1] for n in _NAMES], device=self.device, dtype=torch.float32)
        )
        self._spread = torch.tensor(
            [math.radians(GESTURES[n][2]) for n in _NAMES], device=self.device
        )

    def draw(self, count: int) -> Tensor:
        """Return angles [B, 22] whose fingers may lie inside each other."""
        if len(self._only):
            return self.clamp(self._gestures(count, self._only))
        gesture, free = self._gestures(count, self._all), self._free(count)
        kind = self.draws.uniform(count)
        mix = self.draws.uniform(count, 1)
        between = mix * gesture + (1 - mix) * self._gestures(count, self._all)
        angles = torch.where((kind < 0.4)[:, None], gesture, free)
        angles = torch.where((kind > 0.8)[:, None], between, angles)
        if self.closed:
            closes = self.draws.chance(self.closed, count, 1)
            angles = torch.where(closes, self._gestures(count, self._closed), angles)
        return self.clamp(angles)

    def _gestures(self, count: int, among: Tensor) -> Tensor:
        pick = among[self.draws.choice(len(among), count)]
        fan = torch.tensor([0.0, 1.0, 0.2, -0.5, -1.2], device=self.device)
        spread = (self._spread[pick, None] + 0.07 * self.draws.normal(count, 1)) * fan
        curl = self._curl[pick] + 0.08 * self.draws.normal(count, 5)
        angles = angles_from_curl(
            curl,
            0.35 * self.draws.normal(count, 5).clamp(-2, 2),
            self._thumb[pick] + math.radians(8) * self.draws.normal(count, 2),
            spread + 0.04 * self.draws.normal(count, 5),
        )
        return self._finish(angles, 0.06)

    def _free(self, count: int) -> Tensor:
        shared = self.draws.uniform(count, 1)
        own = self.draws.uniform(count, 5)
        weight = self.draws.uniform(count, 1)
        curl = (weight * shared + (1 - weight) * own) * 1.1 - 0.08
        straight = self.draws.uniform(count, 5) < 0.25
        curl = torch.where(straight, 0.1 * self.draws.normal(count, 5), curl)
        hook = (self.draws.uniform(count, 1) * 2 - 1) * 0.7 + 0.5 * self.draws.normal(count, 5)
        low, high = self.limits[2:4, 0], self.limits[2:4, 1]
        thumb = low + (high - low) * self.draws.uniform(count, 2)
        fan = torch.tensor([0.0, 1.0, 0.2, -0.5, -1.2], device=self.device)
        spread = 0.14 * (self.draws.normal(count, 1) + 0.4) * fan + 0.06 * self.draws.normal(
            count, 5
        )
        return self._finish(angles_from_curl(curl, hook.clamp(-1, 1), thumb, spread), 0.1)

    def _finish(self, angles: Tensor, noise: float) -> Tensor:
        """Add joint noise and a wrist to angles [B, 22]."""
        angles = angles + noise * self.draws.normal(*angles.shape)
        angles[:, 0] = math.radians(22) * self.draws.normal(len(angles))
        angles[:, 1] = math.radians(10) * self.draws.normal(len(angles)) - 0.05
        return angles

    def penetration(self, angles: Tensor) -> Tensor:
        """Return [B] how deep (m) fingers lie inside fingers or the palm, by capsules."""
        mesh = self.model(HandShape.mean(len(angles), self.model.components, self.device), angles)
        joints = mesh.joints
        points, radius, owner = [], [], []
        for finger in range(5):
            chain = [1 + finger, *range(6 + 3 * finger, 9 + 3 * finger)]
            for bone in range(3):
                if finger == 0 and bone == 0:
                    continue  # inside the palm
                a, b = joints[:, chain[bone]], joints[:, chain[bone + 1]]
                for t in (0.35, 0.7, 1.0):
                    points.append(a + t * (b - a))
                    radius.append((0.0095, 0.008, 0.007)[bone] if finger else 0.009)
                    owner.append((finger, bone))
        for finger in range(1, 5):  # the palm, as rays under its front
            for t in (0.3, 0.55, 0.8):
                points.append(
                    t * joints[:, 1 + finger]
                    + torch.tensor([-0.006, 0.0, 0.0], device=self.device)
                )
                radius.append(0.012)
                owner.append((5, finger))
        cloud = torch.stack(points, 1)
        radii = torch.tensor(radius, device=self.device)
        fingers = torch.tensor([o[0] for o in owner], device=self.device)
        apart = fingers[:, None] != fingers[None]
        # A finger's first bone grows out of the palm.
        first = torch.tensor([o[1] == 0 and o[0] < 5 for o in owner], device=self.device)
        palm = fingers == 5
        apart &= ~(first[:, None] & palm[None]) & ~(palm[:, None] & first[None])
        # Neighbours' first bones touch at the web.
        apart &= ~(first[:, None] & first[None])
        overlap = radii[:, None] + radii[None] - torch.cdist(cloud, cloud)
        return torch.where(apart, overlap, overlap.new_zeros(())).flatten(1).amax(1).clamp(0)
