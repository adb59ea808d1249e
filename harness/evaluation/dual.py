"""The objective of multinomial logistic regression in its dual form: the problem, its gradient, a step.

E episodes, K = n_way classes, S support images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """One regression an episode: minimise C · cross-entropy(A G + b) + ½ tr(A G Aᵀ) over A and b."""

    gram: Tensor  # (E, S, S), G, of centred features
    targets: Tensor  # (E, K, S), one-hot
    C: float  # inverse strength of the penalty

    @property
    def n_way(self) -> int:
        return self.targets.shape[1]

    @property
    def tolerance(self) -> float:
        """The gradient norm at which an episode is solved, for the digits that its numbers have."""
        return 5e-5 if self.gram.dtype == torch.float32 else 1e-8


@dataclass(frozen=True)
class Descent:
    """Minus the gradient: the direction of steepest descent, (dual X, intercept)."""

    dual: Tensor  # (E, K, S)
    intercept: Tensor  # (E, K, 1)
    dual_gram: Tensor  # (E, K, S), dual G

    @classmethod
    def at(cls, problem: Problem, dual: Tensor, probabilities: Tensor) -> Descent:
        residual = problem.C * (problem.targets - probabilities)
        dual_descent = centred(residual) - dual
        return cls(dual_descent, residual.sum(dim=2, keepdim=True), dual_descent @ problem.gram)

    @cached_property
    def norm(self) -> Tensor:
        """(E, 1, 1), of the gradient with respect to W = A X and b."""
        return (dot(self.dual, self.dual_gram).clamp(min=0) + dot(self.intercept, self.intercept)).sqrt()


@dataclass(frozen=True)
class Step:
    """A direction to move in, and what it does to the logits."""

    dual: Tensor  # (E, K, S)
    intercept: Tensor  # (E, K, 1)
    dual_gram: Tensor  # (E, K, S), dual G
    logits: Tensor  # (E, K, S), dual G + intercept
    slope: Tensor  # (E, 1, 1), of the objective along the step at its start; negative

    @classmethod
    def along(cls, problem: Problem, descent: Descent, dual: Tensor, intercept: Tensor) -> Step:
        dual_gram = dual @ problem.gram
        slope = -(dot(descent.dual, dual_gram) + dot(descent.intercept, intercept))
        return cls(dual, intercept, dual_gram, dual_gram + intercept, slope)


def centred(a: Tensor) -> Tensor:
    """``a`` (E, K, S) less its mean over S, on which a X does not depend: left in, it would add rounding errors."""
    return a - a.mean(dim=2, keepdim=True)


def dot(left: Tensor, right: Tensor) -> Tensor:
    """(E, 1, 1), the sum of products of two (E, K, …)."""
    return (left * right).sum(dim=(1, 2), keepdim=True)
