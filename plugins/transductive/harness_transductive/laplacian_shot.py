"""LaplacianShot: each query goes to its nearest class mean and with its nearest fellow queries.

    minimise over y_q in the simplex:   Σ_q y_q · d_q + Σ_q y_q · log y_q - λ Σ_qr w_qr y_q · y_r

d_q are squared distances to the class means, w_qr is 1 where r is near q.

Source: Ziko et al. 2020, arXiv:2006.15486; values and rectified class means of its authors' code,
imtiazziko/LaplacianShot.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness_transductive.bd_cspn import assigned, shifted
from harness_transductive.features import in_chunks, means, members, unit


@in_chunks
def laplacian_shot(
    support: Tensor,
    support_labels: Tensor,
    query: Tensor,
    n_way: int,
    *,
    strength: float = 0.7,
    neighbours: int = 2,
    steps: int = 20,
    rectified: bool = True,
) -> Tensor:
    """Scores (E, Q, n_way): the logits of the queries' assignments y.

    Args:
        support: (E, S, D); all features are brought to length one.
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
        strength: λ, the weight of the Laplacian term.
        neighbours: of a query, beside itself.
        rectified: whether queries are shifted and share in the class means, else those of supports alone are taken.
    """
    support, query = unit(support), unit(query)
    if rectified:
        images = shifted(support, query)
        similarity, of_class = assigned(images, support_labels, n_way)
        shares = of_class * (10 * similarity).softmax(dim=1) / of_class.sum(dim=2, keepdim=True)
        prototypes, query = shares @ images, images[:, support.shape[1] :]  # (E, n_way, D), (E, Q, D)
    else:
        prototypes = means(members(support_labels, n_way, support.dtype)) @ support
    products = query @ query.transpose(1, 2)  # (E, Q, Q)
    lengths = products.diagonal(dim1=1, dim2=2)[:, None] + prototypes.square().sum(dim=2, keepdim=True)
    costs = torch.baddbmm(lengths, prototypes, query.transpose(1, 2), alpha=-2)  # ‖query - prototype‖², (E, n_way, Q)
    near = affinity(products, neighbours)
    logits = -costs
    for _ in range(steps):
        logits = strength * logits.softmax(dim=1) @ near.transpose(1, 2) - costs
    return logits.transpose(1, 2)


def affinity(products: Tensor, neighbours: int) -> Tensor:
    """(E, Q, Q) of 0 and 1: whether the second query is among the nearest of the first, itself left out.

    Args:
        products: (E, Q, Q), inner products of the queries.
    """
    closeness = 2 * products - products.diagonal(dim1=1, dim2=2)[:, None]  # up to what a row shares
    closeness.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    near = torch.zeros_like(products)
    for _ in range(min(neighbours, products.shape[1] - 1)):  # few: faster than to sort for the first of them
        nearest = closeness.argmax(dim=2, keepdim=True)
        near.scatter_(2, nearest, 1.0)
        closeness.scatter_(2, nearest, -torch.inf)
    return near
