"""TIM-ADM: TIM's aim by alternating closed-form steps, with auxiliary predictions q beside the model's p.

Source: Boudiaf et al. 2020, arXiv:2008.11297, section 2.3; the values of its authors' code, mboudiaf/TIM.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness_transductive.features import in_chunks, means, members, squared_distances, unit


@in_chunks
def tim_adm(
    support: Tensor,
    support_labels: Tensor,
    query: Tensor,
    n_way: int,
    *,
    cross_entropy: float = 0.1,
    conditional: float = 0.1,
    temperature: float = 15.0,
    steps: int = 150,
) -> Tensor:
    """Scores (E, Q, n_way) by the mutual information of queries and their predictions.

    Args:
        support: (E, S, D); all features are brought to length one.
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
        cross_entropy: λ, the weight of the supports' cross-entropy.
        conditional: α, the weight of the queries' conditional entropy.
        temperature: τ of p ∝ exp(-τ/2 ‖w - z‖²).

    W stays in the span of the features, so it is kept as coefficients of them.
    """
    n_support, n_query = support.shape[1], query.shape[1]
    features = unit(torch.cat([support, query], dim=1))
    products = features @ features.transpose(1, 2)  # (E, n, n)
    targets = members(support_labels, n_way, features.dtype)
    centres = torch.cat([means(targets), targets.new_zeros(len(targets), n_way, n_query)], dim=2)  # (E, n_way, n)
    tiny = torch.finfo(features.dtype).tiny
    importance = torch.full_like(features[:1, :, 0], n_support / n_query)  # of an image in the step for W, (1, n)
    importance[:, :n_support] = cross_entropy / (1 + conditional)

    def logits() -> Tensor:
        return -temperature / 2 * squared_distances(centres, products)

    for _ in range(steps):
        p = logits().softmax(dim=1)
        sharp = p[:, :, n_support:].pow(1 + conditional)
        q = sharp / sharp.sum(dim=2, keepdim=True).clamp(min=tiny).sqrt()
        labels = torch.cat([targets, q / q.sum(dim=1, keepdim=True)], dim=2) * importance
        p = p * importance
        pull = labels - p + p.sum(dim=2, keepdim=True) * centres
        centres = pull / labels.sum(dim=2, keepdim=True)
    return logits()[:, :, n_support:].transpose(1, 2)
