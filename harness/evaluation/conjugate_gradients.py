"""The Newton direction of a multinomial logistic regression, by projected conjugate gradients.

Let H = L Lᵀ be the curvature of the cross-entropy, which is block-diagonal, and N = Lᵀ 1. With (down, down_b) minus the
gradient, the direction for A is down - C L s, and (s, the direction for b) solves

    (I + C Lᵀ G L) s - N step_b = Lᵀ G down,    Nᵀ s = down_b / C.

The matrix is symmetric and has no eigenvalue below 1, whatever the rank of G. Iterates keep to the constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.evaluation.dual import Descent, Problem, Step, centred, dot

MAX_CG_STEPS = 200


@dataclass(frozen=True)
class Curvature:
    """The factor L of the cross-entropy's curvature at some probabilities, and what the constraint needs of it."""

    root: Tensor  # (E, K, S), square roots of the probabilities
    constraint: Tensor  # (E, K, K), the inverse of Nᵀ N, regularised along (1, …, 1), where that is singular

    @classmethod
    def at(cls, probabilities: Tensor) -> Curvature:
        n_way = probabilities.shape[1]
        normal = torch.diag_embed(probabilities.sum(dim=2)) - probabilities @ probabilities.transpose(1, 2)
        scale = normal.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None].clamp(min=1e-6)
        epsilon = torch.finfo(probabilities.dtype).eps
        ridge = 1 / n_way + epsilon * torch.eye(n_way, device=probabilities.device)
        return cls(probabilities.sqrt(), torch.linalg.inv(normal + scale * ridge))

    def factor(self, x: Tensor) -> Tensor:
        """L x, of x (E, K, S)."""
        return self.root * torch.addcmul(x, self.root, (self.root * x).sum(dim=1, keepdim=True), value=-1)

    def factor_transposed(self, x: Tensor) -> Tensor:
        """Lᵀ x, of x (E, K, S)."""
        x = self.root * x
        return torch.addcmul(x, self.root, (self.root * x).sum(dim=1, keepdim=True), value=-1)

    def projected(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """The part of ``residual`` (E, K, S) that the constraint allows, and the multiplier (E, K, 1) of the rest."""
        multiplier = self.constraint @ self.factor(residual).sum(dim=2, keepdim=True)
        return residual - self.factor_transposed(multiplier.expand_as(residual)), multiplier


def newton_direction(problem: Problem, probabilities: Tensor, descent: Descent, active: Tensor) -> Step:
    """The Newton step of each episode.

    Args:
        probabilities: (E, K, S), of the classes.
        active: (E, 1, 1) bool, which episodes to step at all.
    """
    C, gram = problem.C, problem.gram
    goal = torch.minimum(0.1 * descent.norm, descent.norm**2).clamp(min=0.5 * problem.tolerance)
    curvature = Curvature.at(probabilities)
    s = curvature.factor_transposed((curvature.constraint @ descent.intercept / C).expand_as(probabilities))
    residual = curvature.factor_transposed(descent.dual_gram - C * (curvature.factor(s) @ gram)) - s
    residual, multiplier = curvature.projected(residual)
    direction = residual
    squared = dot(residual, residual)
    intercept = -multiplier
    beta = along = torch.zeros_like(squared)
    for _ in range(MAX_CG_STEPS):
        image = torch.add(direction, curvature.factor_transposed(curvature.factor(direction) @ gram), alpha=C)
        previous, along = along, dot(direction, image)
        reached = C * (along + beta * beta * previous - squared) <= goal * goal  # the gradient that is left
        alpha = torch.where(active, squared / along, 0.0)
        s, residual = torch.addcmul(s, alpha, direction), torch.addcmul(residual, alpha, image, value=-1)
        residual, multiplier = curvature.projected(residual)
        intercept = intercept - multiplier
        active = active & ~reached
        if not bool(active.any()):
            break
        previous_squared, squared = squared, dot(residual, residual)
        beta = torch.where(active, squared / previous_squared, 0.0)
        direction = torch.addcmul(residual, beta, direction)
    return Step.along(problem, descent, descent.dual - centred(C * curvature.factor(s)), intercept)
