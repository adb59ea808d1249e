"""Losses that more than one method uses."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed
from torch.nn import functional as F


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


def of_all_processes(values: torch.Tensor) -> tuple[torch.Tensor, int]:
    """``values`` (N, …) of all P processes of a training, (P·N, …), and the row at which this process's own begin.

    For losses that set the images of a batch against each other. Gradients flow back to the process that a row is from:
    where each process takes the mean over its own rows, the gradient is that of one process with the whole batch. With
    one process: ``values`` themselves, and 0.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values, 0
    return _OfAllProcesses.apply(values), distributed.get_rank() * len(values)


class _OfAllProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        found = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
        distributed.all_gather(found, values.contiguous())
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        together = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(together)
        return together.chunk(distributed.get_world_size())[distributed.get_rank()]
