"""Classifiers as pure functions of many episodes: support, labels and queries in, scores (E, Q, n_way) out.

E episodes of S support and Q query features with D dimensions; higher scores are likelier. ``logistic`` has a file of
its own; the two by scikit-learn fit episode after episode and are here to check against.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.evaluation.logistic import logistic

__all__ = ["cosine", "logistic", "logistic_sklearn", "nearest_centroid", "nearest_neighbour", "ridge", "svm"]


def class_means(support: Tensor, support_labels: Tensor, n_way: int) -> Tensor:
    """Prototypes (E, n_way, D): the mean support feature of each class."""
    members = _one_hot(support_labels, n_way, support.dtype)  # (E, S, n_way)
    return (members / members.sum(dim=1, keepdim=True)).transpose(1, 2) @ support


def nearest_centroid(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Minus the squared Euclidean distance to each class mean, up to what all classes share.

    Source: Snell et al. 2017 (prototypical networks), eq. 2.
    """
    return _closeness(class_means(support, support_labels, n_way), support.mean(dim=1, keepdim=True), query)


def nearest_neighbour(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Minus the squared Euclidean distance to the nearest support of each class, up to what all classes share."""
    closeness = _closeness(support, support.mean(dim=1, keepdim=True), query)  # (E, Q, S)
    scores = closeness.new_full((*query.shape[:2], n_way), -torch.inf)
    return scores.scatter_reduce(2, support_labels[:, None].expand_as(closeness), closeness, "amax")


def _closeness(points: Tensor, mean: Tensor, query: Tensor) -> Tensor:
    """Minus the squared distances (E, Q, P) of queries to points (E, P, D), up to ‖query - mean‖².

    Seen from ``mean`` (E, 1, D), since features that lie far from the origin would lose their digits to its distance.
    """
    apart = points - mean
    shares = -apart.square().sum(dim=2) - 2 * (apart * mean).sum(dim=2)  # (E, P)
    return torch.baddbmm(shares[:, None], query, apart.transpose(1, 2), alpha=2)


def cosine(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Cosine similarity to each class mean."""
    prototypes = class_means(support, support_labels, n_way)
    normalise = torch.nn.functional.normalize
    return normalise(query, dim=2) @ normalise(prototypes, dim=2).transpose(1, 2)


def ridge(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, penalty: float = 1.0) -> Tensor:
    """Linear regression onto ±1 targets with an L2 penalty on the weights, the intercept free.

    In closed form over the S × S Gram matrix of centred features, in float64 where float32 has not the digits.

    Source: Bertinetto et al. 2019 (R2-D2), eq. 5.
    """
    mean = support.mean(dim=1, keepdim=True)
    centred = support - mean
    targets = 2 * _one_hot(support_labels, n_way, support.dtype) - 1  # (E, S, n_way)
    offset = targets.mean(dim=1, keepdim=True)  # (E, 1, n_way)
    gram = centred @ centred.transpose(1, 2)
    gram.diagonal(dim1=1, dim2=2).add_(penalty)
    factor, unsolved = torch.linalg.cholesky_ex(gram)
    if support.dtype == torch.float32 and bool(unsolved.any()):
        return ridge(support.double(), support_labels, query.double(), n_way, penalty).to(support.dtype)
    dual = torch.cholesky_solve(targets - offset, factor)  # (E, S, n_way)
    weights = dual.transpose(1, 2) @ centred  # (E, n_way, D)
    return torch.baddbmm(offset - mean @ weights.transpose(1, 2), query, weights.transpose(1, 2))


def logistic_sklearn(
    support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, C: float = 1.0, tol: float = 1e-4
) -> Tensor:
    """scikit-learn's LogisticRegression, one fit an episode; with a small ``tol`` the truth for ``logistic``."""
    from sklearn.linear_model import LogisticRegression

    return _classify_episode_by_episode(
        lambda: LogisticRegression(C=C, tol=tol, max_iter=10_000), support, support_labels, query, n_way
    )


def svm(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, C: float = 1.0) -> Tensor:
    """scikit-learn's SVC with a linear kernel, one against one, one fit an episode."""
    from sklearn.svm import SVC

    return _classify_episode_by_episode(lambda: SVC(kernel="linear", C=C), support, support_labels, query, n_way)


def _classify_episode_by_episode(
    model: Callable[[], Any], support: Tensor, support_labels: Tensor, query: Tensor, n_way: int
) -> Tensor:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn needs it too

    scores = np.empty((*query.shape[:2], n_way))
    with warnings.catch_warnings(), threadpool_limits(1):  # so small a problem gains nothing from more threads
        warnings.simplefilter("ignore", ConvergenceWarning)  # a tolerance below rounding is never met
        for e, (x, y, q) in enumerate(zip(support.cpu(), support_labels.cpu(), query.cpu(), strict=True)):
            decision = model().fit(x.numpy(), y.numpy()).decision_function(q.numpy())
            scores[e] = decision if n_way > 2 else np.stack([-decision, decision], axis=1)
    return torch.from_numpy(scores).to(query)


def _one_hot(labels: Tensor, n_way: int, dtype: torch.dtype) -> Tensor:
    return torch.nn.functional.one_hot(labels, n_way).to(dtype)
