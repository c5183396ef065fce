"""From a depth image to joints on one device, with one wait.

The estimator's steps about a reference point (crop, voxels, network, decoding) as torch functions
of fixed shapes, so that a GPU runs them as one recording: the depth image goes up from pinned
memory, every pixel becomes a point, those outside the cube are masked, and a few numbers for each
joint come down.  On a CPU the same functions run one after the other, which is how they are
tested; there the NumPy path of the estimator is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.decoding import clean_covariances
from v2v_pose_ros.models import Model
from v2v_pose_ros.runtimes.flip_test import with_flip_test
from v2v_pose_ros.runtimes.gpu import prepare_network, Replay
from v2v_pose_ros.runtimes.torch_runtime import fast_precision, fold_normalisation
from v2v_pose_ros.voxels import VoxelCodec


@dataclass(frozen=True)
class CubeReading:
    """The joints in one cube, mean of the networks.

    Attributes:
        positions: [J, 3] metres, optical frame.
        confidences: [J].
        covariances: [J, 3, 3] square metres.
        voxels: occupied voxels; few mean that there is nothing.
    """

    positions: FloatArray
    confidences: FloatArray
    covariances: FloatArray
    voxels: int


class DevicePipeline:
    """One or several networks behind one depth image."""

    def __init__(
        self,
        models: Sequence[Model],
        device: torch.device,
        *,
        precision: torch.dtype | None = None,
        cube_size: float | None = None,
        mirror: bool = False,
        flip_test: bool = False,
    ) -> None:
        """Move the networks to the device.

        Args:
            models: one, or several whose joints are averaged.
            device: 'cuda:N', or 'cpu' for tests.
            precision: of the networks; half on a GPU and float32 on a CPU by default.
            cube_size: edge of the cube in metres; the models' own by default.
            mirror: whether left and right are swapped for the networks.
            flip_test: whether they see the cube of a symmetric subject in the mirror, too.
        """
        self.device = device
        if precision is None:
            precision = fast_precision(device) if device.type == 'cuda' else torch.float32
        self._networks: list[tuple[VoxelCodec, Callable[[Tensor], Tensor]]] = []
        for model in models:
            codec = model.info.make_codec()
            if cube_size:
                codec = replace(codec, cube_size=float(cube_size))
            network = prepare_network(fold_normalisation(model.network), device, precision)
            if flip_test:
                network = with_flip_test(network, model.info.get_skeleton().mirrored, device)
            self._networks.append((codec, network))
        self._calibrations = [model.info.make_calibration() for model in models]
        self._sign = -1.0 if mirror else 1.0
        self._mirroring = torch.tensor([self._sign, 1.0, 1.0], device=device)
        self._camera: Camera | None = None
        self._run: Callable[[Tensor, Tensor], Tensor] | None = None

    @torch.inference_mode()
    def __call__(self, depth: FloatArray, camera: Camera, centre: FloatArray) -> CubeReading:
        """Read the joints in the cube about a centre.

        Args:
            depth: [H, W] metres, 0 = no measurement.
            camera: the camera; the first image of another one takes longer.
            centre: [3] metres.
        """
        return self.finish(self.start(depth, camera, centre), centre)

    @torch.inference_mode()
    def start(self, depth: FloatArray, camera: Camera, centre: FloatArray) -> Tensor:
        """Start the work and return where the result will be; there is time for other things."""
        if self._run is None or camera != self._camera:
            self._prepare(camera)
        assert self._run is not None
        self._depth.numpy()[:] = depth  # pinned on a GPU machine: the copy from here needs no CPU
        self._centre.numpy()[:] = centre
        result = self._run(self._depth, self._centre)
        self._result.copy_(result, non_blocking=True)
        return self._result

    def finish(self, result: Tensor, centre: FloatArray) -> CubeReading:
        """Wait for the result and put it together."""
        if self.device.type == 'cuda':
            torch.cuda.current_stream(self.device).synchronize()
        values = result.numpy().astype(np.float64)
        covariances = []
        for part, (codec, _), calibration in zip(
            values, self._networks, self._calibrations, strict=True
        ):
            spread = clean_covariances(part[:, 4:13].reshape(-1, 3, 3), codec.sigma)
            covariance = spread * codec.cell**2
            if calibration is not None:
                covariance = calibration.apply(covariance, part[:, 3])
            covariances.append(covariance)
        sign = np.array([self._sign, 1, 1])
        positions = values[:, :, :3].mean(axis=0) * sign + centre
        return CubeReading(
            positions.astype(np.float32),
            values[:, :, 3].mean(axis=0).astype(np.float32),
            (np.mean(covariances, axis=0) * np.outer(sign, sign)).astype(np.float32),
            int(values[:, 0, 13].max()),
        )

    def _prepare(self, camera: Camera) -> None:
        """Make the buffers of a camera's images, and record the work on a GPU."""
        self._camera = camera
        pinned = self.device.type == 'cuda'
        self._depth = torch.zeros(camera.height, camera.width, pin_memory=pinned)
        self._centre = torch.zeros(3, pin_memory=pinned)
        self._rays = [torch.from_numpy(ray).to(self.device) for ray in camera.rays]
        given = self._depth.to(self.device, copy=True), self._centre.to(self.device, copy=True)
        self._run = Replay(self._compute, *given) if pinned else self._compute
        self._result = torch.zeros(self._run(self._depth, self._centre).shape, pin_memory=pinned)

    def _compute(self, depth: Tensor, centre: Tensor) -> Tensor:
        """Return [M, J, 14]: position, confidence, spread and the count of voxels, per network."""
        x, y = self._rays
        points = torch.stack([x * depth, y * depth, depth], -1).view(1, -1, 3) - centre
        if self._sign < 0:
            points = points * self._mirroring
        valid, origin = (depth > 0).view(1, -1), centre.new_zeros(1, 3)
        grids: dict[tuple[float, int], Tensor] = {}
        parts = []
        for codec, network in self._networks:
            key = (codec.cube_size, codec.input_size)
            if key not in grids:  # the networks of an ensemble see the same grid
                grids[key] = codec.occupancy(points, origin, valid)
            positions, confidences, spreads = codec.read(network(grids[key]), origin)
            count = grids[key].sum().expand_as(confidences)
            columns = [positions, confidences[..., None], spreads.flatten(2), count[..., None]]
            parts.append(torch.cat(columns, -1))
        return torch.cat(parts)
