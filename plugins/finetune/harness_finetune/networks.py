"""The networks of these methods, beside those of the harness."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import harness
from harness import ClassifierNetwork, FeatureNetwork


class CosineClassifier(nn.Module):
    """Scaled cosines of features (N, D) to a direction a class, times a norm that each class learns: (N, n_classes).

    Source: Chen et al. 2019, arXiv:1904.04232, section 3.2; the norms: the authors' code.
    """

    def __init__(self, n_features: int, n_classes: int, scale: float) -> None:
        super().__init__()
        self.directions = nn.Parameter(nn.Linear(n_features, n_classes, bias=False).weight.detach())
        self.norms = nn.Parameter(self.directions.detach().norm(dim=1))
        self.scale = scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        cosines = F.normalize(features, dim=1) @ F.normalize(self.directions, dim=1).T
        return self.scale * self.norms * cosines


class CosineNetwork(ClassifierNetwork):
    """A backbone with a cosine classifier of the base classes."""

    def __init__(self, context: harness.BuildContext, scale: float) -> None:
        super().__init__(context)
        self.classifier = CosineClassifier(self.n_features, context.n_classes, scale)  # type: ignore[assignment]


class ScaledNetwork(FeatureNetwork):
    """A backbone, and a scale of cosines that is learned with it."""

    def __init__(self, context: harness.BuildContext, scale: float) -> None:
        super().__init__(context)
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """Features (N, D) float32 of normalised images (N, C, H, W) float32, and the scale ()."""
        return super().forward(images), self.scale
