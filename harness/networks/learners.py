"""What most methods train: a backbone, with or without a linear classifier of the base classes on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from harness.images.augment import normalise

if TYPE_CHECKING:
    from harness.contract.methods import BuildContext


class FeatureNetwork(nn.Module):
    """A learner that embeds images with the backbone that was asked for. Its weights lie under ``backbone.``."""

    mean: torch.Tensor  # (C,) float32, of pixels scaled to 0..1; not in the state dict
    std: torch.Tensor  # (C,) float32

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self.backbone = context.backbone()
        self.n_features = int(self.backbone.n_features)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(context.dataset.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(context.dataset.std, dtype=torch.float32), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of normalised images (N, C, H, W) float32."""
        return self.backbone(images).float()

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """The maps (N, C', H', W') float32 that features are made of, of normalised images (N, C, H, W) float32.

        The features themselves as maps of one place, (N, D, 1, 1), where the backbone has none.
        """
        maps = getattr(self.backbone, "maps", None)
        return maps(images).float() if maps is not None else self.backbone(images).float()[:, :, None, None]

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) float32, as in training, of images (N, H, W, C) uint8."""
        return normalise(images, self.mean, self.std)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of images (N, H, W, C) uint8.

        The caller chooses precision (``Hardware.autocast``), eval mode and ``torch.inference_mode``.
        """
        return self.backbone(self.normalised(images)).float()


class ClassifierNetwork(FeatureNetwork):
    """A feature network with a linear layer to the base classes, ``classifier``."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__(context)
        self.classifier = nn.Linear(self.n_features, context.n_classes)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """Features (N, D) and logits (N, n_classes), both float32, of normalised images (N, C, H, W) float32."""
        features = super().forward(images)
        return features, in_float32(self.classifier, features)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, n_classes) float32 of images (N, H, W, C) uint8."""
        return in_float32(self.classifier, self.embed(images))


def in_float32(layer: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """``layer(inputs)`` outside any autocast: logits keep the digits that losses between logits compare.

    Costs nothing beside a backbone. For heads of a method's own, as the rotation head of SKD.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        return layer(inputs.float())


class Pixels(nn.Module):
    """A learner that has learned nothing: its features are the pixels."""

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, H·W·C) float32, 0..1, of images (N, H, W, C) uint8."""
        return images.flatten(1).float() / 255
