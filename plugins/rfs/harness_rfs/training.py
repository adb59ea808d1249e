"""The two stages of RFS."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

import harness
from harness import Batch, distillation


def simple(context: harness.FitContext, learner: Any) -> None:
    """Cross-entropy on the base classes."""

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        _, logits = network(batch.images)
        return {"loss": F.cross_entropy(logits, batch.labels)}

    context.trainer.run(learner, loss, context.options)


def distill(context: harness.FitContext, learner: Any) -> None:
    """A freshly initialised student of the generation before: cross-entropy and distillation, weighted.

    Source: arXiv:2003.11539, eq. 5, after born-again networks.
    """
    options = context.options
    teacher = context.trainer.frozen(context.parent)

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        _, logits = network(batch.images)
        _, teacher_logits = teacher(batch.images)
        ce = F.cross_entropy(logits, batch.labels)
        kd = distillation(logits, teacher_logits, options.temperature)
        return {"loss": options.ce_weight * ce + options.kd_weight * kd, "ce": ce, "kd": kd}

    context.trainer.run(learner, loss, options)
