"""Gen-0: cross-entropy on transformed copies of each image, and the transform predicted from the class logits."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

import harness
from harness import Batch, follow_reference, top_accuracies
from harness_skd.losses import self_supervised
from harness_skd.transforms import TRANSFORMS


def fit(context: harness.FitContext, learner: Any) -> None:
    """Train with CE + α·BCE; with CE alone where there is no self-supervision.

    Raises:
        HarnessError: the transform makes another class of an image.
    """
    options = context.options
    follow_reference(learner, options.dropblock_masks, 1, 0)  # the code's Gen-0 evaluates nothing before its end
    if options.self_supervision == "none":
        # Nothing trains the second head then, and data-parallel training waits for gradients of all that may train.
        learner.self_supervised.requires_grad_(False)

        def cross_entropy(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
            _, logits, _ = network(batch.images)
            ce = F.cross_entropy(logits, batch.labels, label_smoothing=options.label_smoothing)
            return {"loss": ce, **top_accuracies(logits, batch.labels)}

        context.trainer.run(learner, cross_entropy, options.recipe())
        return
    transform = TRANSFORMS[options.self_supervision]
    if not transform.keeps_class(context.dataset.augmentation):
        raise harness.HarnessError(
            f"skd.self_supervision = {options.self_supervision!r} on {context.dataset.name}, where a rotated image is "
            "another class: use --set skd.self_supervision=patch or none, and --set skd.consistency=none"
        )

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        n = len(batch.images)
        _, logits, q = network(transform(batch.images))
        labels = batch.labels.repeat(transform.copies)
        ce = F.cross_entropy(logits, labels, label_smoothing=options.label_smoothing)
        which = torch.arange(transform.outputs, device=q.device).repeat_interleave(n)  # (outputs·B,)
        ss = self_supervised(q[-len(which) :], which)
        accuracies = {
            **top_accuracies(logits, labels),
            **top_accuracies(q[-len(which) :], which, "self_supervised_"),
        }
        return {"loss": ce + options.alpha * ss, "ce": ce, "self_supervised": ss, **accuracies}

    context.trainer.run(learner, loss, options.recipe(copies=transform.copies))
