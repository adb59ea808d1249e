"""SKD's losses, as pure functions. The terms of distillation and SimCLR are the core's."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def self_supervised(q: torch.Tensor, transform: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each output against the one-hot transform, a scalar: the mean over all.

    Args:
        q: (N, outputs) self-supervised logits.
        transform: (N,) int64, which of the transforms the image went through.
    Source: arXiv:2006.09785, eq. 2.
    """
    return F.binary_cross_entropy_with_logits(q, F.one_hot(transform, q.shape[1]).to(q.dtype))


def twin_distance(logits: torch.Tensor, twin_logits: torch.Tensor) -> torch.Tensor:
    """Mean Euclidean distance between the logits (B, n_classes) of images and of their rotated twins, a scalar.

    Its gradient is finite (zero) where both are equal.

    Source: arXiv:2006.09785, eq. 5.
    """
    return torch.linalg.vector_norm(logits - twin_logits, dim=1).mean()
