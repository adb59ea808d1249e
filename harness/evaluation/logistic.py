"""Multinomial logistic regression of many episodes at once, with scikit-learn's objective.

    minimise over W (n_way, D), b (n_way):   C · Σᵢ cross-entropy(W xᵢ + b, yᵢ) + ½ ‖W‖²

An episode has far fewer support images S than features D, and the best W lies in the span of the support features: so
the solver looks for A (n_way, S) with W = A X, and needs X only through its Gram matrix G = X Xᵀ. Since the intercept
is free, the features may be centred first. That changes no W, but takes out the one large eigenvalue that the features
of a ReLU network have, after which some ten conjugate-gradient steps in all are enough, without any preconditioner.

    logistic.py ─ problem in dual form (dual.py) ─► newton.py ─ direction by conjugate_gradients.py ─► A, b
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.evaluation.dual import Problem
from harness.evaluation.newton import solve

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
    dual, intercept, norm = solve(Problem(gram, targets, C if n_way > 2 else C / 2))
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
