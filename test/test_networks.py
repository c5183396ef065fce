"""The networks against the published layer tables."""

import pytest
import torch

from v2v_pose_ros.networks.refinement import RefinementNet
from v2v_pose_ros.networks.v2v import V2VConfig, V2VPoseNet
from v2v_pose_ros.networks.widening import widen
from v2v_pose_ros.runtimes.torch_runtime import fold_normalisation, TorchRuntime


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ('joints', 'count'), [(14, 3_410_222), (15, 3_410_255), (16, 3_410_288), (21, 3_410_453)]
)
def test_v2v_has_the_published_parameters(joints, count):
    assert parameters(V2VPoseNet(V2VConfig(joints))) == count


def test_refinement_has_the_published_parameters_and_shapes():
    network = RefinementNet().eval()
    assert parameters(network) == 3_567_651
    assert network(torch.zeros(2, 1, 128, 128)).shape == (2, 3)


def test_v2v_multiplies_as_often_as_published():
    """36.4 GMAC at 88 voxels; counted at 16 voxels and scaled, since every layer is a volume's."""
    count = 0

    def add(module, inputs, output):
        nonlocal count
        kernel = module.weight[0].numel()
        if isinstance(module, torch.nn.ConvTranspose3d):
            kernel = module.in_channels  # each output cell sees one cell of the input
        count += output.numel() * kernel

    network = V2VPoseNet(V2VConfig(21)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            module.register_forward_hook(add)
    with torch.inference_mode():
        network(torch.zeros(1, 1, 16, 16, 16))
    assert count * (88 / 16) ** 3 / 1e9 == pytest.approx(36.4, abs=0.1)


@pytest.mark.parametrize('stem', ['conv7', 'fold'])
def test_heatmaps_have_half_the_edge(stem):
    network = V2VPoseNet(V2VConfig(5, (4, 4, 8, 8), stem)).eval()
    assert network(torch.zeros(2, 1, 24, 24, 24)).shape == (2, 5, 12, 12, 12)


def test_folding_keeps_each_voxel():
    """Every input voxel must reach the folded stem: a gradient from each of them."""
    network = V2VPoseNet(V2VConfig(2, (4, 4, 8, 8), 'fold')).eval()
    grid = torch.rand(1, 1, 8, 8, 8, requires_grad=True)
    network.front[0](grid).sum().backward()
    assert (grid.grad != 0).all()


def test_published_initialisation():
    network = V2VPoseNet(V2VConfig(21))
    network.initialise_as_published(torch.Generator().manual_seed(0))
    weights = torch.cat(
        [
            module.weight.flatten()
            for module in network.modules()
            if isinstance(module, torch.nn.Conv3d | torch.nn.ConvTranspose3d)
        ]
    )
    assert weights.std().item() == pytest.approx(0.001, rel=0.01)
    assert abs(weights.mean().item()) < 1e-5
    assert all((m.bias == 0).all() for m in network.modules() if isinstance(m, torch.nn.Conv3d))


@pytest.fixture(scope='module')
def trained():
    """A small network whose normalisation statistics are not the initial ones."""
    torch.manual_seed(0)
    network = V2VPoseNet(V2VConfig(3, (4, 4, 8, 8), 'fold'))
    for _ in range(3):
        network((torch.rand(4, 1, 16, 16, 16) < 0.1).float())
    return network.eval().requires_grad_(False)


def test_folded_normalisation_changes_nothing(trained):
    grid = (torch.rand(2, 1, 16, 16, 16) < 0.1).float()
    torch.testing.assert_close(fold_normalisation(trained)(grid), trained(grid))
    runtime = TorchRuntime(trained, torch.device('cpu'), torch.float32)
    torch.testing.assert_close(runtime(grid), trained(grid))


@pytest.mark.parametrize('stem', ['conv7', 'fold'])
def test_openvino_agrees_with_torch(stem, tmp_path):
    openvino = pytest.importorskip('openvino')
    from v2v_pose_ros.runtimes.openvino_runtime import make_graph

    torch.manual_seed(1)
    network = V2VPoseNet(V2VConfig(3, (4, 4, 8, 8), stem))
    network((torch.rand(4, 1, 16, 16, 16) < 0.1).float())
    network.eval()
    grid = (torch.rand(1, 1, 16, 16, 16) < 0.1).float()
    compiled = openvino.Core().compile_model(
        make_graph(network, 16), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'}
    )
    output = torch.from_numpy(compiled([grid.numpy()])[0])
    torch.testing.assert_close(output, network(grid).detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('values', [{'joints': 0}, {'channels': (1, 2, 3)}, {'stem': 'conv5'}])
def test_networks_that_cannot_be_built_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        V2VConfig(**{'joints': 21, **values})


def seasoned(config):
    """A network whose normalisation has seen something, too."""
    torch.manual_seed(1)
    network = V2VPoseNet(config)
    for _ in range(3):
        network((torch.rand(2, 1, 16, 16, 16) < 0.2).float())
    return network.eval()


@pytest.mark.parametrize('stem', ['conv7', 'fold'])
@pytest.mark.parametrize('channels', [(4, 6, 12, 16), (5, 8, 9, 12), (4, 6, 8, 10)])
def test_a_widened_network_computes_the_same(channels, stem):
    narrow = seasoned(V2VConfig(5, (4, 6, 8, 10), stem))
    wide = V2VPoseNet(V2VConfig(5, channels, stem)).eval()
    widen(narrow, wide)
    grid = (torch.rand(2, 1, 32, 32, 32) < 0.1).float()
    expected = narrow(grid)
    assert (wide(grid) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_widened_network_learns_with_its_new_channels():
    """Nothing old reads a new channel, and yet the first step of training reaches its weights."""
    narrow = seasoned(V2VConfig(5, (4, 6, 8, 10)))
    wide = V2VPoseNet(V2VConfig(5, (4, 6, 12, 16)))
    widen(narrow, wide)
    wide((torch.rand(2, 1, 16, 16, 16) < 0.2).float()).square().mean().backward()
    weight = wide.encoder_decoder.up1[0].weight  # [in, out, ...]: from 12 channels, 8 of them old
    assert (weight[8:] == 0).all()
    assert weight.grad[8:].abs().max() > 0


@pytest.mark.parametrize(
    ('channels', 'stem', 'message'),
    [
        ((4, 6, 7, 10), 'conv7', 'does not fit into'),
        ((4, 6, 8, 10), 'fold', 'differ in more than'),
        ((6, 6, 8, 10), 'conv7', 'differ in more than'),  # no convolution where channels change
    ],
)
def test_what_cannot_be_widened_is_refused(channels, stem, message):
    with pytest.raises(ValueError, match=message):
        widen(seasoned(V2VConfig(5, (4, 6, 8, 10))), V2VPoseNet(V2VConfig(5, channels, stem)))
