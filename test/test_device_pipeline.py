"""The path of fixed shapes against the estimator's, on the device that every machine has."""

from pathlib import Path

import numpy as np
import pytest
import torch

from v2v_pose_ros.camera import Camera
from v2v_pose_ros.estimator import PoseEstimator
from v2v_pose_ros.estimator.device_reading import DeviceReader, make_reader
from v2v_pose_ros.estimator.reading import CubeReader
from v2v_pose_ros.models import load_model, Model, ModelInfo
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.runtimes.device_pipeline import DevicePipeline
from v2v_pose_ros.runtimes.gpu import prepare_network, WideStem
from v2v_pose_ros.runtimes.torch_runtime import fold_normalisation, TorchRuntime
from v2v_pose_ros.synthesis.cameras import sr305
from v2v_pose_ros.synthesis.hands.camera_scene import HandCameraScene

pytestmark = pytest.mark.usefixtures('one_thread')

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def frames():
    scene = HandCameraScene(sr305(320, 240), seed=3)
    return scene.camera, [scene.frame(index / 3) for index in range(3)]


def estimator_of(model, count, handedness):
    runtimes = [TorchRuntime(model.network, CPU, torch.float32)] * count
    return PoseEstimator(
        [model] * count, runtimes, handedness=handedness, passes=1, min_confidence=0.0
    )


@pytest.mark.parametrize(('count', 'handedness'), [(1, 'right'), (1, 'left'), (3, 'right')])
def test_joints_are_those_of_the_numpy_path(frames, count, handedness):
    model = load_model('hand_lite')
    camera, images = frames
    estimator = estimator_of(model, count, handedness)
    pipeline = DevicePipeline([model] * count, CPU, mirror=handedness == 'left')
    for depth, joints in images:
        centre = (0.5 * (joints.min(axis=0) + joints.max(axis=0))).astype(np.float32)
        (wanted,) = estimator(depth, camera, centre).skeletons
        found = pipeline(depth, camera, centre)
        np.testing.assert_allclose(found.positions, wanted.positions, atol=1e-5)
        np.testing.assert_allclose(found.confidences, wanted.confidences, atol=1e-4)
        np.testing.assert_allclose(found.covariances, wanted.covariances, atol=1e-7, rtol=1e-2)
        assert found.voxels > 300


def test_people_are_seen_in_the_mirror_on_a_device_too():
    model, camera = load_model('body_lite'), Camera(320, 240, 285.7, 285.7, 160, 120)
    depth = np.zeros((240, 320), np.float32)
    depth[40:220, 120:190], depth[80:130, 60:260] = 2.5, 2.4  # something like a person
    centre = np.array([0, 0, 2.5], np.float32)
    runtimes = [TorchRuntime(model.network, CPU, torch.float32)]
    wanted, once = (
        CubeReader([model], runtimes, flip_test=flip_test).read(
            depth, camera, centre, '', lambda _: None
        )
        for flip_test in (True, False)
    )
    found = DevicePipeline([model], CPU, flip_test=True)(depth, camera, centre)
    np.testing.assert_allclose(found.positions, wanted.positions, atol=1e-5)
    np.testing.assert_allclose(found.confidences, wanted.confidences, atol=1e-4)
    assert np.abs(wanted.positions - once.positions).max() > 1e-3


def test_distorted_cameras_and_changes_of_the_camera(frames):
    model = load_model('hand_lite')
    camera, images = frames
    bent = Camera(
        320, 240, camera.fx, camera.fy, camera.cx, camera.cy, 'plumb_bob', (0.1, -0.05, 0, 0, 0)
    )
    estimator, pipeline = estimator_of(model, 1, 'right'), DevicePipeline([model], CPU)
    depth, joints = images[0]
    centre = joints.mean(axis=0).astype(np.float32)
    for used in (camera, bent, camera):
        (wanted,) = estimator(depth, used, centre).skeletons
        found = pipeline(depth, used, centre)
        np.testing.assert_allclose(found.positions, wanted.positions, atol=1e-5)


def test_an_empty_cube_has_no_voxels(frames):
    camera, _ = frames
    pipeline = DevicePipeline([load_model('hand_lite')], CPU)
    found = pipeline(np.zeros((240, 320), np.float32), camera, np.array([0, 0, 0.5], np.float32))
    assert found.voxels == 0
    assert np.isfinite(found.positions).all()


@pytest.mark.parametrize('side', ['right', 'left'])
def test_what_reads_cubes_on_a_device_is_what_reads_them_here(frames, side):
    model = load_model('hand_lite')
    camera, images = frames
    runtimes = [TorchRuntime(model.network, CPU, torch.float32)]
    usual, reader = CubeReader([model], runtimes), DeviceReader([model], runtimes)
    assert type(make_reader([model], runtimes)) is CubeReader  # a CPU has a faster way
    for size in (None, 0.22):
        usual.set_cube_size(size)
        reader.set_cube_size(size)
        for depth, joints in images:
            centre = joints.mean(axis=0).astype(np.float32)
            stages: list[str] = []
            wanted = usual.read(depth, camera, centre, side, lambda _: None)
            found = reader.read(depth, camera, centre, side, stages.append)
            assert stages == ['crop', 'network']
            np.testing.assert_allclose(found.positions, wanted.positions, atol=1e-5)
            np.testing.assert_allclose(found.covariances, wanted.covariances, atol=1e-7, rtol=1e-2)
            np.testing.assert_array_equal(found.points, wanted.points)
            assert (found.handedness, found.cube_size) == (side, usual.cube_size)
    nowhere = np.array([0, 0, 9], np.float32)
    assert reader.read(depth, camera, nowhere, side, stages.append) is None


@pytest.mark.parametrize('stem', ['conv7', 'fold'])
def test_networks_arranged_for_gpus_compute_the_same(stem):
    torch.manual_seed(1)
    network = V2VPoseNet(V2VConfig(3, (4, 8, 8, 8), stem)).eval()
    grids = (torch.rand(2, 1, 16, 16, 16) < 0.1).float()
    run = prepare_network(fold_normalisation(network), CPU, torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(run(grids), network(grids), atol=1e-5, rtol=1e-4)


def test_the_wide_stem_is_the_same_convolution():
    torch.manual_seed(1)
    convolution = torch.nn.Conv3d(1, 5, 7, padding=3)
    grids = torch.rand(2, 1, 9, 10, 11)
    with torch.inference_mode():
        wanted = convolution(grids)
        torch.testing.assert_close(WideStem(convolution)(grids), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ('name', 'count', 'flip_test'), [('hand_lite', 1, False), ('hand_lite', 3, False),
                                     ('body_lite', 1, True), ('published', 1, False)]
)  # fmt: skip
def test_a_recording_needs_no_look_at_values_and_leaves_the_device_never(name, count, flip_test):
    """On the device without values ('meta'), what reads a value or mixes devices fails.

    A CUDA graph can't be recorded of either.
    """
    if name == 'published':
        network = V2VPoseNet(V2VConfig(21)).eval().requires_grad_(False)
        info = ModelInfo(name, 'hand', network.config.to_dict(), {'cube_size': 0.25})
        model = Model(network, info, Path())
    else:
        model = load_model(name)
    device = torch.device('meta')
    pipeline = DevicePipeline(
        [model] * count, device, precision=torch.float16, mirror=True, flip_test=flip_test
    )
    camera = Camera(320, 240, 285.7, 285.7, 160, 120)
    pipeline._rays = [torch.from_numpy(ray).to(device) for ray in camera.rays]
    with torch.inference_mode():
        depth, centre = torch.empty(240, 320, device=device), torch.empty(3, device=device)
        found = pipeline._compute(depth, centre)
    assert found.shape == (count, len(model.info.get_skeleton()), 14)
    assert (found.device, found.dtype) == (device, torch.float32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no CUDA GPU')
@pytest.mark.parametrize('count', [1, 3])
def test_a_gpu_finds_the_joints_of_the_cpu(frames, count):
    model = load_model('hand_lite')
    camera, images = frames
    pipelines = [DevicePipeline([model] * count, torch.device(d)) for d in ('cpu', 'cuda')]
    for depth, joints in images:
        centre = joints.mean(axis=0).astype(np.float32)
        wanted, found = (pipeline(depth, camera, centre) for pipeline in pipelines)
        assert np.median(np.linalg.norm(found.positions - wanted.positions, axis=1)) < 5e-4
