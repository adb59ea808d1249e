"""Gen-1: a student that starts from Gen-0, learns its softened logits, and keeps rotated twins together."""

from __future__ import annotations

from typing import Any

import torch

import harness
from harness import Batch, distillation, follow_reference, restart_schedules, rotate, rotations4
from harness_skd.losses import simclr, twin_distance

TEST_FORWARDS = 1_200  # after each epoch the authors' code scores 600 test episodes, supports and queries apart


def fit(context: harness.FitContext, learner: Any) -> None:
    """Train a copy of the parent with T²·KL(parent ‖ student) + β·consistency, without cross-entropy.

    Raises:
        HarnessError: twins are to be kept together where rotation makes another class of an image.
    """
    options = context.options
    consistent = options.consistency != "none"
    if consistent and not context.dataset.augmentation.rotation_keeps_class:
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
    copies = 4 if options.gen1_forward == "all" else 2 if consistent else 1

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        n = len(batch.images)
        turns = quarter_turns(options.twin, batch.images) if consistent else 0
        _, logits, _ = network(_views(batch.images, turns, copies))
        _, teacher_logits, _ = teacher(batch.images)
        kd = distillation(logits[:n], teacher_logits, options.temperature)
        if not consistent:
            return {"loss": kd, "kd": kd}
        twin = _twin(logits, turns, n, copies)
        if options.consistency == "l2":
            consistency = twin_distance(logits[:n], twin) / options.beta_divisor
        else:
            consistency = simclr(logits[:n], twin, options.simclr_temperature)
        return {"loss": kd + options.beta * consistency, "kd": kd, options.consistency: consistency}

    context.trainer.run(learner, loss, options.recipe("gen1_", copies=copies))


def quarter_turns(twin: str, images: torch.Tensor) -> int | torch.Tensor:
    """How many quarter turns make the twins: one number for all, or where ``twin`` is ``random`` (B,) int64, 1..3.

    Drawn from torch's global generator, which the training loop seeds for each epoch, as for dropout.
    """
    if twin == "random":
        return torch.randint(1, 4, (len(images),), device=images.device)
    return int(twin) // 90


def _views(images: torch.Tensor, turns: int | torch.Tensor, copies: int) -> torch.Tensor:
    """What the student sees, (copies·B, C, S, S), the images first."""
    if copies == 4:
        return rotations4(images)
    return torch.cat([images, rotate(images, turns)]) if copies == 2 else images


def _twin(logits: torch.Tensor, turns: int | torch.Tensor, n: int, copies: int) -> torch.Tensor:
    """The logits (B, n_classes) of each image's twin among those (copies·B, n_classes) of all views."""
    if copies == 2:
        return logits[n:]
    views = logits.view(copies, n, -1)
    return views[turns] if isinstance(turns, int) else views[turns, torch.arange(n, device=logits.device)]
