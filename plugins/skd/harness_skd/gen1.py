"""Gen-1: a student that starts from Gen-0, learns its softened logits, and keeps rotated twins together."""

from __future__ import annotations

from typing import Any

import torch

import harness
from harness.augment import rotate, rotations4
from harness.backbones.dropblock import restart_schedules
from harness.batches import Batch
from harness.losses import distillation
from harness_skd.losses import simclr, twin_distance


def fit(context: harness.FitContext, learner: Any) -> None:
    options = context.options
    learner.load_state_dict(context.parent.state_dict())
    restart_schedules(learner)
    teacher = context.trainer.frozen(context.parent)
    consistent = options.consistency != "none"
    copies = 4 if options.gen1_forward == "all" else 2 if consistent else 1

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        n = len(batch.images)
        turns = _turns(options.twin)
        _, logits, _ = network(_views(batch.images, turns, copies))
        _, teacher_logits, _ = teacher(batch.images)
        kd = distillation(logits[:n], teacher_logits, options.temperature)
        if not consistent:
            return {"loss": kd, "kd": kd}
        twin = logits[n:].view(copies - 1, n, -1)[turns - 1 if copies == 4 else 0]
        if options.consistency == "l2":
            consistency = twin_distance(logits[:n], twin) / options.beta_divisor
        else:
            consistency = simclr(logits[:n], twin, options.simclr_temperature)
        return {"loss": kd + options.beta * consistency, "kd": kd, options.consistency: consistency}

    context.trainer.run(learner, loss, _gen1(options), copies=copies)


def _turns(twin: str) -> int:
    """How many quarter turns make the twin of this batch. The global generator is seeded by the training loop."""
    return int(torch.randint(1, 4, ())) if twin == "random" else int(twin) // 90


def _views(images: torch.Tensor, turns: int, copies: int) -> torch.Tensor:
    if copies == 4:
        return rotations4(images)
    return torch.cat([images, rotate(images, turns)]) if copies == 2 else images


def _gen1(options: Any) -> Any:
    """Gen-1's own length and learning rate in the places where the training loop looks for them."""
    return options.model_copy(
        update={
            "images": options.gen1_images or options.images,
            "epochs": options.gen1_epochs,
            "decay_at": options.gen1_decay_at,
            "learning_rate": options.gen1_learning_rate,
        }
    )
