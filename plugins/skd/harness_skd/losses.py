"""SKD's losses, as pure functions. The distillation term is harness.networks.losses.distillation."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from harness import of_all_processes


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


def simclr(logits: torch.Tensor, twin_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent: each image (B, n_classes) must find its twin among the 2B - 1 others by cosine similarity; a scalar.

    With several processes the others are those of all, and the mean is over the own images.

    Source: Chen et al. 2020, arXiv:2002.05709, eq. 1.
    """
    z = F.normalize(torch.cat([logits, twin_logits]), dim=1)  # (2B, n_classes)
    others, first = of_all_processes(z)  # (P·2B, n_classes)
    rows = torch.arange(len(z), device=z.device) + first
    itself = rows[:, None] == torch.arange(len(others), device=z.device)  # (2B, P·2B)
    similarity = (z @ others.T / temperature).masked_fill(itself, float("-inf"))
    return F.cross_entropy(similarity, rows.roll(len(logits)))
