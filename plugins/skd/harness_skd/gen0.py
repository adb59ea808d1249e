"""Gen-0: cross-entropy on four transformed copies of each image, and the transform predicted from the class logits."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

import harness
from harness.augment import rotations4
from harness.batches import Batch
from harness.errors import HarnessError
from harness_skd.losses import self_supervised
from harness_skd.network import N_TRANSFORMS


def fit(context: harness.FitContext, learner: Any) -> None:
    options = context.options
    if options.self_supervision == "none":
        context.trainer.run(learner, _cross_entropy, options)
        return
    if options.self_supervision == "rotation" and not context.dataset.augmentation.rotation_keeps_class:
        raise HarnessError(
            f"skd.self_supervision = 'rotation' on {context.dataset.name}, where a rotated image is another class: "
            "use --set skd.self_supervision=patch or none"
        )
    transform = {"rotation": rotations4, "patch": quadrants}[options.self_supervision]

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        n = len(batch.images)
        _, logits, q = network(transform(batch.images))
        ce = F.cross_entropy(logits, batch.labels.repeat(N_TRANSFORMS))
        ss = self_supervised(q, torch.arange(N_TRANSFORMS, device=q.device).repeat_interleave(n))
        return {"loss": ce + options.alpha * ss, "ce": ce, "self_supervised": ss}

    context.trainer.run(learner, loss, options, copies=N_TRANSFORMS)


def _cross_entropy(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
    _, logits, _ = network(batch.images)
    return {"loss": F.cross_entropy(logits, batch.labels)}


def quadrants(images: torch.Tensor) -> torch.Tensor:
    """The quadrants of each image, enlarged to its size: (4B, C, H, W); top left, top right, bottom left, right."""
    _, _, height, width = images.shape
    h, w = height // 2, width // 2
    crops = torch.cat([images[:, :, y : y + h, x : x + w] for y in (0, height - h) for x in (0, width - w)])
    return F.interpolate(crops, size=(height, width), mode="bilinear", align_corners=False)
