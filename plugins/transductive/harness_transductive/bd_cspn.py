"""BD-CSPN: class means with two biases taken off, that of few supports and that of supports against queries.

Source: Liu, Song & Qin 2020, arXiv:1911.10713, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness_transductive.features import cosines, in_chunks, means, members


@in_chunks
def bd_cspn(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, *, sharpness: float = 10.0) -> Tensor:
    """Scores (E, Q, n_way): cosine similarities of shifted queries to rectified class means.

    Args:
        support: (E, S, D).
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
        sharpness: ε, by which similarities are multiplied before they become weights.
    """
    images = shifted(support, query)
    similarity, of_class = assigned(images, support_labels, n_way)
    weights = (sharpness * similarity).masked_fill(of_class == 0, -torch.inf).softmax(dim=2)
    rectified = weights @ images  # (E, n_way, D)
    return cosines(rectified, images[:, support.shape[1] :]).transpose(1, 2)


def shifted(support: Tensor, query: Tensor) -> Tensor:
    """Supports, and queries moved so that their mean is the supports': (E, S + Q, D)."""
    images = torch.cat([support, query], dim=1)
    images[:, support.shape[1] :] += support.mean(dim=1, keepdim=True) - query.mean(dim=1, keepdim=True)
    return images


def assigned(images: Tensor, support_labels: Tensor, n_way: int) -> tuple[Tensor, Tensor]:
    """Cosine similarities of supports and queries to the class means, and ``members`` with each query's nearest class.

    Both are (E, n_way, S + Q).
    """
    n_support = support_labels.shape[1]
    similarity = cosines(means(members(support_labels, n_way, images.dtype)) @ images[:, :n_support], images)
    nearest = similarity[:, :, n_support:].argmax(dim=1)  # (E, Q)
    return similarity, members(torch.cat([support_labels, nearest], dim=1), n_way, images.dtype)
