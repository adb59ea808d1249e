"""Ridge regression on one-hot labels in closed form: a batched classifier through which gradients flow."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def one_hot_ridge(support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int) -> torch.Tensor:
    """Scores (E, Q, n_way) of the W that minimises ‖X W - Y‖² + ‖W‖²: Y one-hot, no intercept.

    In float64, over the S × S Gram matrix, which is smaller than one over D features. A penalty λ other than 1 is the
    same as features divided by √λ; an intercept is a feature that is constant.

    Args:
        support: X, (E, S, D).
        support_labels: (E, S) int64.
        query: (E, Q, D).
    Source: Bertinetto et al. 2019 (R2-D2), eq. 6.
    """
    x = support.double()
    gram = x @ x.transpose(1, 2)  # (E, S, S)
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    targets = F.one_hot(support_labels, n_way).to(x.dtype)  # (E, S, n_way)
    dual = torch.cholesky_solve(targets, torch.linalg.cholesky(gram + identity))
    return (query.double() @ x.transpose(1, 2) @ dual).to(query.dtype)
