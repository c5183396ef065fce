"""Muon: steps in which every direction of a layer's gradient counts alike.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the scale of
Liu et al., "Muon is scalable for LLM training" (2025), section 2.2, by which a step is as long as
AdamW's and takes its learning rate.  PyTorch's own takes matrices alone; here, a convolution is a
matrix of outputs by all that an output sees, a transposed one of inputs by all that they reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn, Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic whose slope at zero is largest
_ITERATIONS = 5
_LENGTH = 0.2  # root mean square of AdamW's steps, in learning rates


class Muon(torch.optim.Optimizer):
    """Momentum whose singular values are set to about one, for the weights of hidden layers."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        """Create the optimiser; `weight_decay` is decoupled, as AdamW's is."""
        options = {'lr': learning_rate, 'momentum': momentum, 'weight_decay': weight_decay}
        super().__init__(parameters, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Do one step."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state['momentum'] = torch.zeros_like(parameter)
        momentum = state['momentum'].lerp_(gradient, 1 - group['momentum'])
        update = gradient.lerp(momentum, group['momentum']).flatten(1)  # Nesterov's
        length = _LENGTH * max(update.shape) ** 0.5
        direction = orthogonalised(update).view_as(parameter)
        parameter.mul_(1 - group['lr'] * group['weight_decay'])
        parameter.add_(direction, alpha=-group['lr'] * length)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix [M, N] with its singular values s set to about one, 0.7 to 1.2.

    Newton-Schulz iterations X <- (a + b A + c A A) X with A = X X^T, of which only the product of
    the factors and A itself are written down: they are small where X is wide, which a layer's
    weights are.
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    a, b, c = _COEFFICIENTS
    matrix = matrix / matrix.norm().clamp(min=1e-12)
    gram = matrix @ matrix.T
    unit = a * torch.eye(len(gram), device=gram.device, dtype=gram.dtype)
    product: Tensor | None = None
    for _ in range(_ITERATIONS):
        factor = unit + b * gram + c * (gram @ gram)
        product = factor if product is None else factor @ product
        gram = factor @ gram @ factor  # the factors are polynomials of A: they commute with it
    assert product is not None
    return product @ matrix
