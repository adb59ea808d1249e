"""Gen-0: cross-entropy on transformed copies of each image, and the transform predicted from the class logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

import harness
from harness import Batch, follow_reference, rotations4
from harness_skd.losses import self_supervised
from harness_skd.network import N_TRANSFORMS


def fit(context: harness.FitContext, learner: Any) -> None:
    """Train with CE + α·BCE; with CE alone where there is no self-supervision."""
    options = context.options
    follow_reference(learner, options.dropblock_masks, 1, 0)  # the code's Gen-0 evaluates nothing before its end
    if options.self_supervision == "none":
        # Nothing trains the second head then, and data-parallel training waits for gradients of all that may train.
        learner.self_supervised.requires_grad_(False)
        context.trainer.run(learner, _cross_entropy, options.recipe())
        return
    transform, copies = _transform(context)

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        n = len(batch.images)
        _, logits, q = network(transform(batch.images))
        ce = F.cross_entropy(logits, batch.labels.repeat(copies))
        which = torch.arange(N_TRANSFORMS, device=q.device).repeat_interleave(n)  # (4B,)
        ss = self_supervised(q[-len(which) :], which)
        return {"loss": ce + options.alpha * ss, "ce": ce, "self_supervised": ss}

    context.trainer.run(learner, loss, options.recipe(copies=copies))


def _cross_entropy(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
    _, logits, _ = network(batch.images)
    return {"loss": F.cross_entropy(logits, batch.labels)}


def _transform(context: harness.FitContext) -> tuple[Callable[[torch.Tensor], torch.Tensor], int]:
    """What makes the copies of a batch, and how many an image; the last four are what the second head tells apart.

    Raises:
        HarnessError: rotation, where it makes another class of an image.
    """
    if context.options.self_supervision == "patch":
        return with_quadrants, 1 + N_TRANSFORMS
    if not context.dataset.augmentation.rotation_keeps_class:
        raise harness.HarnessError(
            f"skd.self_supervision = 'rotation' on {context.dataset.name}, where a rotated image is another class: "
            "use --set skd.self_supervision=patch or none, and --set skd.consistency=none"
        )
    return rotations4, N_TRANSFORMS


def with_quadrants(images: torch.Tensor) -> torch.Tensor:
    """The images and then their quadrants, (5B, C, H, W), in channels_last."""
    return torch.cat([images, quadrants(images)]).contiguous(memory_format=torch.channels_last)


def quadrants(images: torch.Tensor) -> torch.Tensor:
    """The quadrants of each image, enlarged to its size: (4B, C, H, W).

    All top left ones, then top right, bottom left, bottom right: image i in quadrant r lies at ``r·B + i``.
    """
    _, _, height, width = images.shape
    h, w = height // 2, width // 2
    crops = torch.cat([images[:, :, y : y + h, x : x + w] for y in (0, height - h) for x in (0, width - w)])
    return F.interpolate(crops, size=(height, width), mode="bilinear", align_corners=False)
