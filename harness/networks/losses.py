"""Losses that more than one method uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

if TYPE_CHECKING:
    import torch


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² · KL(teacher ‖ student) between softmaxes at ``temperature`` T, a scalar: the mean over the batch.

    Args:
        student: (B, n_classes) logits that learn.
        teacher: (B, n_classes) logits that are learned from.
        temperature: T > 0. The factor T² keeps gradients of one size whatever T.
    Source: Hinton et al. 2015, arXiv:1503.02531, section 2.
    """
    log_student = F.log_softmax(student / temperature, dim=1)
    log_teacher = F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2
