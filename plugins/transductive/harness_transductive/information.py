"""The gradient descent that TIM and α-TIM share.

    minimise over W (n_way, D):   λ · cross-entropy(supports) - marginal entropy + α · conditional entropy(queries)

of the predictions p ∝ exp(-τ/2 ‖w - z‖²) for features z of length one, by Adam from the class means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness_transductive.features import means, members, unit

TEMPERATURE, RATE = 15.0, 1e-4  # τ, and Adam's learning rate

Slopes = Callable[[Tensor, Tensor], Tensor]  # of an entropy, by each probability; from probabilities and logarithms


@dataclass(frozen=True)
class Aim:
    """Which entropies are meant, by their slopes, and how much they weigh beside the marginal one."""

    entropy: Slopes
    cross_entropy: float  # λ
    conditional: float  # α


def descend(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, aim: Aim, steps: int) -> Tensor:
    """Scores (E, Q, n_way): the logits after ``steps`` steps from the class means.

    The gradient is written out, since the products of features with W are nearly all that a step then costs.
    """
    n_support, n_query = support.shape[1], query.shape[1]
    features = unit(torch.cat([support, query], dim=1))  # (E, n, D)
    targets = members(support_labels, n_way, features.dtype)
    centres = means(targets) @ features[:, :n_support]  # W, (E, n_way, D)
    tiny = torch.finfo(features.dtype).tiny
    optimiser = torch.optim.Adam([centres], lr=RATE, fused=centres.device.type in ("cpu", "cuda"))

    def logits() -> Tensor:  # (E, n_way, n), up to what all classes share
        lengths = centres.square().sum(dim=2, keepdim=True)
        return TEMPERATURE * torch.baddbmm(lengths, centres, features.transpose(1, 2), beta=-0.5)

    for _ in range(steps):
        logarithms = logits().log_softmax(dim=1)
        p = logarithms.exp()
        p_query, marginal = p[:, :, n_support:], p[:, :, n_support:].mean(dim=2, keepdim=True)
        by_p = aim.conditional * aim.entropy(p_query, logarithms[:, :, n_support:])
        by_p -= aim.entropy(marginal, marginal.clamp(min=tiny).log())
        by_p *= p_query / n_query
        slope = torch.cat(  # of the objective, by the logits
            [
                aim.cross_entropy / n_support * (p[:, :, :n_support] - targets),
                by_p - p_query * by_p.sum(dim=1, keepdim=True),
            ],
            dim=2,
        )
        centres.grad = TEMPERATURE * (slope @ features - slope.sum(dim=2, keepdim=True) * centres)
        optimiser.step()
    return logits()[:, :, n_support:].transpose(1, 2)
