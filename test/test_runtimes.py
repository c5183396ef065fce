"""Runtimes against float32 torch, what is refused, and compiled networks kept between starts."""

import errno
import fcntl
import logging
import multiprocessing
import os
from pathlib import Path
import pwd
import signal
import sys
import time

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from v2v_pose_ros import runtimes
from v2v_pose_ros.models import load_model, Model, ModelInfo
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.runtimes import contract, make_runtime, RuntimeUnavailableError
from v2v_pose_ros.runtimes.cache import ArtefactCache, default_directory, KEPT
from v2v_pose_ros.runtimes.contract import Check, compare_outputs, RuntimeMismatchError
from v2v_pose_ros.runtimes.probes import probe_grids
from v2v_pose_ros.runtimes.quantization import FakeQuantize, quantize, QuantizedConvolution
from v2v_pose_ros.runtimes.sparse_stem import SparseStem
from v2v_pose_ros.runtimes.torch_runtime import fold_normalisation
from v2v_pose_ros.skeletons import BODY, HAND
from v2v_pose_ros.voxels import VoxelCodec

pytestmark = pytest.mark.usefixtures('one_thread')

SIZE = 16
FORK = multiprocessing.get_context('fork')


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'v2v_pose_ros'


def make_network(stem, channels=(4, 8, 8, 8), joints=21):
    torch.manual_seed(2)
    network = V2VPoseNet(V2VConfig(joints, channels, stem)).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.2, 0.6)
            module.weight.data.uniform_(0.5, 1.5)
    return network


@pytest.fixture(params=['conv7', 'fold'])
def model(request):
    network = make_network(request.param)
    codec = {'cube_size': 0.25, 'input_size': SIZE, 'sigma': 1.0}
    return Model(network, ModelInfo('small', 'hand', network.config.to_dict(), codec), Path())


@pytest.fixture(scope='module')
def hand_lite():
    return load_model('hand_lite')


def grids_of(model, count=3):
    return probe_grids(model.info.make_codec(), HAND, count, seed=5)


@pytest.mark.parametrize(
    ('runtime', 'package'),
    [('openvino', 'openvino'), ('openvino_int8', 'openvino'), ('onnx', 'onnxruntime')],
)
def test_runtimes_find_the_joints_of_torch_and_say_how_far_they_are(hand_lite, runtime, package):
    pytest.importorskip(package)
    made = make_runtime(hand_lite, runtime, 'cpu')
    assert made.check.compared >= 60  # of four hands with 21 joints
    codec, grids = hand_lite.info.make_codec(), grids_of(hand_lite, 6)
    wanted = codec.decode(hand_lite.network(grids), torch.zeros(6, 3))
    for batch in (grids, grids[:1]):
        found = codec.decode(made(batch).clone(), torch.zeros(len(batch), 3))
        moved = (found.positions - wanted.positions[: len(batch)]).norm(dim=-1)
        assert moved.median() < {'openvino_int8': 1.5e-3}.get(runtime, 0.5e-3)


@pytest.mark.parametrize('precision', ['float32', 'bfloat16', 'int8'])
def test_openvino_computes_untrained_networks_of_both_stems(model, precision):
    pytest.importorskip('openvino')
    from v2v_pose_ros.runtimes.openvino_runtime import OpenVINORuntime

    runtime = OpenVINORuntime(model, 1, precision)
    grids = grids_of(model)
    wanted, found = model.network(grids), runtime(grids)
    assert found.shape == wanted.shape
    tolerance = {'float32': 1e-5, 'bfloat16': 0.02, 'int8': 0.1}[precision]
    assert (found - wanted).square().mean().sqrt() < tolerance * wanted.square().mean().sqrt()


def test_a_runtime_that_computes_something_else_is_refused(model):
    with pytest.raises(RuntimeMismatchError, match=r'mirrored is not used for small: .* [\d.]+ %'):
        contract.check(model, lambda grid: model.network(grid.flip(4)), 'float32', 'mirrored')


def test_one_joint_that_is_always_wrong_is_enough_to_be_refused(hand_lite):
    def wrong(grid):
        output = hand_lite.network(grid)
        output[:, 7] = output[:, 7].roll(1, 3)
        return output

    with pytest.raises(RuntimeMismatchError, match=r'moves a joint by 10\.\d+ mm'):
        contract.check(hand_lite, wrong, 'int8', 'wrong')


def test_joints_that_float32_is_not_sure_of_do_not_count():
    codec = VoxelCodec(cube_size=0.24, input_size=48, sigma=1.0)
    zero = torch.zeros(1, 3)
    here, there = (codec.heatmaps(torch.full((1, 1, 3), x), zero) for x in (-0.05, 0.05))
    unsure = compare_outputs(codec, [(here + 0.95 * there, 0.95 * here + there)])
    assert (unsure.compared, unsure.joints_mm) == (0, 0.0)
    sure = compare_outputs(codec, [(here, there)])
    assert sure.compared == 1
    assert sure.joints_mm == pytest.approx(100 * 3**0.5, abs=0.1)
    broken = compare_outputs(codec, [(here, here * torch.nan)])
    assert broken.joints_mm == float('inf')


def test_auto_without_openvino_takes_torch_and_says_so_in_one_line(model, monkeypatch, caplog):
    monkeypatch.setattr(runtimes, 'find_spec', lambda name: None)
    with caplog.at_level(logging.WARNING):
        made = make_runtime(model, 'auto', 'cpu')
    assert made.name.startswith('torch CPU')
    (record,) = caplog.records
    assert record.getMessage() == (
        'the runtime openvino lacks openvino: pip install openvino; torch runs the network instead'
    )


def test_auto_takes_torch_where_openvino_computes_something_else(model, monkeypatch, caplog):
    pytest.importorskip('openvino')
    far = Check(99.0, 1.0, 21)
    monkeypatch.setattr(contract, 'compare_outputs', lambda codec, outputs: far)
    assert make_runtime(model, 'auto', 'cpu').name == 'torch CPU float32'
    assert 'moves a joint by 99.00 mm' in caplog.text
    with pytest.raises(RuntimeMismatchError, match='99'):
        make_runtime(model, 'openvino', 'cpu')


@pytest.mark.parametrize('name', ['openvino', 'openvino_int8', 'onnx'])
def test_asking_for_what_is_missing_or_broken_is_a_clear_error(model, monkeypatch, name):
    module = f'v2v_pose_ros.runtimes.{name.removesuffix("_int8")}_runtime'
    monkeypatch.setitem(sys.modules, module, None)  # importing it fails
    with pytest.raises(RuntimeUnavailableError, match=f'{name} is installed but cannot be loaded'):
        make_runtime(model, name, 'cpu')
    monkeypatch.setattr(runtimes, 'find_spec', lambda name: None)
    with pytest.raises(RuntimeUnavailableError, match=rf'{name} lacks .*: pip install'):
        make_runtime(model, name, 'cpu')


def test_unknown_runtimes_are_refused(model):
    with pytest.raises(RuntimeUnavailableError, match=r"no runtime 'caffe'; known: auto, torch"):
        make_runtime(model, 'caffe', 'cpu')


def test_a_second_start_compiles_nothing(model, monkeypatch, cache_folder):
    pytest.importorskip('openvino')
    from v2v_pose_ros.runtimes import openvino_runtime

    first = make_runtime(model, 'openvino', 'cpu')
    wanted = first(grids_of(model, 1)).clone()
    (kept,) = cache_folder.glob('*.bin')
    monkeypatch.setattr(
        openvino_runtime.OpenVINORuntime, '_compile', lambda *_: pytest.fail('compiled')
    )
    second = make_runtime(model, 'openvino', 'cpu')
    assert second.check == first.check
    assert torch.equal(second(grids_of(model, 1)), wanted)
    # Other weights are another network.
    model.network.head.bias += 1
    with pytest.raises(pytest.fail.Exception, match='compiled'):
        make_runtime(model, 'openvino', 'cpu')
    assert list(cache_folder.glob('*.bin')) == [kept]


def test_a_truncated_network_is_compiled_again(model, cache_folder, caplog):
    pytest.importorskip('openvino')
    wanted = make_runtime(model, 'openvino', 'cpu')(grids_of(model, 1)).clone()
    (kept,) = cache_folder.glob('*.bin')
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    found = make_runtime(model, 'openvino', 'cpu')(grids_of(model, 1))
    assert torch.equal(found, wanted)
    assert 'is damaged; it is made again' in caplog.text
    caplog.clear()  # what was made again is whole, if not the same to the byte
    assert torch.equal(make_runtime(model, 'openvino', 'cpu')(grids_of(model, 1)), wanted)
    assert not caplog.text


def test_an_artefact_that_its_reader_refuses_is_made_again(tmp_path):
    cache = ArtefactCache(tmp_path)
    cache.fetch({'a': 1}, lambda: b'of another version', bytes)

    def load(artefact):
        if artefact != b'new':
            raise RuntimeError('another version')
        return artefact

    assert cache.fetch({'a': 1}, lambda: b'new', load) == b'new'
    assert cache.fetch({'a': 1}, lambda: pytest.fail('made'), load) == b'new'


def test_keys_that_differ_in_anything_are_different_artefacts(tmp_path):
    cache = ArtefactCache(tmp_path)
    keys = [{'w': 'x', 'threads': 1}, {'w': 'x', 'threads': 2}, {'w': 'y', 'threads': 1}]
    for index, key in enumerate(keys):
        cache.fetch(key, lambda index=index: b'%d' % index, bytes)
    for index, key in enumerate(keys):
        assert cache.fetch(key, lambda: pytest.fail('made'), bytes) == b'%d' % index


def fetch_slowly(folder, log, started, out):
    def make():
        with log.open('a') as file:
            file.write('made\n')
        started.set()
        time.sleep(0.3)  # as compilers do: long enough for the other process to arrive
        return b'x' * 1_000_000

    if out == 'second':
        started.wait(60)
    assert ArtefactCache(folder).fetch({'a': 1}, make, bytes) == b'x' * 1_000_000


def test_of_two_processes_that_start_at_once_one_compiles(tmp_path):
    log, started = tmp_path / 'log', FORK.Event()
    folder = tmp_path / 'cache'
    both = [
        FORK.Process(target=fetch_slowly, args=(folder, log, started, name))
        for name in ('first', 'second')
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text() == 'made\n'
    assert sorted(path.suffix for path in folder.iterdir()) == ['', '.bin']


@pytest.mark.parametrize('moment', ['compiling', 'writing'])
def test_a_process_killed_half_way_leaves_nothing_in_the_way(tmp_path, moment):
    reached = FORK.Event()

    def stop():
        reached.set()
        signal.pause()

    def victim():
        if moment == 'writing':
            os.fsync = lambda descriptor: stop()
        make = stop if moment == 'compiling' else lambda: b'half'
        ArtefactCache(tmp_path).fetch({'a': 1}, make, bytes)

    process = FORK.Process(target=victim)
    process.start()
    assert reached.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert not list(tmp_path.glob('*.bin'))
    assert ArtefactCache(tmp_path).fetch({'a': 1}, lambda: b'whole', bytes) == b'whole'
    assert ArtefactCache(tmp_path).fetch({'a': 1}, lambda: b'no', bytes) == b'whole'
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ['', '.bin']


def test_nothing_is_kept_of_what_failed(tmp_path):
    def fail():
        raise RuntimeMismatchError('wrong')

    with pytest.raises(RuntimeMismatchError):
        ArtefactCache(tmp_path).fetch({'a': 1}, fail, bytes)
    assert ArtefactCache(tmp_path).fetch({'a': 1}, lambda: b'right', bytes) == b'right'


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path, caplog):
    (tmp_path / 'file').write_text('')
    cache = ArtefactCache(tmp_path / 'file' / 'cache')
    assert cache.fetch({'a': 1}, lambda: b'made', bytes) == b'made'
    assert 'compiled networks are not kept' in caplog.text


def test_a_full_disk_costs_a_warning_and_leaves_nothing_behind(tmp_path, caplog, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache = ArtefactCache(tmp_path)
    with monkeypatch.context() as disk:
        disk.setattr(os, 'fsync', full)
        assert cache.fetch({'a': 1}, lambda: b'made', bytes) == b'made'
    assert 'a compiled network is not kept' in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ['lock']
    assert cache.fetch({'a': 1}, lambda: b'made again', bytes) == b'made again'
    cache.fetch({'a': 1}, lambda: pytest.fail('made'), bytes)


def test_what_was_not_used_for_longest_is_removed(tmp_path):
    cache = ArtefactCache(tmp_path)
    for number in range(KEPT):
        cache.fetch({'n': number}, lambda: b'x', bytes)
    for path in tmp_path.glob('*.bin'):
        os.utime(path, (1e9, 1e9))
    cache.fetch({'n': 0}, lambda: pytest.fail('made'), bytes)  # used now
    cache.fetch({'n': KEPT}, lambda: b'x', bytes)
    assert len(list(tmp_path.glob('*.bin'))) == KEPT
    cache.fetch({'n': 0}, lambda: pytest.fail('made'), bytes)


def test_the_folder_follows_the_xdg_specification(monkeypatch):
    monkeypatch.setenv('HOME', '/home/somebody')
    for value, expected in (
        ('/var/c', '/var/c'),
        ('', '/home/somebody/.cache'),
        ('relative', '/home/somebody/.cache'),
    ):
        monkeypatch.setenv('XDG_CACHE_HOME', value)
        assert default_directory() == Path(expected) / 'v2v_pose_ros'


def test_a_user_without_a_home_pays_with_a_warning(monkeypatch, caplog):
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.delenv('HOME')
    monkeypatch.setattr(pwd, 'getpwuid', lambda user: {}[user])  # as for unknown ones
    assert ArtefactCache().fetch({'a': 1}, lambda: b'made', bytes) == b'made'
    assert 'this user has no home folder; XDG_CACHE_HOME can name another one' in caplog.text


def test_a_disk_without_locks_keeps_networks_all_the_same(tmp_path, monkeypatch, caplog):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, 'flock', refuse)
    cache = ArtefactCache(tmp_path)
    assert cache.fetch({'a': 1}, lambda: b'made', bytes) == b'made'
    assert 'cannot be locked (' in caplog.text
    assert cache.fetch({'a': 1}, lambda: pytest.fail('made'), bytes) == b'made'


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.0005, 0.02, 0.6]))
def test_the_sparse_stem_computes_what_the_dense_one_does(seed, share):
    random = np.random.default_rng(seed)
    size = int(random.choice([8, 16, 40]))
    grids = torch.from_numpy((random.random((2, 1, size, size, size)) < share).astype(np.float32))
    folded = fold_normalisation(make_network('conv7'))
    dense = folded.front[1](folded.front[0](grids))
    sparse = SparseStem(folded.front[0])(grids)
    torch.testing.assert_close(sparse.permute(0, 4, 1, 2, 3), dense, atol=1e-5, rtol=1e-5)


def test_eight_bits_change_the_error_by_little(hand_lite):
    """At most 0.3 mm of the mean error, over hands that the calibration has not seen."""
    from v2v_pose_ros.synthesis.hands.scenes import HandScenes, SceneOptions

    scene = HandScenes(seed=31, options=SceneOptions(astray=0.0)).sample(24)
    codec = hand_lite.info.make_codec()
    references = 0.5 * (scene.joints.amin(1) + scene.joints.amax(1))
    points, valid = scene.points()
    grids = codec.occupancy(points, references, valid)
    rounded = quantize(hand_lite.network, runtimes.probes.calibration_grids(hand_lite))
    errors = []
    with torch.inference_mode():
        for network in (hand_lite.network, rounded):
            found = codec.decode(network(grids), references).positions
            errors.append(1000 * (found - scene.joints).norm(dim=-1).mean(1))
    assert abs(errors[1].mean() - errors[0].mean()) < 0.3
    assert (errors[1] - errors[0]).abs().median() < 0.5


def test_eight_bits_are_eight_bits(model):
    rounded = quantize(model.network, grids_of(model, 8))
    seen = []
    for module in rounded.modules():
        if isinstance(module, FakeQuantize):
            module.register_forward_hook(lambda m, i, out: seen.append(len(out.unique())))
        if isinstance(module, QuantizedConvolution):
            steps = module.weight / module.limit * 127
            torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    rounded(grids_of(model))
    assert len(seen) > 15
    assert max(seen) <= 256


@pytest.mark.parametrize('skeleton', [HAND, BODY])
def test_figures_lie_inside_the_cube_and_are_surfaces(skeleton):
    codec = VoxelCodec(cube_size=2.0 if skeleton is BODY else 0.25, input_size=88)
    grids = probe_grids(codec, skeleton, 4)
    counts = grids.flatten(1).sum(1)
    assert (counts > 1500).all()
    assert (counts < 6000).all()
    assert torch.equal(grids, probe_grids(codec, skeleton, 4))
    assert not torch.equal(grids, probe_grids(codec, skeleton, 4, seed=1))


def test_peaks_of_untrained_networks_may_go_anywhere():
    codec = VoxelCodec(cube_size=0.24, input_size=48, sigma=1.0)
    generator = torch.Generator().manual_seed(0)
    output = -1 - 0.01 * torch.rand(1, 5, 24, 24, 24, generator=generator)
    rounded = output + 0.0002 * torch.randn(output.shape, generator=generator)
    assert not torch.equal(output.flatten(2).argmax(-1), rounded.flatten(2).argmax(-1))
    assert compare_outputs(codec, [(output, rounded)]).joints_mm < 10
