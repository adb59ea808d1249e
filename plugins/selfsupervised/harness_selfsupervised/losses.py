"""The losses of this family, as pure functions, beside the core's ``nt_xent`` and ``distillation``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

from harness import of_all_processes

if TYPE_CHECKING:
    import torch


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
