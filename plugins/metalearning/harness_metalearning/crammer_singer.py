"""The multi-class support vector machine of Crammer and Singer: a batched classifier through which gradients flow.

E episodes, S supports, K = n_way classes. The dual has an α (S, K) an episode. With one-hot labels Y it is written
α = Y - p, so that each row of p lies in the simplex:

    minimise ½ tr(αᵀ G α) - Σ Y ∘ α   over p ≥ 0, Σ_k p = 1,   G = X Xᵀ

with optimality conditions Y - G α + ν - z = 0, p ∘ z = 0, z ≥ 0. A Newton step on them couples the classes by a row's
sum alone, so that it costs K + 1 factorisations of S × S matrices and not one of S·K × S·K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ITERATIONS = 50  # some 15 are enough
TOLERANCE = 1e-12  # of the sum of p ∘ z, in units of ‖W‖²
FLOOR = 1e-9  # of z / p, in units of the largest element of G


def crammer_singer(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Scores (E, Q, n_way) of the W that minimises ½ ‖W‖² + Σ hinge losses: C = 1, no intercept, in float64.

    Another C is the same as features times √C.

    Args:
        support: X, (E, S, D).
        support_labels: (E, S) int64.
        query: (E, Q, D).
    Source: Crammer and Singer 2001; as the base learner of Lee et al. 2019 (MetaOptNet), eq. 8.
    """
    x = support.double()
    targets = F.one_hot(support_labels, n_way).to(x.dtype)
    dual = _Dual.apply(x @ x.transpose(1, 2), targets)
    return (query.double() @ x.transpose(1, 2) @ dual).to(query.dtype)


class _Dual(torch.autograd.Function):
    """α (E, S, K) of G (E, S, S) and Y (E, S, K), with the gradient of G by implicit differentiation."""

    @staticmethod
    def forward(ctx: Any, gram: Tensor, targets: Tensor) -> Tensor:
        p, z = interior_point(gram, targets)
        alpha = targets - p
        ctx.save_for_backward(gram, alpha, z / p)
        return alpha

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """With p and z on the central path, p ∘ dz + z ∘ dp = 0, and the adjoint has the matrix of a Newton step."""
        gram, alpha, ratio = ctx.saved_tensors
        adjoint, _ = Step(gram, ratio).solve(gradient, torch.zeros_like(gradient[..., 0]))
        return -adjoint @ alpha.transpose(1, 2), None


@dataclass
class Step:
    """The matrix of a Newton step, factorised: (G + diag(ratio_k)) u_k + w = a_k for each class, Σ_k u_k = b."""

    gram: Tensor  # (E, S, S)
    ratio: Tensor  # (E, S, K), z / p

    def __post_init__(self) -> None:
        largest = self.gram.diagonal(dim1=1, dim2=2).amax(dim=1).clamp(min=1e-6)  # (E,)
        # Where one p of a row is near 1, its u is a small difference of numbers the larger, the smaller its ratio.
        ratio = self.ratio.clamp(min=FLOOR * largest[:, None, None])
        blocks = self.gram[:, None] + torch.diag_embed(ratio.transpose(1, 2))  # (E, K, S, S)
        self._blocks = torch.linalg.cholesky(blocks)
        self._sum = torch.linalg.cholesky(torch.cholesky_inverse(self._blocks).sum(dim=1))  # (E, S, S)

    def solve(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """u (E, S, K) and w (E, S) for a (E, S, K) and b (E, S)."""
        free = self._by_class(a).sum(dim=2)
        w = torch.cholesky_solve((free - b)[..., None], self._sum)  # (E, S, 1)
        return self._by_class(a - w), w[..., 0]

    def _by_class(self, a: Tensor) -> Tensor:
        return torch.cholesky_solve(a.transpose(1, 2)[..., None], self._blocks)[..., 0].transpose(1, 2)


def interior_point(gram: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """p and z (E, S, K) at the optimum, both above 0, by Mehrotra's predictor and corrector from a feasible start.

    Steps keep Σ_k p = 1 and the condition on the slope; only p ∘ z has to fall. Its sum bounds ½ ‖W - W*‖².
    """
    p = torch.full_like(targets, 1 / targets.shape[2])
    slope = targets - gram @ (targets - p)
    z = slope - slope.amin(dim=2, keepdim=True) + gram.diagonal(dim1=1, dim2=2).amax(dim=1).clamp(min=1)[:, None, None]
    nothing = torch.zeros_like(p[..., 0])
    for _ in range(ITERATIONS):
        alpha, product = targets - p, p * z
        gap = product.mean(dim=(1, 2), keepdim=True)  # (E, 1, 1)
        norm = (alpha * (gram @ alpha)).mean(dim=(1, 2), keepdim=True)  # ‖W‖², in the unit of the gap
        unsolved = gap > TOLERANCE * norm.clamp(min=1e-12)
        if not bool(unsolved.any()):
            break
        step = Step(gram, z / p)
        dp, w = step.solve(-z, nothing)  # towards p ∘ z = 0
        dz = gram @ dp + w[..., None]
        length = _longest(p, dp, z, dz)
        predicted = ((p + length * dp) * (z + length * dz)).mean(dim=(1, 2), keepdim=True)
        centred = (predicted / gap) ** 3 * gap - dp * dz  # towards the central path, its curvature counted
        dp, w = step.solve(centred / p - z, nothing)
        dz = gram @ dp + w[..., None]
        length = torch.where(unsolved, 0.99 * _longest(p, dp, z, dz), 0.0)
        p, z = p + length * dp, z + length * dz
        p = p / p.sum(dim=2, keepdim=True)  # which rounding would let drift
    return p, z


def _longest(p: Tensor, dp: Tensor, z: Tensor, dz: Tensor) -> Tensor:
    """(E, 1, 1), up to 1: how far both can go until an element is 0."""
    most = [torch.where(d < 0, -value / d, torch.inf).amin(dim=(1, 2), keepdim=True) for value, d in ((p, dp), (z, dz))]
    return torch.minimum(*most).clamp(max=1)
