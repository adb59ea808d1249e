"""Gen-1 and later: a student of the generation before, in which each image and its twin are kept together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import harness
from harness import Batch, distillation, follow_reference, nt_xent, restart_schedules, rotations4, top_accuracies
from harness_skd.losses import twin_distance
from harness_skd.transforms import TRANSFORMS
from harness_skd.twins import copied_by, with_twins

if TYPE_CHECKING:
    import torch

TEST_FORWARDS = 1_200  # after each epoch the authors' code scores 600 test episodes, supports and queries apart


def fit(context: harness.FitContext, learner: Any) -> None:
    """Train a copy of the parent with T²·KL(parent ‖ student) + β·consistency, without cross-entropy.

    Raises:
        HarnessError: twins are to be kept together though they are of another class.
    """
    options = context.options
    consistent = options.consistency != "none"
    transform = copied_by(options) or TRANSFORMS["rotation"]
    if consistent and not transform.keeps_class(context.dataset.augmentation):
        raise harness.HarnessError(
            f"skd.consistency = {options.consistency!r} on {context.dataset.name}, where a rotated image is another "
            "class: use --set skd.consistency=none"
        )
    (parent,) = context.parents
    learner.load_state_dict(parent.state_dict())
    restart_schedules(learner)
    epoch_steps = max(1, len(context.train) // options.batch_size)
    counted = TEST_FORWARDS if options.dropblock_counter == "reference" else 0
    follow_reference(learner, options.dropblock_masks, epoch_steps, counted)
    # Nothing trains the second head, and data-parallel training waits for gradients of all that may train.
    learner.self_supervised.requires_grad_(False)
    teacher = context.trainer.frozen(parent)

    def distilled(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        views = rotations4(batch.images) if options.gen1_forward == "all" else batch.images
        _, logits, _ = network(views)
        _, teacher_logits, _ = teacher(batch.images)
        kd = distillation(logits[: len(batch.images)], teacher_logits, options.temperature)
        return {"loss": kd, "kd": kd, **top_accuracies(logits[: len(batch.images)], batch.labels)}

    def consistent_too(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        n = len(batch.images)
        views, twins = with_twins(options, batch.images)
        _, logits, _ = network(views)
        _, teacher_logits, _ = teacher(batch.images)
        kd = distillation(logits[:n], teacher_logits, options.temperature)
        if options.consistency == "l2":
            consistency = twin_distance(logits[:n], logits[twins]) / options.beta_divisor
        else:
            consistency = nt_xent(logits[:n], logits[twins], options.simclr_temperature)
        accuracies = top_accuracies(logits[:n], batch.labels)
        return {"loss": kd + options.beta * consistency, "kd": kd, options.consistency: consistency, **accuracies}

    copies = 4 if options.gen1_forward == "all" else 2 if consistent else 1
    context.trainer.run(learner, consistent_too if consistent else distilled, options.recipe("gen1_", copies=copies))
