"""What depth cameras do to depth: each effect a function, three families of sensors that mix them.

All functions take and return depth [B, rows, columns] in metres, 0 = no measurement, and draw from
a generator on the same device.  Sources: Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise",
3DIMPVT 2012 (axial and lateral noise, grazing angles); Mallick, Das and Majumdar,
"Characterizations of noise in Kinect depth images", IEEE Sensors 2014 (shadow, holes,
quantisation); Keselman et al., "Intel RealSense stereoscopic depth cameras", CVPRW 2017 (stereo
error); Sarbolandi, Lefloch and Kolb, "Kinect range sensing", CVIU 2015 (flying pixels of time of
flight).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

FAMILIES = ('structured_light', 'stereo', 'time_of_flight')
EDGE = 0.015
"""Metres: on a hand, a larger step between neighbouring pixels is the edge of an object."""


def _uniform(shape: tuple[int, ...], low: float, high: float, g: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=g, device=g.device)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None]


@dataclass(frozen=True)
class SensorSettings:
    """Strength of every effect for B images, each [B]; zero switches an effect off.

    Attributes:
        jitter: lateral noise, standard deviation in pixels.
        axial: range noise at 1 m, metres; grows with the square of the distance.
        axial_floor: range noise that does not depend on distance, metres.
        bumps: slow range error at 1 m over patches of about ten pixels, metres.
        disparity_step: quantisation of 1 / z, 1 / metres.
        baseline: between projector (or second camera) and camera, metres, signed; the shadow.
        edge_loss: share of the pixels at depth edges that are lost.
        grazing: tangent of the view angle beyond which surfaces are lost.
        holes: share of single pixels lost.
        patches: share of the image lost in patches.
        flying: share of edge pixels that float between the two surfaces.
        fattening: share of edges where the nearer surface grows by a pixel.
    """

    jitter: Tensor
    axial: Tensor
    axial_floor: Tensor
    bumps: Tensor
    disparity_step: Tensor
    baseline: Tensor
    edge_loss: Tensor
    grazing: Tensor
    holes: Tensor
    patches: Tensor
    flying: Tensor
    fattening: Tensor

    @classmethod
    def sample(
        cls, batch: int, generator: torch.Generator, family: Tensor | None = None
    ) -> SensorSettings:
        """Draw sensors; family [B] holds indices into FAMILIES, random by default."""
        if family is None:
            family = torch.randint(3, (batch,), generator=generator, device=generator.device)
        light, stereo, flight = ((family == k).float() for k in range(3))

        def draw(low: float, high: float) -> Tensor:
            return _uniform((batch,), low, high, generator)

        side = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        return cls(
            jitter=draw(0, 0.8) * (light + stereo) + draw(0, 0.25) * flight,
            axial=draw(0.0003, 0.002) * light
            + draw(0.0004, 0.003) * stereo
            + draw(0.0, 0.002) * flight,
            axial_floor=draw(0.0, 0.0003) * (light + stereo) + draw(0.0003, 0.003) * flight,
            bumps=draw(0.0, 0.002) * light
            + draw(0.001, 0.008) * stereo
            + draw(0.0, 0.002) * flight,
            disparity_step=draw(0.0002, 0.002) * (light + stereo),
            baseline=side * (draw(0.02, 0.08) * light + draw(0.015, 0.06) * stereo),
            edge_loss=draw(0.0, 0.8) * light + draw(0.0, 0.4) * stereo + draw(0.0, 0.5) * flight,
            grazing=draw(2.0, 6.0) * light + draw(2.5, 8.0) * stereo + draw(3.0, 9.0) * flight,
            holes=0.015 * draw(0.0, 1.0) ** 4,
            patches=draw(0.0, 0.008) * light
            + draw(0.0, 0.02) * stereo
            + draw(0.0, 0.005) * flight,
            flying=draw(0.0, 0.6) * flight + draw(0.0, 0.1) * light,
            fattening=draw(0.0, 0.7) * stereo,
        )


def observe(
    depth: Tensor,
    focal: Tensor,
    settings: SensorSettings,
    generator: torch.Generator,
    edge_step: float = EDGE,
) -> Tensor:
    """Turn true depth into what the sensors measure, in the order light takes.

    Args:
        depth: [B, rows, columns] metres, 0 = nothing there.
        focal: [B] focal length in pixels.
        settings: the sensors.
        generator: source of randomness on the same device.
        edge_step: metres; a larger step between neighbouring pixels is the edge of an object.
    """
    observed = lateral_jitter(depth, settings.jitter, generator)
    observed = edge_fattening(observed, settings.fattening, generator, edge_step)
    shadow = occluded_from(observed, focal, settings.baseline)
    graze = grazing_loss(observed, focal, settings.grazing, generator)
    edge = is_edge(observed, edge_step)
    observed = flying_pixels(observed, edge, settings.flying, generator)
    observed = range_noise(observed, settings, generator)
    observed = quantise(observed, settings.disparity_step)
    noise = torch.rand(observed.shape, generator=generator, device=depth.device)
    lost = (edge & (noise < _per_image(settings.edge_loss))) | shadow | graze
    lost |= torch.rand(observed.shape, generator=generator, device=depth.device) < _per_image(
        settings.holes
    )
    lost |= patches(observed, settings.patches, generator)
    return torch.where(lost, 0.0, observed)


def lateral_jitter(depth: Tensor, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Read every pixel from a place a little beside it: ragged outlines."""
    batch, rows, columns = depth.shape
    shift = torch.randn((2, *depth.shape), generator=generator, device=depth.device)
    shift = (shift * _per_image(pixels)).round().long()
    y = torch.arange(rows, device=depth.device)[:, None]
    x = torch.arange(columns, device=depth.device)
    index = (y + shift[0]).clamp(0, rows - 1) * columns + (x + shift[1]).clamp(0, columns - 1)
    return depth.flatten(1).gather(1, index.flatten(1)).view(batch, rows, columns)


def _neighbour_range(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest and farthest depth of each 3x3 neighbourhood, nothing being far away."""
    far = torch.where(depth > 0, depth, 100.0)
    padded = functional.pad(far[None], (1, 1, 1, 1), mode='replicate')[0]
    return _of_three(padded, torch.minimum), _of_three(padded, torch.maximum)


def _of_three(padded: Tensor, choose: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Choose in 3x3 neighbourhoods, a tenth of the time of a pooling on a CPU."""
    rows = choose(choose(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return choose(choose(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])


def is_edge(depth: Tensor, step: float = EDGE) -> Tensor:
    """Return where measured pixels have a neighbour on another surface."""
    nearest, farthest = _neighbour_range(depth)
    return (depth > 0) & (farthest - nearest > step)


def edge_fattening(
    depth: Tensor, share: Tensor, generator: torch.Generator, step: float = EDGE
) -> Tensor:
    """Grow nearer surfaces by a pixel, as block matching does, in patches."""
    nearest, farthest = _neighbour_range(depth)
    grow = (farthest - nearest > step) & (nearest < 100.0)
    grow &= _slow_noise(depth, 6, generator).sigmoid() < _per_image(share)
    return torch.where(grow, nearest, depth)


def occluded_from(depth: Tensor, focal: Tensor, baseline: Tensor) -> Tensor:
    """Return the pixels that a projector beside the camera does not light.

    A pixel at column u appears at u + f b / z in a projector to the left; walking away from it,
    whatever does not go beyond the farthest place reached so far lies in a shadow.
    """
    columns = torch.arange(depth.shape[2], device=depth.device, dtype=depth.dtype)
    disparity = _per_image(focal * baseline.abs()) / depth.clamp(min=0.05)
    mirrored = _per_image(baseline < 0)
    disparity = torch.where(mirrored, disparity.flip(2), disparity)
    measured = torch.where(mirrored, depth.flip(2), depth) > 0
    place = torch.where(measured, columns + disparity, -1e9)
    reached = place.cummax(2).values
    shadow = measured & (place < reached - 0.75) & (_per_image(baseline) != 0)
    return torch.where(mirrored, shadow.flip(2), shadow)


def grazing_loss(
    depth: Tensor, focal: Tensor, tangent: Tensor, generator: torch.Generator
) -> Tensor:
    """Return the pixels lost because the surface is seen at a grazing angle."""
    slope_x = functional.pad(depth[:, :, 2:] - depth[:, :, :-2], (1, 1)) / 2
    slope_y = functional.pad(depth[:, 2:] - depth[:, :-2], (0, 0, 1, 1)) / 2
    slope = torch.hypot(slope_x, slope_y) * _per_image(focal) / depth.clamp(min=0.05)
    noise = torch.rand(depth.shape, generator=generator, device=depth.device)
    return (depth > 0) & (slope > _per_image(tangent) * (0.7 + 0.6 * noise))


def flying_pixels(
    depth: Tensor, edge: Tensor, share: Tensor, generator: torch.Generator
) -> Tensor:
    """Let pixels at edges float between the nearer and the farther surface."""
    nearest, farthest = _neighbour_range(depth)
    farthest = torch.where(farthest > 99.0, nearest + 0.15, farthest)
    mix = torch.rand((2, *depth.shape), generator=generator, device=depth.device)
    floating = nearest + mix[0] ** 2 * (farthest - nearest).clamp(max=0.3)
    return torch.where(edge & (mix[1] < _per_image(share)), floating, depth)


def range_noise(depth: Tensor, settings: SensorSettings, generator: torch.Generator) -> Tensor:
    """Add range noise that grows with the square of the distance, pixel by pixel and slow."""
    square = depth**2
    fine = torch.randn(depth.shape, generator=generator, device=depth.device)
    sigma = _per_image(settings.axial_floor) + _per_image(settings.axial) * square
    bumps = _slow_noise(depth, 8, generator) * _per_image(settings.bumps) * square
    return torch.where(depth > 0, (depth + sigma * fine + bumps).clamp(min=0.01), 0.0)


def quantise(depth: Tensor, step: Tensor) -> Tensor:
    """Round 1 / z to the sensor's disparity steps, then z to millimetres."""
    step = _per_image(step)
    inverse = 1 / depth.clamp(min=0.01)
    coarse = 1 / ((inverse / step.clamp(min=1e-6)).round() * step).clamp(min=1e-3)
    value = torch.where(step > 0, coarse, depth)
    return torch.where(depth > 0, (value * 1000).round() / 1000, 0.0)


def patches(depth: Tensor, share: Tensor, generator: torch.Generator) -> Tensor:
    """Return patches of lost pixels that cover about a share of the image."""
    # A threshold on standard normal noise; the normal quantile of small shares.
    threshold = torch.special.ndtri(1 - share.clamp(1e-7, 0.5))
    return _slow_noise(depth, 7, generator) > _per_image(threshold)


def _slow_noise(depth: Tensor, cell: int, generator: torch.Generator) -> Tensor:
    """Return roughly unit normal noise [B, rows, columns] that varies over `cell` pixels."""
    batch, rows, columns = depth.shape
    shape = (batch, 1, rows // cell + 2, columns // cell + 2)
    coarse = torch.randn(shape, generator=generator, device=depth.device)
    fine = functional.interpolate(coarse, size=(rows, columns), mode='bilinear')
    return fine[:, 0] * 1.4
