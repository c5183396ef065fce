"""Exported networks against torch, their cards, and what is refused."""

from dataclasses import replace
import json
import sys

import numpy as np
import pytest
import torch

from v2v_pose_ros.cli import main
from v2v_pose_ros.exporting import comparison, ExportError, formats
from v2v_pose_ros.exporting.export import export_model
from v2v_pose_ros.models import load_model, ModelInfo, save_model
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.runtimes import make_runtime, RuntimeUnavailableError
from v2v_pose_ros.skeletons import BODY
from v2v_pose_ros.voxels import VoxelCodec

pytestmark = pytest.mark.usefixtures('one_thread')

SIZE = 16


@pytest.fixture(params=['conv7', 'fold'])
def model(request, tmp_path):
    return make_model(tmp_path / f'{request.param}.safetensors', request.param)


def make_model(path, stem='conv7'):
    """A network whose normalisations do something, as those of trained ones do."""
    torch.manual_seed(2)
    network = V2VPoseNet(V2VConfig(15, (4, 6, 8, 8), stem))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.2, 0.6)
            module.weight.data.uniform_(0.5, 1.5)
    codec = {'cube_size': 2.0, 'input_size': SIZE, 'convention': 'lua_y_up'}
    save_model(path, network, ModelInfo('small', 'body', network.config.to_dict(), codec))
    return load_model(path)


def random_grids(batch):
    generator = torch.Generator().manual_seed(batch)
    return (torch.rand(batch, 1, SIZE, SIZE, SIZE, generator=generator) < 0.1).float()


@pytest.mark.parametrize('batch', [1, 3])
def test_an_onnx_file_computes_what_torch_does(model, tmp_path, batch):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    out = tmp_path / 'exports' / 'small.onnx'
    export_model(model, 'onnx', out)
    session = onnxruntime.InferenceSession(str(out), providers=['CPUExecutionProvider'])
    grids = random_grids(batch)
    (heatmaps,) = session.run(['heatmaps'], {'grid': grids.numpy()})
    np.testing.assert_allclose(heatmaps, model.network(grids).numpy(), rtol=0, atol=2e-5)
    said = json.loads(session.get_modelmeta().custom_metadata_map['v2v_pose'])
    assert said['output']['joints'] == list(BODY.names)


@pytest.mark.parametrize('batch', [1, 3])
def test_an_openvino_file_computes_what_torch_does(model, tmp_path, batch):
    openvino = pytest.importorskip('openvino')
    out = tmp_path / 'small.xml'
    export_model(model, 'openvino', out)
    options = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = openvino.Core().compile_model(out, 'CPU', options)
    grids = random_grids(batch)
    heatmaps = compiled({'grid': grids.numpy()})['heatmaps']
    np.testing.assert_allclose(heatmaps, model.network(grids).numpy(), rtol=0, atol=2e-5)


def test_a_card_says_how_to_use_the_network(tmp_path, capsys):
    pytest.importorskip('openvino')
    make_model(tmp_path / 'small.safetensors')
    out = tmp_path / 'export' / 'small.xml'
    command = ['export', str(tmp_path / 'small.safetensors'), '--format', 'openvino', str(out)]
    assert main(command) == 0
    assert 'joints by 0.0' in capsys.readouterr().out
    card = json.loads((tmp_path / 'export' / 'small.xml.json').read_text())
    assert card['model']['skeleton'] == 'body'
    assert card['model']['codec']['convention'] == 'lua_y_up'
    assert len(card['model_sha256']) == 64
    assert card['input']['name'] == 'grid'
    assert card['input']['shape'] == ['batch', 1, 16, 16, 16]
    assert card['output']['shape'] == ['batch', 15, 8, 8, 8]
    assert card['output']['joints'] == list(BODY.names)
    assert card['check']['joint_difference_mm'] <= card['check']['tolerance_mm'] == 0.1
    assert sorted(card['files']) == ['small.bin', 'small.xml']
    assert sorted(path.name for path in out.parent.iterdir()) == [
        'small.bin',
        'small.xml',
        'small.xml.json',
    ]


@pytest.mark.parametrize('convention', ['cell_centre', 'lua', 'lua_y_up'])
def test_the_formula_on_the_card_is_the_codecs(tmp_path, convention):
    from v2v_pose_ros.exporting.export import make_card

    model = make_model(tmp_path / 'small.safetensors')
    codec = VoxelCodec(0.25, 88, convention=convention)
    text = make_card(model, codec)['output']['decoding']
    formula = text.split(' = reference', 1)[1].split(' on ')[0]
    y_formula = (
        text.split('on y reference', 1)[-1].split(', G')[0] if '; on y' in text else formula
    )
    index = torch.tensor([[[3.0, 7.0, 20.0]]])
    found = codec.to_metres(index, torch.zeros(1, 3))[0, 0]
    for axis, written in enumerate((formula, y_formula, formula)):
        values = {'cube_size': 0.25, 'G': 88, 'H': 44, 'index': float(index[0, 0, axis])}
        metres = eval(written.replace('2 index', '2 * index'), {}, values)
        assert metres == pytest.approx(float(found[axis]), abs=1e-6)


def test_an_export_that_differs_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    model = make_model(tmp_path / 'small.safetensors')

    def write(model, path, texts):
        path.write_bytes(b'a network that is wrong')

    def load(path):
        return lambda grids: model.network(grids.flip(4))

    wrong = replace(formats.FORMATS['onnx'], packages=(), write=write, load=load)
    monkeypatch.setitem(formats.FORMATS, 'onnx', wrong)
    out = tmp_path / 'export' / 'small.onnx'
    out.parent.mkdir()
    out.write_text('an earlier export')
    with pytest.raises(ExportError, match=r'onnx moves a joint by \d+\.\d+ mm .* at most 0.1 mm'):
        export_model(model, 'onnx', out)
    assert [path.name for path in out.parent.iterdir()] == ['small.onnx']
    assert out.read_text() == 'an earlier export'


def test_outputs_that_are_no_numbers_or_of_another_shape_are_infinitely_wrong(tmp_path):
    model = make_model(tmp_path / 'small.safetensors')
    codec = model.info.make_codec()
    for wrong in (lambda output: output * torch.nan, lambda output: output[:, 1:]):
        found = comparison.compare(
            model.network, lambda grids, wrong=wrong: wrong(model.network(grids)), codec, 1
        )
        assert found.joints == float('inf')
    same = comparison.compare(model.network, model.network, codec, 2)
    assert same.joints == same.heatmaps == 0


def test_random_grids_are_thin_surfaces_in_the_middle():
    grids = comparison.random_grids(VoxelCodec(0.25, 88), 3)
    assert grids.shape == (3, 1, 88, 88, 88)
    assert set(grids.unique().tolist()) == {0, 1}
    counts = grids.flatten(1).sum(1)
    assert (counts > 1000).all()  # a hand at half a metre fills about two thousand voxels
    assert (counts < 5000).all()


def test_missing_packages_are_named(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'small.safetensors'
    model = make_model(path)
    monkeypatch.setattr(formats, 'find_spec', lambda name: None)
    for name, suffix in (('onnx', '.onnx'), ('openvino', '.xml'), ('tensorrt', '.engine')):
        with pytest.raises(ExportError, match=f'the format {name} needs {name}.*pip install'):
            export_model(model, name, tmp_path / f'x{suffix}')
    assert main(['export', str(path), '--format', 'tensorrt', str(tmp_path / 'x.engine')]) == 1
    assert 'NVIDIA GPU' in capsys.readouterr().err


def test_wrong_names_are_refused(tmp_path):
    model = make_model(tmp_path / 'small.safetensors')
    with pytest.raises(ExportError, match=r"no format 'caffe'; known: onnx, openvino, tensorrt"):
        export_model(model, 'caffe', tmp_path / 'x.caffe')
    pytest.importorskip('openvino')
    with pytest.raises(ExportError, match=r'end it in \.xml'):
        export_model(model, 'openvino', tmp_path / 'x.onnx')


def test_the_onnx_runtime_computes_what_torch_does(model):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    runtime = make_runtime(model, 'onnx', 'cpu')
    assert runtime.name == 'onnx CPU float32'
    for batch in (1, 2):
        grids = random_grids(batch)
        torch.testing.assert_close(runtime(grids), model.network(grids), rtol=0, atol=2e-5)


def test_asking_for_the_onnx_runtime_where_it_is_missing_is_a_clear_error(tmp_path, monkeypatch):
    model = make_model(tmp_path / 'small.safetensors')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setattr('v2v_pose_ros.runtimes.find_spec', lambda name: None)
    lacking = 'onnx lacks onnx and onnxruntime: pip install'
    with pytest.raises(RuntimeUnavailableError, match=lacking):
        make_runtime(model, 'onnx', 'cpu')
