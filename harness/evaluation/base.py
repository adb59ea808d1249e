"""What the features of the base classes say: computed once for a stage and its weights, kept beside its features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harness.common.randomness import numpy_generator
from harness.contract.heads import BaseStatistic, BaseStatistics

if TYPE_CHECKING:
    from harness.contract.data import Split

BASE_IMAGES = 20_000


def chosen_images(base: Split) -> np.ndarray:
    """(M, 2) int64, pairs of an image and view 0: at most ``BASE_IMAGES`` of the split, the same every time."""
    images = numpy_generator(0, "base images").permutation(len(base))[:BASE_IMAGES]
    return np.stack([np.sort(images), np.zeros_like(images)], axis=1)


def statistics(features: Tensor, labels: Tensor, names: Iterable[BaseStatistic]) -> BaseStatistics:
    """The statistics in ``names``.

    Args:
        features: (M, D).
        labels: (M,) int64, 0..C-1; a class without images has a mean of zeros.
    """
    asked = set(names)
    mean = features.mean(dim=0) if "mean" in asked else None
    if not asked & {"class_means", "covariances"}:
        return BaseStatistics(mean)
    n_classes = int(labels.max()) + 1
    counts = torch.bincount(labels, minlength=n_classes).clamp(min=1)
    sums = features.new_zeros(n_classes, features.shape[1]).index_add_(0, labels, features)
    class_means = sums / counts[:, None]
    covariances = None
    if "covariances" in asked:
        covariances = torch.stack([_covariance(features[labels == label]) for label in range(n_classes)])
    return BaseStatistics(mean, class_means, covariances)


def _covariance(features: Tensor) -> Tensor:
    """(D, D), unbiased, of features (n, D); zero of fewer than two."""
    centred = features - features.mean(dim=0) if len(features) else features
    return centred.T @ centred / max(1, len(features) - 1)
