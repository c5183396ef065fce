"""Reading cubes on a GPU: the whole way from the depth image to the joints as one recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from v2v_pose_ros.camera import Camera, FloatArray
from v2v_pose_ros.estimator.reading import CubeReader, FEW_POINTS, SkeletonEstimate
from v2v_pose_ros.localization import crop_points
from v2v_pose_ros.models import Model
from v2v_pose_ros.runtimes import Runtime
from v2v_pose_ros.runtimes.device_pipeline import DevicePipeline
from v2v_pose_ros.runtimes.torch_runtime import TorchRuntime


class DeviceReader(CubeReader):
    """A reader whose cubes never come down from the device; see `DevicePipeline`.

    Right and left subjects have a recording each, which is made when it is first needed.
    """

    def __init__(
        self,
        models: Sequence[Model],
        runtimes: Sequence[TorchRuntime],
        cube_size: float | None = None,
        *,
        flip_test: bool = False,
    ) -> None:
        """Take over the device and the precision of what would run the networks."""
        self._models = list(models)
        self._device, self._precision = runtimes[0].device, runtimes[0].precision
        super().__init__(models, runtimes, cube_size, flip_test=flip_test)

    def set_cube_size(self, cube_size: float | None) -> None:
        """Change the edge of the cube in metres; everything is recorded anew."""
        super().set_cube_size(cube_size)
        self._asked_size = cube_size
        self._pipelines: dict[bool, DevicePipeline] = {}

    def read(
        self,
        depth: FloatArray,
        camera: Camera,
        centre: FloatArray,
        side: str,
        lap: Callable[[str], None],
        points: FloatArray | None = None,
    ) -> SkeletonEstimate | None:
        """See the base class."""
        pipeline = self._pipeline(side == 'left')
        pending = pipeline.start(depth, camera, centre)
        if points is None:  # while the device is at work
            points = crop_points(depth, camera, centre, self.cube_size)
            lap('crop')
        reading = pipeline.finish(pending, centre)
        lap('network')
        if len(points) < FEW_POINTS:
            return None
        return SkeletonEstimate(
            skeleton=self.skeleton,
            positions=reading.positions,
            confidences=reading.confidences,
            covariances=reading.covariances,
            reference_point=np.asarray(centre, np.float32),
            cube_size=self.cube_size,
            points=points,
            handedness=side,
        )

    def _pipeline(self, mirror: bool) -> DevicePipeline:
        if mirror not in self._pipelines:
            self._pipelines[mirror] = DevicePipeline(
                self._models,
                self._device,
                precision=self._precision,
                cube_size=self._asked_size,
                mirror=mirror,
                flip_test=self.flip_test,
            )
        return self._pipelines[mirror]


def make_reader(
    models: Sequence[Model],
    runtimes: Sequence[Runtime],
    cube_size: float | None = None,
    *,
    flip_test: bool = False,
) -> CubeReader:
    """Return what reads cubes fastest with these runtimes.

    Raises:
        ModelError: no model, or models of different skeletons.
    """
    on_gpu = [
        runtime
        for runtime in runtimes
        if isinstance(runtime, TorchRuntime) and runtime.device.type == 'cuda'
    ]
    same = {(runtime.device, runtime.precision) for runtime in on_gpu}
    if len(on_gpu) == len(runtimes) and len(same) == 1:
        return DeviceReader(models, on_gpu, cube_size, flip_test=flip_test)
    return CubeReader(models, runtimes, cube_size, flip_test=flip_test)
