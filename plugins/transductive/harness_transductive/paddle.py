"""PADDLE: soft k-means in which every further class costs, so that only those that the queries need survive.

    minimise over u in the simplex, W:   Σ ½ ‖w - z‖² u (supports with their labels) - |Q| Σ_k π_k log π_k
    π_k = mean of u_k over the queries; alternating with the entropy of u, by closed-form steps

Source: Martin et al. 2022, arXiv:2210.14545; the values of its authors' code, SegoleneMartin/PADDLE.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness_transductive.features import in_chunks, means, members, squared_distances


@in_chunks
def paddle(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, *, steps: int = 100) -> Tensor:
    """Scores (E, Q, n_way): the logits of the queries' assignments u.

    Args:
        support: (E, S, D), as the network gives them: each dimension is scaled to the range of the episode's queries.
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
    """
    n_support, n_query = support.shape[1], query.shape[1]
    least, most = query.aminmax(dim=1, keepdim=True)
    spread = torch.where(most > least, most - least, 1.0)
    features = (torch.cat([support, query], dim=1) - least) / spread
    products = features @ features.transpose(1, 2)  # (E, n, n)
    targets = members(support_labels, n_way, features.dtype)
    centres = torch.cat([means(targets), targets.new_zeros(len(targets), n_way, n_query)], dim=2)  # (E, n_way, n)
    dual = torch.zeros_like(centres[:, :, :1])  # log π + 1
    for _ in range(steps):
        logits = dual - squared_distances(centres, products)[:, :, n_support:] / 2
        assignments = logits.softmax(dim=1)
        dual = torch.log(assignments.mean(dim=2, keepdim=True) + 1e-6) + 1
        centres = means(torch.cat([targets, assignments], dim=2))
    return logits.transpose(1, 2)
