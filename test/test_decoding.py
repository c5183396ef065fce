"""Decoding in NumPy against the same arithmetic in torch."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import torch

from v2v_pose_ros.voxels import VoxelCodec


def decode_in_torch(codec, output, reference):
    """Decode by torch's operations, which tensors with a gradient take."""
    return codec.decode(output.clone().requires_grad_(), reference)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([16, 48, 88]),
    activation=st.sampled_from(['identity', 'softmax']),
    noise=st.sampled_from([0.0, 0.01, 0.5]),
)
def test_numpy_decodes_what_torch_does(seed, size, activation, noise):
    generator = torch.Generator().manual_seed(seed)
    codec = VoxelCodec(0.25, size, sigma=1.2, activation=activation)
    joints = 0.3 * torch.rand(2, 4, 3, generator=generator) - 0.15  # some are outside
    reference = torch.rand(2, 3, generator=generator)
    output = codec.heatmaps(joints + reference[:, None], reference)
    if activation == 'softmax':
        output = output.clamp(min=1e-6).log()
    output = output + noise * torch.randn(output.shape, generator=generator)
    found, wanted = codec.decode(output, reference), decode_in_torch(codec, output, reference)
    cell = codec.cell
    torch.testing.assert_close(found.positions, wanted.positions, atol=1e-3 * cell, rtol=0)
    torch.testing.assert_close(found.confidences, wanted.confidences, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        found.covariances / cell**2, wanted.covariances / cell**2, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize('value', [0.0, -1.0, 0.3])
def test_volumes_without_a_peak_decode_alike(value):
    codec = VoxelCodec(0.25, 16)
    output, reference = torch.full((1, 2, 8, 8, 8), value), torch.zeros(1, 3)
    found, wanted = codec.decode(output, reference), decode_in_torch(codec, output, reference)
    torch.testing.assert_close(found.positions, wanted.positions, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.confidences, wanted.confidences)
    torch.testing.assert_close(found.covariances, wanted.covariances, atol=1e-7, rtol=1e-3)


def test_half_precision_decodes():
    codec = VoxelCodec(0.25, 48)
    joints, reference = torch.tensor([[[0.03, -0.02, 0.05]]]), torch.zeros(1, 3)
    output = codec.heatmaps(joints, reference).bfloat16()
    assert (codec.decode(output, reference).positions - joints).abs().max() < 0.2 * codec.cell
