"""SKD's network: features, class logits on them, and a self-supervised head on the class logits."""

from __future__ import annotations

import torch
from torch import nn

import harness
from harness import ClassifierNetwork, in_float32
from harness_skd.transforms import TRANSFORMS


class SkdNetwork(ClassifierNetwork):
    """Features v = Φ(x), class logits p = Θ(v), self-supervised logits q = Ψ(p)."""

    def __init__(self, context: harness.BuildContext) -> None:
        super().__init__(context)
        self.reads_features = context.options.self_supervision_on == "features"
        n_inputs = self.n_features if self.reads_features else context.n_classes
        # Without self-supervision the head is there untrained, so that the other weights are drawn as with rotation.
        transform = TRANSFORMS.get(context.options.self_supervision, TRANSFORMS["rotation"])
        self.self_supervised = nn.Linear(n_inputs, transform.outputs)

    def forward(  # type: ignore[override]
        self, images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(N, D) features, (N, n_classes) class logits, (N, outputs) self-supervised logits of (N, C, H, W) images."""
        features, logits = super().forward(images)
        return features, logits, in_float32(self.self_supervised, features if self.reads_features else logits)
