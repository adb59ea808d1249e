"""The two stages of RFS."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.nn import functional as F

import harness
from harness import Batch, distillation, follow_reference, top_accuracies

if TYPE_CHECKING:
    import torch

# Images that the authors' code validates on after each epoch. CIFAR-FS and FC100: the training images, as here on every
# dataset that is not named. miniImageNet: other images of the training classes, in a file whose length is assumed.
# tieredImageNet: such a file of unknown length, taken as empty; its rate is full after 6 of 60 epochs in any case.
VALIDATION_IMAGES = {"miniImageNet": 18_748, "tieredImageNet": 0}


def simple(context: harness.FitContext, learner: Any) -> None:
    """Cross-entropy on the base classes."""
    set_dropblock(context, learner)

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        _, logits = network(batch.images)
        ce = F.cross_entropy(logits, batch.labels, label_smoothing=context.options.label_smoothing)
        return {"loss": ce, **top_accuracies(logits, batch.labels)}

    context.trainer.run(learner, loss, context.options.recipe())


def distill(context: harness.FitContext, learner: Any) -> None:
    """A freshly initialised student of the generation before: cross-entropy and distillation, weighted.

    Source: arXiv:2003.11539, eq. 5, after born-again networks.
    """
    options = context.options
    set_dropblock(context, learner)
    teacher = context.trainer.frozen(*context.parents)

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        _, logits = network(batch.images)
        _, teacher_logits = teacher(batch.images)
        ce = F.cross_entropy(logits, batch.labels)
        kd = distillation(logits, teacher_logits, options.temperature)
        loss = options.ce_weight * ce + options.kd_weight * kd
        return {"loss": loss, "ce": ce, "kd": kd, **top_accuracies(logits, batch.labels)}

    context.trainer.run(learner, loss, options.recipe())


def set_dropblock(context: harness.FitContext, learner: Any) -> None:
    """Let ``learner`` drop what the options ask for."""
    options, n = context.options, len(context.train)
    counts = options.dropblock_counter == "reference"
    forwards = validation_forwards(context.dataset.name, n, options.batch_size) if counts else 0
    follow_reference(learner, options.dropblock_masks, max(1, n // options.batch_size), forwards)


def validation_forwards(dataset: str, n_train: int, batch_size: int) -> int:
    """How many forwards the authors' code spends on validation after an epoch, in batches of half the size."""
    return math.ceil(VALIDATION_IMAGES.get(dataset, n_train) / max(1, batch_size // 2))
