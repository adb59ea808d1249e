"""PT-MAP: queries are allotted to class centres by optimal transport, in equal shares, and move the centres.

Its power transform is the harness's: ``--transform power+l2``.

Source: Hu, Gripon & Pateux 2021, arXiv:2006.03806; the values of its authors' code, yhu01/PT-MAP.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness_transductive.features import in_chunks, means, members, squared_distances, unit

TOLERANCE, MOST_SWEEPS = 1e-6, 1000  # of Sinkhorn's algorithm; in queries
SWEEPS_AT_ONCE = 16  # before the episodes that have converged are put aside


@in_chunks
def pt_map(
    support: Tensor,
    support_labels: Tensor,
    query: Tensor,
    n_way: int,
    *,
    regularisation: float = 10.0,
    rate: float = 0.2,
    steps: int = 20,
    centred: bool = True,
) -> Tensor:
    """Scores (E, Q, n_way): how much of each query is allotted to each class, 0..1.

    Args:
        support: (E, S, D), after the power transform.
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
        regularisation: λ of the transport.
        rate: α, how far a step moves the centres to where its allotment puts them.
        centred: whether supports and queries are centred, each by their mean, and brought to length one.
    """
    if centred:
        support, query = (unit(part - part.mean(dim=1, keepdim=True)) for part in (unit(support), unit(query)))
    n_support, n_query = support.shape[1], query.shape[1]
    features = torch.cat([support, query], dim=1)
    products = features @ features.transpose(1, 2)  # (E, n, n)
    targets = members(support_labels, n_way, features.dtype)
    centres = torch.cat([means(targets), targets.new_zeros(len(targets), n_way, n_query)], dim=2)  # (E, n_way, n)

    def allotment() -> Tensor:
        return transport(squared_distances(centres, products)[:, :, n_support:], regularisation)

    for _ in range(steps):
        centres = centres + rate * (means(torch.cat([targets, allotment()], dim=2)) - centres)
    return allotment().transpose(1, 2)


def transport(costs: Tensor, regularisation: float) -> Tensor:
    """The plan (E, n_way, Q) of least cost and entropy that gives each query once, and each class as many.

    By Sinkhorn's algorithm, until no query's sum changes by more than ``TOLERANCE``; each episode stops by itself.

    Args:
        costs: (E, n_way, Q).
    """
    n_way, n_query = costs.shape[1:]
    kernel = torch.exp(-regularisation * (costs - costs.amin(dim=1, keepdim=True)))
    plan, rest = torch.empty_like(kernel), torch.arange(len(kernel), device=kernel.device)
    by_query = torch.ones_like(kernel[:, :1])  # (E, 1, Q)
    by_class = torch.ones_like(kernel[:, :, :1])  # (E, n_way, 1)
    before = torch.zeros_like(by_query)
    for sweep in range(1, MOST_SWEEPS + 1):
        sums = by_query * (kernel * by_class).sum(dim=1, keepdim=True)
        moving = (sums - before).abs().amax(dim=2, keepdim=True) > TOLERANCE  # (E, 1, 1)
        by_query = torch.where(moving, by_query / sums, by_query)
        by_class = torch.where(moving, n_query / n_way / (kernel * by_query).sum(dim=2, keepdim=True), by_class)
        before = sums
        if sweep % SWEEPS_AT_ONCE == 0 or sweep == MOST_SWEEPS:
            plan[rest] = by_query * kernel * by_class
            still = moving.flatten()
            rest = rest[still]
            kernel, by_query, by_class, before = (values[still] for values in (kernel, by_query, by_class, before))
            if not len(rest):
                break
    return plan
