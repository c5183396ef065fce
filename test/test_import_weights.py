"""Imported networks against what the original ones compute, and files that must be refused."""

from contextlib import suppress
import io
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import published_network
from published_network import Lua, LuaStorage, LuaTensor, saved
import pytest
import torch
from torch import nn

from v2v_pose_ros.cli import main
from v2v_pose_ros.importing import ImportWeightsError, module_tree, state_dicts, torch7
from v2v_pose_ros.importing.weights import choose_order, import_weights, write_model
from v2v_pose_ros.models import load_model
from v2v_pose_ros.skeletons import HAND
from v2v_pose_ros.voxels import VoxelCodec

pytestmark = pytest.mark.usefixtures('one_thread')

CHANNELS = (3, 4, 5, 6)

MSRA = ['wrist'] + [
    f'{finger}_{part}'
    for finger in ('index', 'middle', 'ring', 'pinky', 'thumb')
    for part in ('mcp', 'pip', 'dip', 'tip')
]
"""The data set's order of the joints (data/MSRA of V2V-PoseNet_RELEASE)."""


def random_grid(batch=2, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, 1, size, size, size, generator=generator) < 0.1).float()


def imported(path, skeleton, tmp_path, **options):
    """Import a file and read the model file that comes of it."""
    network, info = import_weights(path, skeleton, name='imported', input_size=16, **options)
    out = tmp_path / 'imported.safetensors'
    write_model(out, network, info)
    return load_model(out)


def torch7_file(tmp_path, joints=16, **options):
    network = published_network.make_network(joints, CHANNELS, seed=5, old=options.pop('old', 0))
    path = tmp_path / 'model.net'
    path.write_bytes(saved(network, **options))
    return path, network


def checkpoint_file(tmp_path, state, **options):
    path = tmp_path / 'epoch14.pth'
    content = {'model_state_dict': state, 'epoch': 14, 'optimizer_state_dict': {'lr': [1e-3]}}
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize(
    'options',
    [
        {},
        {'old': True},
        {'prefix': 'torch.Float'},
        {'prefix': 'torch.Double', 'code': 'd'},
        {'prefix': 'torch.CudaDouble', 'code': 'd', 'old': True},
    ],
)
def test_a_torch7_network_computes_what_it_did(tmp_path, options):
    path, network = torch7_file(tmp_path, **options)
    model = imported(path, 'icvl', tmp_path)
    grid = random_grid()
    expected = published_network.run(network, grid)
    assert expected.std() > 0.01
    torch.testing.assert_close(model.network(grid), expected, rtol=0, atol=1e-4)
    assert model.info.codec == {'cube_size': 0.2, 'input_size': 16, 'convention': 'lua'}
    assert model.info.make_network().config.channels == CHANNELS


def test_a_network_of_volumes_with_y_up_computes_what_it_did_mirrored(tmp_path):
    """NYU's, MSRA's and ITOP's world has y upwards, the optical frame downwards."""
    path, network = torch7_file(tmp_path, joints=14)
    model = imported(path, 'nyu', tmp_path)
    grid = random_grid()
    expected = published_network.run(network, grid.flip(3)).flip(3)
    torch.testing.assert_close(model.network(grid), expected, rtol=0, atol=1e-4)
    assert model.info.codec['convention'] == 'lua_y_up'
    assert model.info.codec['cube_size'] == 0.25


def test_joints_come_in_the_order_of_the_skeleton(tmp_path):
    path, network = torch7_file(tmp_path, joints=21)
    model = imported(path, 'hand', tmp_path, joint_order='msra', y_axis='down', cube_size=0.3)
    grid = random_grid()
    expected = published_network.run(network, grid)
    output = model.network(grid)
    for joint, name in enumerate(HAND.names):
        torch.testing.assert_close(
            output[:, joint], expected[:, MSRA.index(name)], rtol=0, atol=1e-4
        )
    assert model.info.codec['cube_size'] == 0.3


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('parallel', [False, True])
def test_a_dragonbook_checkpoint_computes_what_it_did(tmp_path, legacy, parallel):
    """Its volumes are [x][y][z], ours [z][y][x]."""
    state = published_network.make_dragonbook(15, CHANNELS, seed=3)
    named = {f'module.{name}': tensor for name, tensor in state.items()} if parallel else state
    path = checkpoint_file(tmp_path, named, _use_new_zipfile_serialization=not legacy)
    model = imported(path, 'body', tmp_path, y_axis='down')
    grid = random_grid()
    expected = published_network.run_dragonbook(state, grid.permute(0, 1, 4, 3, 2))
    output = model.network(grid)
    torch.testing.assert_close(output, expected.permute(0, 1, 4, 3, 2), rtol=0, atol=1e-4)
    assert model.info.codec['convention'] == 'cell_centre'
    assert model.info.codec['cube_size'] == 2.0


def test_a_dragonbook_network_with_y_up_computes_what_it_did_mirrored(tmp_path):
    state = published_network.make_dragonbook(21, CHANNELS)
    path = tmp_path / 'model.pth'
    torch.save(state, path)
    model = imported(path, 'hand', tmp_path, joint_order='msra')
    grid = random_grid()
    theirs = published_network.run_dragonbook(state, grid.flip(3).permute(0, 1, 4, 3, 2))
    expected = theirs.permute(0, 1, 4, 3, 2).flip(3)[:, [MSRA.index(n) for n in HAND.names]]
    torch.testing.assert_close(model.network(grid), expected, rtol=0, atol=1e-4)


def test_the_lua_convention_with_y_up_follows_the_authors_formulas():
    """They are world = ref - C / 2 + (2 i + 1 / 2) C / 88, y up (src/util.lua); y down is -y."""
    codec = VoxelCodec(0.25, 88, convention='lua_y_up')
    reference = torch.tensor([[0.01, -0.02, 0.5]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    joints = reference + 0.2 * (
        torch.rand(1, 30, 3, generator=generator, dtype=torch.float64) - 0.5
    )
    up = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    voxels = (((joints - reference) * up / 0.125 + 1) / (2 / 88)).floor()
    expected = voxels / 2
    expected[..., 1] = 43 - expected[..., 1]  # the mirrored heatmap
    assert torch.equal(codec.to_cells(joints, reference), expected)
    theirs = (reference * up - 0.125 + (2 * (voxels / 2) + 0.5) * 0.25 / 88) * up
    torch.testing.assert_close(codec.to_metres(expected, reference), theirs)


def test_a_hand_needs_to_know_whose_joint_order():
    with pytest.raises(ImportWeightsError, match='hands2017 or msra'):
        choose_order('hand', None)
    with pytest.raises(ImportWeightsError, match="'icvl' has other joints"):
        choose_order('hand', 'icvl')
    with pytest.raises(ImportWeightsError, match="no skeleton 'horse'"):
        choose_order('horse', None)


def edit(path, change):
    """Return a reason why the changed state dict was refused."""
    state = published_network.make_dragonbook(15, CHANNELS)
    change(state)
    torch.save(state, path)
    with pytest.raises(ImportWeightsError) as caught:
        import_weights(path, 'body', name='x')
    return str(caught.value)


def test_what_does_not_fit_is_named(tmp_path):
    path = tmp_path / 'x.pth'
    name = 'encoder_decoder.mid_res.res_branch.3.bias'
    ours = 'encoder_decoder.middle.branch.3.bias'
    assert f'lacks {ours}' in edit(path, lambda state: state.pop(name))
    assert 'has the unknown center.weight' in edit(
        path, lambda state: state.update({'center.weight': torch.zeros(3)})
    )
    reason = edit(path, lambda state: state.update({name: torch.zeros(9)}))
    assert f'{ours} (9,) instead of (6,)' in reason
    reason = edit(path, lambda state: state[name].fill_(float('nan')))
    assert f'not finite in {ours}' in reason
    reason = edit(
        path, lambda state: state.update({'output_layer.weight': torch.zeros(14, 4, 1, 1, 1)})
    )
    assert 'finds 14 joints; the skeleton body has 15; nyu would fit' in reason


def refused(path, data, match, skeleton='icvl', **options):
    path.write_bytes(data)
    with pytest.raises(ImportWeightsError, match=match):
        import_weights(path, skeleton, name='x', **options)


def module_at(network, *place):
    for index in place:
        network = network.fields['modules'][index + 1]
    return network


def test_a_module_tree_that_differs_is_named(tmp_path):
    def network():
        return published_network.make_network(16, CHANNELS)

    path = tmp_path / 'x.net'
    tree = network()
    module_at(tree, 5, 0, 0, 1, 1).name = 'nn.Dropout'
    refused(path, saved(tree), r'network\[5\]\[0\]\[0\]\[1\]\[1\] is nn.Dropout; CAddTable is')
    tree = network()
    tree.fields['modules'].pop(7)
    refused(path, saved(tree), 'network has 6 modules; .* 7')
    tree = network()
    del module_at(tree, 0, 1).fields['running_var']
    refused(path, saved(tree), r'network\[0\]\[1\] \(front.0.1\) lacks the tensor running_var')
    tree = network()
    module_at(tree, 0, 0).fields['dT'] = 2
    refused(path, saved(tree), 'strides')
    tree = network()
    module_at(tree, 6).fields['weight'].offset = 10**12
    refused(path, saved(tree), 'does not lie in its storage')
    tree = network()
    module_at(tree, 6).fields['weight'].strides = (0, 0, 0, 0, 0)
    module_at(tree, 6).fields['weight'].sizes = (10**9, 10**9, 1, 1, 1)
    refused(path, saved(tree), 'does not lie in its storage')
    refused(path, saved({}), 'network is no module')
    refused(path, saved(Lua('nn.DataParallelTable')), 'network is nn.DataParallelTable')


def nested(depth):
    """A table in a table in a table: the entry 1 of each is the next."""
    levels = (raw(3, index, 1, 1) + struct.pack('<d', 1) for index in range(depth))
    return b''.join(levels) + raw(0)


def cyclic():
    network = Lua('nn.Sequential')
    network.fields['modules'] = dict.fromkeys(range(1, 8), network)
    return network


def own_storage():
    """A tensor that gives itself as its storage."""
    tensor = LuaTensor(LuaStorage([]), 0, (4,), (1,))
    tensor.storage = tensor
    convolution = Lua('nn.VolumetricConvolution', {'weight': tensor, 'bias': tensor})
    network = published_network.make_network(16, CHANNELS)
    network.fields['modules'][7] = convolution
    return network


def raw(*values):
    return b''.join(struct.pack('<q' if abs(v) >= 2**31 else '<i', v) for v in values)


def storage_head():
    return raw(4, 1, 3) + b'V 1' + raw(18) + b'torch.FloatStorage'


@pytest.mark.parametrize(
    ('data', 'match'),
    [
        (b'', 'neither'),
        (b'not weights at all', 'neither'),
        (b'4\n1\n3\nV 1\n', 'ASCII'),
        (raw(4), 'truncated'),
        (raw(4, 1, 3) + b'V 1' + raw(2**31 - 1), 'truncated'),
        (raw(3, 1, 2**31 - 1), 'truncated'),
        (raw(3, 1, -1), 'negative'),
        (raw(3, 1, 1, 99, 0, 0, 0), 'type tag 99'),
        (raw(4, 1, -5), 'negative'),
        (storage_head() + struct.pack('<q', 2**61), 'truncated'),
        (storage_head() + struct.pack('<q', -1), 'negative'),
        (raw(4, 1, 3) + b'V 1' + raw(17) + b'torch.FloatTensor' + raw(2**30), 'dimensions'),
        (nested(5000), 'deeper than'),
        (saved({1: {float(i): None for i in range(60_000)}}), 'more than 100000 values'),
        (saved(cyclic()), r'network\[0\] has 7 modules'),
        (saved(own_storage()), 'a tensor is empty'),
        (saved(Lua('os.execute', {'command': 'true'})), 'network is os.execute'),
        (saved({1: b'\x1bLJ code'}), 'no module'),
    ],
)  # fmt: skip
def test_hostile_torch7_files_are_refused(tmp_path, data, match):
    refused(tmp_path / 'x.net', data, match)


def test_truncated_torch7_files_are_refused(tmp_path):
    path, _ = torch7_file(tmp_path)
    data = path.read_bytes()
    for length in (5, 50, 500, 5000, len(data) // 2, len(data) - 1):
        refused(path, data[:length], 'truncated')


BASE = saved(published_network.make_network(16, (1, 1, 1, 1)))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_torch7_files_do_no_harm(data):
    """Whatever the bytes say: a value or a clear error, and no more memory than in proportion."""
    content = bytearray(BASE)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 8))
        content[place : place + 4] = data.draw(
            st.binary(min_size=4, max_size=4)
            | st.sampled_from([raw(-1), raw(2**31 - 1), raw(3), raw(4), raw(1), raw(0), raw(8)])
        )
    tracemalloc.start()
    with suppress(ImportWeightsError):
        module_tree.to_state(torch7.parse(bytes(content)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000 + 30 * len(BASE)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_no_torch7_file(content):
    for head in (b'', raw(3, 1), raw(4, 1, 3) + b'V 1'):
        try:
            torch7.parse(head + content)
        except ImportWeightsError:
            continue


class Touch:
    """A pickle that writes a file when it is loaded carelessly."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (str(self._path), 'w')


@pytest.mark.parametrize('legacy', [False, True])
def test_pickles_with_code_are_refused_without_running_it(tmp_path, legacy):
    path, witness = tmp_path / 'x.pth', tmp_path / 'witness'
    torch.save(
        {'state_dict': Touch(witness)}, path, _use_new_zipfile_serialization=not legacy
    )  # fmt: skip
    refused(path, path.read_bytes(), r"calls for '(io|_io).open'")
    refused(path, pickle.dumps(Touch(witness), protocol=2), r"calls for '(io|_io).open'")
    assert not witness.exists()


@pytest.mark.parametrize('legacy', [False, True])
def test_whole_pickled_modules_are_refused_with_what_to_do(tmp_path, legacy):
    path = tmp_path / 'model.pt'
    torch.save(nn.Conv3d(1, 1, 1), path, _use_new_zipfile_serialization=not legacy)
    refused(path, path.read_bytes(), r'Conv3d.*whole pickled module.*state_dict\(\)')


def archive(pickled, compression=zipfile.ZIP_STORED, **entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', compression) as made:
        made.writestr('archive/data.pkl', pickled)
        made.writestr('archive/version', '3\n')
        for name, content in entries.items():
            made.writestr(f'archive/data/{name.removeprefix("_")}', content)
    return stream.getvalue()


def tensor_pickle(count, sizes, strides):
    """The pickle of {'a': tensor} whose storage is said to have a number of floats."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return thing if isinstance(thing, tuple) and thing[:1] == ('storage',) else None

    class Tensor:
        def __reduce__(self):
            storage = ('storage', torch.FloatStorage, '0', 'cpu', count)
            arguments = (storage, 0, sizes, strides, False, None)
            return torch._utils._rebuild_tensor_v2, arguments

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump({'a': Tensor()})
    return stream.getvalue()


def test_state_dicts_that_claim_too_much_are_refused(tmp_path):
    path = tmp_path / 'x.pth'
    little = b'\0' * 64
    assert torch.load(io.BytesIO(archive(tensor_pickle(16, (16,), (1,)), _0=little)))
    for count, sizes, strides in [
        (10**11, (10**11,), (1,)),
        (16, (10**11,), (1,)),
        (16, (10**6, 10**6), (0, 0)),
        (16, (-4,), (1,)),
    ]:
        refused(
            path, archive(tensor_pickle(count, sizes, strides), _0=little), 'cannot be imported'
        )
    bomb = archive(tensor_pickle(2**24, (2**24,), (1,)), zipfile.ZIP_DEFLATED, _0=b'\0' * 2**26)
    assert len(bomb) < 2**17
    refused(path, bomb, 'compressed')
    refused(path, archive(b'\x80\x02' + b'}' * 600_000 + b'.'), 'steps')
    # A key of 400,000 tuples within each other, one of 2^60 tuples of which 60 are written, and a
    # flat one of 900^6: to hash the first takes the stack, the others for ever.
    refused(path, archive(b'\x80\x02}N' + b'\x85' * 400_000 + b'Ns.'), 'more than 1000 parts')
    pairs = b''.join(b'h%c\x86q%c' % (index, index + 1) for index in range(60))
    refused(path, archive(b'\x80\x02}N\x85q\0' + pairs + b'Ns.'), 'more than 1000 parts')
    flat = b''.join(b'(' + b'h%c' % index * 900 + b'tq%c' % (index + 1) for index in range(6))
    refused(path, archive(b'\x80\x02}N\x85q\0' + flat + b'Ns.'), 'more than 1000 parts')
    refused(path, archive(b'\x80\x02h\x07.'), 'damaged')
    refused(path, archive(b'\x80\x02\x86.'), 'damaged')
    refused(path, archive(pickle.dumps(bytearray(9), 2)), 'bytearray')
    refused(path, archive(pickle.dumps([1, 2], 2)), 'holds list')
    refused(path, archive(pickle.dumps({'a': 1}, 2)), "entry 'a' is int")
    refused(path, archive(b'\x80\x02'), 'damaged')


def small_checkpoint(legacy):
    stream = io.BytesIO()
    state = {'front_layers.0.block.0.weight': torch.ones(2, 1, 7, 7, 7), 'b': torch.ones(3)}
    torch.save(state, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


CHECKPOINTS = [small_checkpoint(legacy) for legacy in (False, True)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(CHECKPOINTS))
def test_damaged_state_dicts_do_no_harm(data, base):
    content = bytearray(base)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 8))
        change = data.draw(st.binary(min_size=1, max_size=4))
        content[place : place + len(change)] = change
    content = content[: data.draw(st.integers(2, len(content)))]
    try:
        tensors = state_dicts.load_tensors(bytes(content))
    except ImportWeightsError:
        return
    assert sum(tensor.numel() for tensor in tensors.values()) <= len(base)


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from v2v_pose_ros.importing import ImportWeightsError
from v2v_pose_ros.importing.weights import import_weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        import_weights(Path(path), 'icvl', name='x')
    except ImportWeightsError:
        continue
    raise SystemExit(f'{path} was imported')
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_hostile_files_take_memory_in_proportion(tmp_path):
    """Files of kilobytes that declare gigabytes; resident memory may grow by 30 MB (code)."""
    files = {
        'storage.net': storage_head() + struct.pack('<q', 10**9),
        'table.net': raw(3, 1, 2**31 - 1) + bytes(1000),
        'storage.pth': archive(tensor_pickle(10**10, (10**10,), (1,)), _0=bytes(64)),
        'sizes.pth': archive(tensor_pickle(16, (10**10,), (1,)), _0=bytes(64)),
        'bomb.pth': archive(
            tensor_pickle(2**25, (2**25,), (1,)), zipfile.ZIP_DEFLATED, _0=bytes(2**27)
        ),
        'array.pth': archive(b'\x80\x02c__builtin__\nbytearray\nI10000000000\n\x85R.'),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, '-c', LIMITED, *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 30_000  # kilobytes


def test_the_command_writes_a_model_file(tmp_path, capsys):
    path, network = torch7_file(tmp_path, joints=21)
    out = tmp_path / 'msra_v2v.safetensors'
    command = ['import-weights', str(path), str(out), '--skeleton', 'hand', '--grid', '16']
    assert main(command) == 1
    assert 'needs a joint order' in capsys.readouterr().err
    assert main([*command, '--joint-order', 'msra']) == 0
    assert '21 joints, cube 0.2 m, convention lua_y_up' in capsys.readouterr().out
    model = load_model(out)
    assert model.info.name == 'msra_v2v'
    assert model.info.training['imported_from'].startswith('model.net, torch7, sha256 ')
    grid = random_grid(1)
    expected = published_network.run(network, grid.flip(3)).flip(3)[:, 0]
    torch.testing.assert_close(model.network(grid)[:, 0], expected, rtol=0, atol=1e-4)


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    path = tmp_path / 'nothing.net'
    out = str(tmp_path / 'x.safetensors')
    assert main(['import-weights', str(path), out, '--skeleton', 'body']) == 1
    assert 'there is no file' in capsys.readouterr().err
    path.write_bytes(b'hello')
    assert main(['import-weights', str(path), out, '--skeleton', 'body']) == 1
    assert f'{path} cannot be imported: it is neither' in capsys.readouterr().err
    path, _ = torch7_file(tmp_path, joints=15)
    for grid in ('90', '0', '1024'):  # not of three halvings, and beyond what a model may have
        assert main(['import-weights', str(path), out, '--skeleton', 'body', '--grid', grid]) == 1
        assert 'a multiple of 8 from 16 to 256 is meant' in capsys.readouterr().err
    assert not (tmp_path / 'x.safetensors').exists()
    assert main(['import-weights', str(path), 'x.net', '--skeleton', 'body']) == 1
    assert '.safetensors' in capsys.readouterr().err
