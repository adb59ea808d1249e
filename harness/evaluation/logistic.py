"""Multinomial logistic regression of many episodes at once, with scikit-learn's objective.

    minimise over W (n_way, D), b (n_way):   C · Σᵢ cross-entropy(W xᵢ + b, yᵢ) + ½ ‖W‖²

An episode has far fewer support images S than features D, and the best W lies in the span of the support features: so
the solver looks for A (n_way, S) with W = A X, and needs X only through its Gram matrix G = X Xᵀ. Since the intercept
is free, the features may be centred first. That changes no W, but takes out the one large eigenvalue that the features
of a ReLU network have, after which some ten conjugate-gradient steps in all are enough, without any preconditioner.

Support images are the last axis of all that the solver holds, which makes its products and softmaxes several times
faster than the other order does.
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_NEWTON_STEPS = 50
MAX_CG_STEPS = 200
MAX_TRIALS = 20  # of a length for a step
ACCEPTABLE = 1e-2  # gradient norm
CHUNK_BYTES = {"cpu": 2**26, "cuda": 2**31}  # of support features and Gram matrices


def logistic(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, C: float = 1.0) -> Tensor:
    """Scores (E, Q, n_way): the logits of one multinomial logistic regression an episode.

    Args:
        support: (E, S, D), float32 or float64.
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
        C: inverse strength of the L2 penalty on the weights, as in scikit-learn.
    """
    n_support, n_features = support.shape[1:]
    chunk_bytes = CHUNK_BYTES.get(support.device.type, 2**28)
    chunk = max(1, chunk_bytes // (support.element_size() * n_support * (n_features + n_support)))
    scores = []
    for start in range(0, len(support), chunk):
        part = slice(start, start + chunk)
        weights, intercept = fit(support[part], support_labels[part], n_way, C)
        scores.append(torch.baddbmm(intercept[:, None], query[part], weights.transpose(1, 2)))
    return torch.cat(scores) if scores else query.new_zeros(*query.shape[:2], n_way)


def fit(support: Tensor, support_labels: Tensor, n_way: int, C: float = 1.0) -> tuple[Tensor, Tensor]:
    """Weights (E, n_way, D) and intercepts (E, n_way) that minimise the objective for each episode.

    The gradient norm of what is returned is below 5e-5 in float32 and 1e-8 in float64, or as near to it as rounding
    allows. As the objective is 1-strongly convex in W, ‖W - W*‖ is at most that norm. An episode that float32 cannot
    bring below 1e-2, as with many classes and features of large norm, is solved in float64.
    """
    original, mean = support, None
    gram, with_mean, spread = _centred_gram(support)
    if bool((spread < 1e-2).any()):  # too few digits are left of what differs: centre the features themselves
        mean = support.mean(dim=1, keepdim=True)  # (E, 1, D)
        support = support - mean
        gram, with_mean, _ = _centred_gram(support)
    targets = torch.nn.functional.one_hot(support_labels, n_way).transpose(1, 2).to(support.dtype).contiguous()
    # For two classes scikit-learn fits one weight vector w, that is W = (-w/2, w/2): half the penalty of two free rows.
    dual, intercept, norm = solve(gram, targets, C if n_way > 2 else C / 2)
    weights = dual @ support
    intercept = intercept - dual @ with_mean
    intercept = (intercept if mean is None else intercept - weights @ mean.transpose(1, 2)).squeeze(2)
    lost = ~(norm <= ACCEPTABLE)
    if support.dtype == torch.float32 and bool(lost.any()):
        again = fit(original[lost].double(), support_labels[lost], n_way, C)
        weights[lost], intercept[lost] = again[0].float(), again[1].float()
    return weights, intercept


def _centred_gram(support: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of centred features the Gram matrices (E, S, S); of the others, products with their mean (E, S, 1).

    And how much of the features' squared norm is left when they are centred, (E,), a fraction.
    """
    gram = support @ support.transpose(1, 2)
    size = gram.diagonal(dim1=1, dim2=2).sum(dim=1)  # (E,)
    with_mean = gram.mean(dim=2, keepdim=True)
    gram -= with_mean
    gram -= with_mean.transpose(1, 2) - with_mean.mean(dim=1, keepdim=True)
    return gram, with_mean, gram.diagonal(dim1=1, dim2=2).sum(dim=1) / size.clamp(min=torch.finfo(size.dtype).tiny)


def solve(gram: Tensor, targets: Tensor, C: float) -> tuple[Tensor, Tensor, Tensor]:
    """A (E, K, S), b (E, K, 1) and the last gradient norms (E,), by Newton's method with conjugate gradients inside.

    K is n_way.

    An episode stops on its own: when its gradient is small enough, or when that has stopped shrinking.

    Args:
        gram: (E, S, S), of centred features.
        targets: (E, K, S), one-hot.
    """
    tolerance = 5e-5 if gram.dtype == torch.float32 else 1e-8
    dual = torch.zeros_like(targets)
    intercept = torch.zeros_like(targets[:, :, :1])
    logits = torch.zeros_like(targets)  # A G + b
    p = torch.full_like(targets, 1 / targets.shape[1])
    best = torch.full_like(targets[:, :1, :1], torch.inf)
    stalled = torch.zeros_like(best)
    for _ in range(MAX_NEWTON_STEPS):
        residual = C * (targets - p)
        down, down_b = (
            _centred(residual) - dual,
            residual.sum(dim=2, keepdim=True),
        )  # minus the gradient: (down X, down_b)
        down_gram = down @ gram
        norm = (_dot(down, down_gram).clamp(min=0) + _dot(down_b, down_b)).sqrt()  # (E, 1, 1)
        stalled = torch.where(norm < 0.9 * best, 0.0, stalled + 1)
        best = torch.minimum(best, norm)
        active = (norm > tolerance) & (stalled < 5)
        if not bool(active.any()):
            break
        goal = torch.minimum(0.1 * norm, norm * norm).clamp(min=0.5 * tolerance)
        step, step_b = _newton_step(gram, p, down, down_b, down_gram, goal, active, C)
        step_gram = step @ gram
        move = step_gram + step_b
        slope_at_0 = -(_dot(down, step_gram) + _dot(down_b, step_b))
        length, p = _line_search(dual, logits, targets, step, step_b, step_gram, move, slope_at_0, active, C)
        dual = torch.addcmul(dual, length, step)
        intercept = torch.addcmul(intercept, length, step_b)
        logits = torch.addcmul(logits, length, move)
    return dual, intercept, norm.flatten()


def _line_search(
    dual: Tensor, logits: Tensor, targets: Tensor, step: Tensor, step_b: Tensor, step_gram: Tensor, move: Tensor,
    slope_at_0: Tensor, active: Tensor, C: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """How much of its step each episode takes, (E, 1, 1), and the probabilities (E, K, S) that it gets to.

    The whole step, unless the objective rises there more steeply than half as it fell at the start. Then a place
    between is looked for where it neither rises nor falls so steeply: with many classes and large features most of a
    first step leads far beyond the valley, and the step that is merely not too long gets nowhere.
    """
    length = active.to(logits.dtype)
    low, high = torch.zeros_like(length), torch.full_like(length, torch.inf)
    slope_low, slope_high = slope_at_0, torch.zeros_like(slope_at_0)
    for _ in range(MAX_TRIALS):
        p = torch.addcmul(logits, length, move).softmax(dim=1)
        residual = C * (targets - p)
        slope = _dot(dual + length * step - residual, step_gram) - _dot(residual.sum(dim=2, keepdim=True), step_b)
        too_far = active & ~(slope <= 0.5 * slope_at_0.abs())  # so written, a slope that is not a number is too far
        too_near = active & (slope < -0.5 * slope_at_0.abs()) & high.isfinite()
        wrong = too_far | too_near
        if not bool(wrong.any()):
            break
        high, slope_high = torch.where(too_far, length, high), torch.where(too_far, slope, slope_high)
        low, slope_low = torch.where(too_near, length, low), torch.where(too_near, slope, slope_low)
        share = (slope_low / (slope_low - slope_high)).nan_to_num(0.5).clamp(0.1, 0.9)  # of the way, by the secant
        length = torch.where(wrong, low + (high - low) * share, length)
    return length, p


def _newton_step(
    gram: Tensor, p: Tensor, down: Tensor, down_b: Tensor, down_gram: Tensor, goal: Tensor, active: Tensor, C: float
) -> tuple[Tensor, Tensor]:
    """The Newton step (E, K, S) for A and (E, K, 1) for b, by projected conjugate gradients.

    Let H = L Lᵀ be the curvature of the cross-entropy, which is block-diagonal, and N = Lᵀ 1. The step for A is
    down - C L s, and (s, step for b) solves

        (I + C Lᵀ G L) s - N step_b = Lᵀ G down,    Nᵀ s = down_b / C.

    The matrix is symmetric and has no eigenvalue below 1, whatever the rank of G. Iterates keep to the constraint.

    Args:
        p: (E, K, S) class probabilities.
        down, down_b, down_gram: minus the gradient, and down G.
        goal: (E, 1, 1), the gradient norm to reach.
        active: (E, 1, 1), which episodes to step at all.
    """
    n_way, root = p.shape[1], p.sqrt()

    def factor(x: Tensor) -> Tensor:  # L x
        return root * torch.addcmul(x, root, (root * x).sum(dim=1, keepdim=True), value=-1)

    def factor_t(x: Tensor) -> Tensor:  # Lᵀ x
        x = root * x
        return torch.addcmul(x, root, (root * x).sum(dim=1, keepdim=True), value=-1)

    of_b = torch.diag_embed(p.sum(dim=2)) - p @ p.transpose(1, 2)  # Nᵀ N (E, K, K), singular along (1, …, 1)
    size = of_b.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None].clamp(min=1e-6)
    of_b = torch.linalg.inv(of_b + size * (1 / n_way + torch.finfo(p.dtype).eps * torch.eye(n_way, device=p.device)))

    s = factor_t((of_b @ down_b / C).expand_as(p))
    r = factor_t(down_gram - C * (factor(s) @ gram)) - s
    multiplier = of_b @ factor(r).sum(dim=2, keepdim=True)
    r = d = r - factor_t(multiplier.expand_as(p))
    squared = _dot(r, r)
    step_b = -multiplier
    beta = curvature = torch.zeros_like(squared)
    for _ in range(MAX_CG_STEPS):
        q = torch.add(d, factor_t(factor(d) @ gram), alpha=C)
        last, curvature = curvature, _dot(d, q)
        reached = C * (curvature + beta * beta * last - squared) <= goal * goal  # the gradient that r amounts to
        alpha = torch.where(active, squared / curvature, 0.0)
        s, r = torch.addcmul(s, alpha, d), torch.addcmul(r, alpha, q, value=-1)
        multiplier = of_b @ factor(r).sum(dim=2, keepdim=True)
        r = r - factor_t(multiplier.expand_as(p))
        step_b = step_b - multiplier
        active = active & ~reached
        if not bool(active.any()):
            break
        last_squared, squared = squared, _dot(r, r)
        beta = torch.where(active, squared / last_squared, 0.0)
        d = torch.addcmul(r, beta, d)
    return down - _centred(C * factor(s)), step_b


def _centred(a: Tensor) -> Tensor:
    """``a`` (E, K, S) less its mean over S, on which a X does not depend: left in, it would add rounding errors."""
    return a - a.mean(dim=2, keepdim=True)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """(E, 1, 1), the sum of products of two (E, K, …)."""
    return (left * right).sum(dim=(1, 2), keepdim=True)
