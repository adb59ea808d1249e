"""Newton's method for many multinomial logistic regressions at once, each of which stops on its own.

Everything is held in the dual form of ``logistic``: weights W = A X for support features X, so that X is needed only
through its Gram matrix. E episodes, K = n_way classes, S support images. Support images are the last axis of all
arrays, which makes products and softmaxes several times faster than the other order does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.evaluation.conjugate_gradients import newton_direction
from harness.evaluation.dual import Descent, Problem, Step, dot

MAX_NEWTON_STEPS = 50
MAX_TRIALS = 20  # of a step size
STALLED_STEPS = 5  # without a tenth less gradient: rounding allows no more


@dataclass(frozen=True)
class State:
    """Where the solver is in each episode."""

    dual: Tensor  # (E, K, S), A
    intercept: Tensor  # (E, K, 1), b
    logits: Tensor  # (E, K, S), A G + b
    probabilities: Tensor  # (E, K, S), the softmax of the logits over K

    @classmethod
    def at_zero(cls, problem: Problem) -> State:
        """All weights zero, hence all classes equally likely."""
        zero = torch.zeros_like(problem.targets)
        uniform = torch.full_like(problem.targets, 1 / problem.n_way)
        return cls(zero, torch.zeros_like(problem.targets[:, :, :1]), torch.zeros_like(zero), uniform)

    def moved(self, step: Step, size: Tensor, probabilities: Tensor) -> State:
        """After ``size`` (E, 1, 1) times the step, where the classes have these probabilities."""
        return State(
            torch.addcmul(self.dual, size, step.dual),
            torch.addcmul(self.intercept, size, step.intercept),
            torch.addcmul(self.logits, size, step.logits),
            probabilities,
        )


class Progress:
    """Which episodes are still to be stepped: those with a large gradient that has not stopped shrinking."""

    def __init__(self, problem: Problem) -> None:
        self._tolerance = problem.tolerance
        self._best = torch.full_like(problem.targets[:, :1, :1], torch.inf)
        self._stalled = torch.zeros_like(self._best)

    def active(self, norm: Tensor) -> Tensor:
        """(E, 1, 1) bool, given the gradient norms (E, 1, 1) of this step."""
        self._stalled = torch.where(norm < 0.9 * self._best, 0.0, self._stalled + 1)
        self._best = torch.minimum(self._best, norm)
        return (norm > self._tolerance) & (self._stalled < STALLED_STEPS)


def solve(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """A (E, K, S), b (E, K, 1) and the last gradient norms (E,), by Newton steps from zero."""
    state, progress = State.at_zero(problem), Progress(problem)
    for _ in range(MAX_NEWTON_STEPS):
        descent = Descent.at(problem, state.dual, state.probabilities)
        active = progress.active(descent.norm)
        if not bool(active.any()):
            break
        step = newton_direction(problem, state.probabilities, descent, active)
        size, probabilities = line_search(problem, state, step, active)
        state = state.moved(step, size, probabilities)
    return state.dual, state.intercept, descent.norm.flatten()


def line_search(problem: Problem, state: State, step: Step, active: Tensor) -> tuple[Tensor, Tensor]:
    """The step size (E, 1, 1) of each episode, and the probabilities (E, K, S) that it leads to.

    1, unless the objective rises there more steeply than half as it fell at the start. Then a size between is looked
    for where it neither rises nor falls so steeply: with many classes and large features most of a first step leads
    far beyond the valley, and the size that is merely not too large gets nowhere.
    """
    steep = 0.5 * step.slope.abs()
    size = active.to(state.logits.dtype)
    low, high = torch.zeros_like(size), torch.full_like(size, torch.inf)
    slope_low, slope_high = step.slope, torch.zeros_like(step.slope)
    for _ in range(MAX_TRIALS):
        probabilities = torch.addcmul(state.logits, size, step.logits).softmax(dim=1)
        residual = problem.C * (problem.targets - probabilities)
        slope = dot(state.dual + size * step.dual - residual, step.dual_gram)
        slope = slope - dot(residual.sum(dim=2, keepdim=True), step.intercept)
        too_far = active & ~(slope <= steep)  # so written, a slope that is not a number is too far
        too_near = active & (slope < -steep) & high.isfinite()
        wrong = too_far | too_near
        if not bool(wrong.any()):
            break
        high, slope_high = torch.where(too_far, size, high), torch.where(too_far, slope, slope_high)
        low, slope_low = torch.where(too_near, size, low), torch.where(too_near, slope, slope_low)
        share = (slope_low / (slope_low - slope_high)).nan_to_num(0.5).clamp(0.1, 0.9)  # of the way, by the secant
        size = torch.where(wrong, low + (high - low) * share, size)
    return size, probabilities
