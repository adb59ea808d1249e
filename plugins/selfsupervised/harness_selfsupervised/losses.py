"""The losses of this family, as pure functions. Softened predictions are compared by ``harness.distillation``."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from harness import of_all_processes


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent, a scalar: each of 2B views must find the other view of its image among the 2B - 1 others.

    With several processes the others are those of all, and the mean is over a process's own views.

    Args:
        first, second: (B, D) projections of the images in their two views; compared by the cosine.
        temperature: what cosines are divided by.
    Source: Chen et al. 2020, arXiv:2002.05709, eq. 1.
    """
    z = F.normalize(torch.cat([first, second]), dim=1)  # (2B, D)
    others, start = of_all_processes(z)  # (P·2B, D)
    rows = torch.arange(len(z), device=z.device) + start
    itself = rows[:, None] == torch.arange(len(others), device=z.device)  # (2B, P·2B)
    logits = (z @ others.T / temperature).masked_fill(itself, float("-inf"))
    return F.cross_entropy(logits, rows.roll(len(first)))


def similarity_distillation(
    student: tuple[torch.Tensor, torch.Tensor], teacher: tuple[torch.Tensor, torch.Tensor], temperature: float
) -> torch.Tensor:
    """KL(teacher ‖ student) between softmaxes of cosines, a scalar: the mean over all pairs of a batch's B images.

    A softmax says how alike an image in its first view is to all images in their second. No gradient reaches the
    teacher.

    Args:
        student, teacher: (B, D) projections of the images in their two views.
        temperature: what cosines are divided by.
    Source: Bhat et al. 2021, arXiv:2104.09866; the mean over pairs, not images, as in the authors' code.
    """
    log_student = _log_similarities(student, temperature)
    log_teacher = _log_similarities(teacher, temperature).detach()
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) / log_student.shape[1]


def _log_similarities(views: tuple[torch.Tensor, torch.Tensor], temperature: float) -> torch.Tensor:
    """(B, P·B) log-softmax over the images of all P processes."""
    first, second = (F.normalize(view, dim=1) for view in views)
    others, _ = of_all_processes(second)
    return F.log_softmax(first @ others.T / temperature, dim=1)


def mean_discrepancy(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The squared distance between the mean features of two batches (B, D), a scalar: MMD with a linear kernel.

    Source: Xu and Liu 2019, AAAI, "the MMD metric for global feature distributions".
    """
    means = [of_all_processes(features)[0].mean(0) for features in (first, second)]
    return (means[0] - means[1]).square().sum()
