"""The loss of contrastive learning, which sets the images of a whole batch against each other."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from harness.training.distributed import of_all_processes


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent, a scalar: each of 2B views must find the other view of its image among the 2B - 1 others.

    With several processes the others are those of all, and the mean is over a process's own views.

    Args:
        first, second: (B, D) outputs for the images in their two views; compared by the cosine.
        temperature: what cosines are divided by.
    Source: Chen et al. 2020, arXiv:2002.05709, eq. 1.
    """
    z = F.normalize(torch.cat([first, second]), dim=1)  # (2B, D)
    others, start = of_all_processes(z)  # (P·2B, D)
    rows = torch.arange(len(z), device=z.device) + start
    itself = rows[:, None] == torch.arange(len(others), device=z.device)  # (2B, P·2B)
    similarity = (z @ others.T / temperature).masked_fill(itself, float("-inf"))
    return F.cross_entropy(similarity, rows.roll(len(first)))
