"""Model files: what is written comes back, and what is damaged is refused by name."""

import contextlib
import dataclasses
import json
from pathlib import Path
import struct

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest
from safetensors.torch import load_file, save_file
import torch

from v2v_pose_ros.models import (
    available_models,
    checksum,
    load_model,
    ModelError,
    ModelInfo,
    read_info,
    replace_info,
    save_model,
)
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet

CONFIG = V2VConfig(21, (2, 2, 4, 4), 'fold')
INFO = ModelInfo(
    name='tiny',
    skeleton='hand',
    network=CONFIG.to_dict(),
    codec={'cube_size': 0.25, 'input_size': 16, 'sigma': 1.0},
    training={'data': 'none'},
    errors={'synthetic_mean_mm': 99.0},
)


@pytest.fixture
def tiny(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / 'tiny.safetensors'
    save_model(path, V2VPoseNet(CONFIG), INFO)
    return path


def metadata(path):
    with path.open('rb') as file:
        size = struct.unpack('<Q', file.read(8))[0]
        return json.loads(json.loads(file.read(size))['__metadata__']['v2v_pose'])


def rewrite(path, tensors=None, **changes):
    """Write a model file anew with other metadata or tensors, and a checksum that fits."""
    document = metadata(path)
    tensors = load_file(path) if tensors is None else tensors
    document = {**document, **changes}
    said = {k: v for k, v in document.items() if k not in ('format', 'sha256')}
    with contextlib.suppress(TypeError):  # what is no ModelInfo is refused before
        document['sha256'] = checksum(tensors, ModelInfo(**said))
    save_file(tensors, path, metadata={'v2v_pose': json.dumps(document)})


def test_a_model_comes_back_as_it_was_in_half_precision(tiny):
    torch.manual_seed(0)
    written = V2VPoseNet(CONFIG).eval()
    model = load_model(tiny, skeleton='hand')
    assert model.info == INFO
    assert model.info.make_codec().cube_size == 0.25
    for name, tensor in model.network.state_dict().items():
        torch.testing.assert_close(tensor, written.state_dict()[name], atol=1e-3, rtol=1e-3)
    assert not model.network.training
    assert read_info(tiny)[0] == INFO


CALIBRATION = {'floor': 0.002, 'doubt': 1.5, 'scales': [1.5] * 21}


def test_a_file_can_be_calibrated_and_its_weights_stay(tiny):
    before = load_file(tiny)
    replace_info(tiny, dataclasses.replace(INFO, calibration=CALIBRATION))
    calibration = load_model(tiny).info.make_calibration()
    assert (calibration.floor, calibration.doubt) == (0.002, 1.5)
    assert calibration.scales == (1.5,) * 21
    after = load_file(tiny)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_file_without_a_calibration_has_none(tiny):
    assert 'calibration' not in metadata(tiny)
    assert load_model(tiny).info.make_calibration() is None


def test_a_damaged_file_is_not_given_another_description(tiny):
    tiny.write_bytes(tiny.read_bytes()[:-1] + b'x')
    with pytest.raises(ModelError, match='damaged'):
        replace_info(tiny, INFO)


@pytest.mark.parametrize(
    ('calibration', 'words'),
    [
        ({**CALIBRATION, 'scales': [1.5] * 20}, '20 scales'),
        ({**CALIBRATION, 'floor': -1.0}, 'floor is -1'),
        ({**CALIBRATION, 'doubt': -1.0}, 'doubt is -1'),
        ({**CALIBRATION, 'scales': [0.0] * 21}, 'scales has 0'),
        ({'floor': 0.002, 'doubt': 1.5}, 'scales'),
        ([1.5] * 21, 'mapping'),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(tiny, calibration, words):
    rewrite(tiny, calibration=calibration)
    with pytest.raises(ModelError, match=words):
        load_model(tiny)


def test_a_file_that_is_no_model_file_is_said_to_be_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'epoch14.pth').write_bytes(b'')
    with pytest.raises(ModelError, match=r'does not end in \.safetensors; v2v-pose import-w'):
        load_model('epoch14.pth')


def test_missing_models_are_named_with_what_there_is(tmp_path):
    with pytest.raises(ModelError, match='shipped are'):
        load_model('no_such_model')
    with pytest.raises(ModelError, match=r'gone\.safetensors'):
        load_model(tmp_path / 'gone.safetensors')


def test_another_skeleton_or_kind_is_refused(tiny):
    with pytest.raises(ModelError, match="'body' is needed"):
        load_model(tiny, skeleton='body')
    with pytest.raises(ModelError, match='refinement model is needed'):
        load_model(tiny, kind='refinement')


@pytest.mark.parametrize('keep', [0, 4, 100, 0.5, 0.999])
def test_truncated_files_are_refused(tiny, keep):
    data = tiny.read_bytes()
    tiny.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ModelError, match=r'tiny\.safetensors'):
        load_model(tiny)


def test_a_flipped_bit_is_found_by_the_checksum(tiny):
    data = bytearray(tiny.read_bytes())
    data[-20] ^= 1
    tiny.write_bytes(data)
    with pytest.raises(ModelError, match='checksum'):
        load_model(tiny)


def test_changed_metadata_is_found_by_the_checksum(tiny):
    data = tiny.read_bytes()
    changed = data.replace(rb'\"cube_size\": 0.25', rb'\"cube_size\": 0.35')
    assert changed != data
    tiny.write_bytes(changed)
    with pytest.raises(ModelError, match='checksum'):
        load_model(tiny)


def test_a_file_that_declares_more_than_it_holds_is_refused(tiny):
    data = tiny.read_bytes()
    tiny.write_bytes(struct.pack('<Q', 2**60) + data[8:])
    with pytest.raises(ModelError, match='truncated or of another format'):
        load_model(tiny)


def test_pickles_are_not_opened(tmp_path):
    path = tmp_path / 'model.safetensors'
    torch.save({'a': torch.zeros(1)}, path)
    with pytest.raises(ModelError, match='another format'):
        load_model(path)


def test_wrong_shapes_lacking_and_unknown_tensors_are_named(tiny):
    tensors = load_file(tiny)
    original = dict(tensors)
    tensors['head.weight'] = torch.zeros(20, 2, 1, 1, 1).half()
    rewrite(tiny, tensors)
    with pytest.raises(ModelError, match=r'head\.weight has shape \(20, 2, 1, 1, 1\)'):
        load_model(tiny)
    rewrite(tiny, {k: v for k, v in original.items() if k != 'head.bias'})
    with pytest.raises(ModelError, match=r'lacks tensor head\.bias'):
        load_model(tiny)
    rewrite(tiny, {**original, 'extra': torch.zeros(1)})
    with pytest.raises(ModelError, match='unknown tensor extra'):
        load_model(tiny)


def test_values_that_are_not_finite_are_refused(tiny):
    tensors = load_file(tiny)
    tensors['head.bias'][3] = float('nan')
    rewrite(tiny, tensors)
    with pytest.raises(ModelError, match='not finite'):
        load_model(tiny)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'skeleton': 'octopus'}, 'octopus'),
        ({'format': 99}, 'format 99'),
        ({'network': {}}, 'cannot be built'),
        ({'network': {**CONFIG.to_dict(), 'joints': 4}}, '4 joints'),
        ({'network': {**CONFIG.to_dict(), 'channels': [1, 2]}}, 'cannot be built'),
        ({'codec': {'cube_size': -1.0}}, 'cube_size'),
        ({'codec': {'cube': 1.0}}, 'cannot be used'),
        ({'codec': None}, 'cannot be used'),
        ({'codec': {**INFO.codec, 'input_size': 50}}, 'input_size is 50'),
        ({'codec': {**INFO.codec, 'input_size': 16.0}}, 'input_size is 16.0'),
        ({'codec': {**INFO.codec, 'input_size': 8}}, 'input_size is 8'),
        ({'codec': {**INFO.codec, 'input_size': 10**5}}, 'input_size is 100000'),
        ({'skeleton': ['hand']}, 'a text is meant'),
        ({'training': 3}, 'a mapping is meant'),
        (
            {'network': {**CONFIG.to_dict(), 'channels': [60000, 60000, 70000, 70000]}},
            'is expected',
        ),
        ({'surprise': 1}, 'cannot be used'),
    ],
)
def test_metadata_that_does_not_fit_is_refused(tiny, changes, words):
    rewrite(tiny, **changes)
    with pytest.raises(ModelError, match=words):
        load_model(tiny)


def test_files_without_metadata_are_refused(tmp_path):
    path = tmp_path / 'other.safetensors'
    save_file({'a': torch.zeros(2)}, path)
    with pytest.raises(ModelError, match='no model file of this package'):
        load_model(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_sentence(tmp_path, data):
    path = tmp_path / 'noise.safetensors'
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r'noise\.safetensors'):
        load_model(path)


def test_every_shipped_model_loads_and_is_small_enough():
    models = available_models()
    assert 'hand_lite' in models
    sizes = []
    for name, path in models.items():
        info, _ = read_info(path)
        assert info.name == name
        assert load_model(name, kind=info.kind).info == info
        assert dataclasses.asdict(info)['training']
        sizes.append(Path(path).stat().st_size)
    assert max(sizes) < 8e6
    assert sum(sizes) < 40e6
