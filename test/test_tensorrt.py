"""The TensorRT path: on machines without an NVIDIA GPU beside a stand-in for TensorRT."""

from contextlib import nullcontext
import importlib
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from v2v_pose_ros import runtimes
from v2v_pose_ros.cli import main
from v2v_pose_ros.exporting import formats
from v2v_pose_ros.exporting.export import export_model
from v2v_pose_ros.models import load_model, ModelInfo, save_model
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.runtimes import make_runtime, RuntimeUnavailableError
from v2v_pose_ros.runtimes.probes import probe_grids
from v2v_pose_ros.skeletons import HAND

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytestmark = pytest.mark.usefixtures('one_thread')

SIZE = 16
MODULE = 'v2v_pose_ros.runtimes.tensorrt_runtime'


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def tensorrt_runtime(monkeypatch):
    """Let a CPU stand for the GPU and ONNX Runtime for TensorRT."""
    monkeypatch.setitem(sys.modules, 'tensorrt', importlib.import_module('tensorrt_stand_in'))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    stream = SimpleNamespace(cuda_stream=0, wait_stream=lambda other: None)
    for name, stand_in in {
        'is_available': lambda: True,
        'get_device_name': lambda device: 'a stand-in',
        'device': lambda device: nullcontext(),
        'Stream': lambda device: stream,
        'current_stream': lambda device: stream,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    yield importlib.import_module(MODULE)
    sys.modules.pop(MODULE)


@pytest.fixture
def small(tmp_path):
    torch.manual_seed(2)
    network = V2VPoseNet(V2VConfig(21, (4, 8, 8, 8)))
    path = tmp_path / 'small.safetensors'
    info = ModelInfo('small', 'hand', network.config.to_dict(), {'cube_size': 0.25})
    info.codec['input_size'] = SIZE
    save_model(path, network, info)
    return load_model(path)


def test_an_engine_finds_the_joints_of_torch_and_is_planned_once(tensorrt_runtime, monkeypatch):
    model, cpu = load_model('hand_lite'), torch.device('cpu')
    made = tensorrt_runtime.TensorRTRuntime(model, cpu)
    assert made.name == 'tensorrt a stand-in float16'
    assert made.check.compared >= 60
    codec = model.info.make_codec()
    grids = probe_grids(codec, HAND, 2, seed=5)
    wanted, found = (
        codec.decode(network(grids), torch.zeros(2, 3)).positions
        for network in (model.network, made)
    )
    assert 0 < (found - wanted).norm(dim=-1).median() < 0.2e-3  # half precision, not float32
    monkeypatch.setattr(tensorrt_runtime, 'build', lambda *_: pytest.fail('planned again'))
    again = tensorrt_runtime.TensorRTRuntime(model, cpu)
    assert torch.equal(again(grids), made(grids))


def test_more_grids_than_an_engine_takes_go_in_parts(tensorrt_runtime, small):
    made = tensorrt_runtime.TensorRTRuntime(small, torch.device('cpu'))
    grids = (torch.rand(tensorrt_runtime.MAX_BATCH + 3, 1, SIZE, SIZE, SIZE) < 0.1).float()
    found = made(grids)
    assert found.shape == (len(grids), 21, SIZE // 2, SIZE // 2, SIZE // 2)
    torch.testing.assert_close(found, small.network(grids), rtol=0.02, atol=2e-3)
    with pytest.raises(ValueError, match=r'does not take grids of the shape \(1, 1, 8, 8, 8\)'):
        made(torch.zeros(1, 1, 8, 8, 8))


def test_what_tensorrt_refuses_is_said(tensorrt_runtime):
    with pytest.raises(RuntimeUnavailableError, match='cannot load the engine'):
        tensorrt_runtime.load(b'an engine of another machine', torch.device('cpu'))
    with pytest.raises(RuntimeUnavailableError, match='cannot read the graph: '):
        tensorrt_runtime.build(b'no graph', SIZE)


def test_an_exported_engine_computes_in_float32(tensorrt_runtime, small, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, 'find_spec', lambda name: True)
    load = tensorrt_runtime.load
    monkeypatch.setattr(tensorrt_runtime, 'load', lambda plan, _: load(plan, torch.device('cpu')))
    out = tmp_path / 'small.engine'
    card = export_model(small, 'tensorrt', out)
    assert card['check']['heatmap_difference'] < 1e-5
    assert json.loads((tmp_path / 'small.engine.json').read_text()) == card
    grids = (torch.rand(2, 1, SIZE, SIZE, SIZE) < 0.1).float()
    torch.testing.assert_close(load(out.read_bytes(), torch.device('cpu'))(grids),
                               small.network(grids), rtol=0, atol=2e-5)  # fmt: skip


def test_asking_for_tensorrt_where_it_cannot_be_is_a_clear_error(small, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(RuntimeUnavailableError, match='runs on an NVIDIA GPU, and torch finds no'):
        make_runtime(small, 'tensorrt')
    assert main(['bench', '--runtime', 'tensorrt']) == 1
    assert capsys.readouterr().err.count('\n') == 1
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    with pytest.raises(RuntimeUnavailableError, match='tensorrt runs on device cuda here'):
        make_runtime(small, 'tensorrt', 'cpu')
    monkeypatch.setattr(runtimes, 'find_spec', lambda name: name != 'tensorrt')
    lacking = r"the runtime tensorrt lacks tensorrt: pip install 'tensorrt>=10,<12'"
    with pytest.raises(RuntimeUnavailableError, match=lacking):
        make_runtime(small, 'tensorrt')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no CUDA GPU')
def test_tensorrt_itself_finds_the_joints_of_torch():
    pytest.importorskip('tensorrt')
    model = load_model('hand_lite')
    made = make_runtime(model, 'tensorrt')
    codec = model.info.make_codec()
    grids = probe_grids(codec, HAND, 2, seed=5)
    wanted, found = (
        codec.decode(network(grids).cpu(), torch.zeros(2, 3)).positions
        for network in (model.network, made)
    )
    assert (found - wanted).norm(dim=-1).median() < 0.5e-3
