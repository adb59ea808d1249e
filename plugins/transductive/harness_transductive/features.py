"""What the classifiers share: labels as masks, class means, features known by their inner products, chunks.

Masks, probabilities and scores have the class before the image here, (E, n_way, n): sums over images are contiguous.
Supports come before queries where an episode's n = S + Q features are in one tensor.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = {"cpu": 2**26, "cuda": 2**29}  # of features and inner products

Classify = Callable[..., Tensor]


def in_chunks(classify: Classify) -> Classify:
    """The classifier, given so many episodes at a time that what it makes of them stays small. Without gradients."""

    @functools.wraps(classify)
    def chunked(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, **values: Any) -> Tensor:
        n = support.shape[1] + query.shape[1]
        episode_bytes = n * (n + support.shape[2]) * support.element_size()
        size = max(1, CHUNK_BYTES.get(support.device.type, 2**26) // episode_bytes)
        scores = query.new_empty(*query.shape[:2], n_way)
        with torch.no_grad():
            for start in range(0, len(support), size):
                part = slice(start, start + size)
                scores[part] = classify(support[part], support_labels[part], query[part], n_way, **values)
        return scores

    return chunked


def members(labels: Tensor, n_way: int, dtype: torch.dtype) -> Tensor:
    """Which images are of which class, (E, n_way, n) of 0 and 1, from labels (E, n)."""
    return torch.nn.functional.one_hot(labels, n_way).transpose(1, 2).to(dtype)


def means(of_class: Tensor) -> Tensor:
    """Coefficients (E, n_way, n) of class means, from ``members`` or shares of them. Times features: the means."""
    return of_class / of_class.sum(dim=2, keepdim=True)


def unit(features: Tensor) -> Tensor:
    """Features (E, n, D) of length one; what is 0 stays 0."""
    return torch.nn.functional.normalize(features, dim=2)


def cosines(points: Tensor, images: Tensor) -> Tensor:
    """Cosine similarities (E, P, n) of points (E, P, D) and images (E, n, D)."""
    lengths = images.norm(dim=2)[:, None].clamp(min=1e-12)  # divided by afterwards, since images are many
    return unit(points) @ images.transpose(1, 2) / lengths


def squared_distances(coefficients: Tensor, products: Tensor) -> Tensor:
    """‖w - z‖² (E, n_way, n) of points w = coefficients · z, without their D dimensions.

    Args:
        coefficients: (E, n_way, n).
        products: (E, n, n), inner products of the features z.
    """
    along = coefficients @ products  # (E, n_way, n)
    lengths = (along * coefficients).sum(dim=2, keepdim=True)
    return lengths + products.diagonal(dim1=1, dim2=2)[:, None] - 2 * along
