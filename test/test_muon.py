"""The optimiser whose steps are orthogonal matrices."""

from __future__ import annotations

import pytest
import torch

from v2v_pose_ros.training.muon import Muon, orthogonalised


@pytest.mark.parametrize('shape', [(8, 50), (50, 8), (1, 9), (16, 16)])
def test_singular_vectors_stay_and_values_become_about_one(shape):
    draw = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=draw), full_matrices=False)
    matrix = u @ torch.diag(torch.logspace(0, -1.5, min(shape))) @ v
    result = orthogonalised(7 * matrix)
    values = torch.diagonal(u.T @ result @ v.T)
    assert torch.allclose(u @ torch.diag(values) @ v, result, atol=1e-4)
    assert values.min() > 0.65
    assert values.max() < 1.25


def test_it_iterates_as_the_authors_do():
    """Jordan's own loop, which multiplies the whole matrix in every round."""
    matrix = torch.randn(12, 70, generator=torch.Generator().manual_seed(1))
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    assert torch.allclose(orthogonalised(matrix), x, atol=1e-5)


def test_no_gradient_moves_nothing():
    assert orthogonalised(torch.zeros(3, 5)).abs().max() == 0
    weight = torch.nn.Parameter(torch.ones(2, 3, 1, 1, 1))
    optimiser = Muon([weight], 0.1)
    optimiser.step()
    weight.grad = torch.zeros_like(weight)
    optimiser.step()
    assert torch.equal(weight, torch.ones_like(weight))


def test_a_step_is_as_long_as_those_of_adamw():
    """A root mean square of about 0.2 learning rates, whatever the shape and the gradient."""
    draw = torch.Generator().manual_seed(2)
    for shape in [(8, 4, 3, 3, 3), (16, 2, 1, 1, 1), (4, 32, 3, 3, 3)]:
        weight = torch.nn.Parameter(torch.zeros(shape))
        weight.grad = 1e3 * torch.randn(shape, generator=draw)
        Muon([weight], 0.01).step()
        length = weight.detach().square().mean().sqrt()
        assert 0.7 * 0.002 < length < 1.25 * 0.002
        assert (weight.detach() * weight.grad).sum() < 0


def test_weights_decay_apart_from_the_gradient():
    weight = torch.nn.Parameter(torch.full((2, 2, 1, 1, 1), 3.0))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], 0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full_like(weight, 3 * 0.95))


def test_the_memory_layout_does_not_matter():
    draw = torch.Generator().manual_seed(3)
    start, gradient = torch.randn(2, 6, 4, 3, 3, 3, generator=draw)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        weight = torch.nn.Parameter(start.clone(memory_format=layout))
        optimiser = Muon([weight], 0.1)
        for _ in range(3):
            weight.grad = gradient.clone(memory_format=layout)
            optimiser.step()
        results.append(weight.detach())
    assert torch.allclose(results[0], results[1], atol=1e-6)
