"""Features for a base learner that has a solution: trained through it on episodes, scored by it with features at hand.

The solvers are classifiers of strength 1 that anybody can name. Ridge regression with a penalty λ is theirs on features
divided by √λ, a support vector machine with C theirs on features times √C: so features are scaled, here and nowhere
else, and a trained network is an ``Embedder`` whose images are embedded once, however many episodes there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import harness


class BaseLearnerNetwork(harness.FeatureNetwork):
    """Features times √strength, where asked for with a constant one more for an intercept; and a scale for scores.

    Args:
        strength: 1/λ of a ridge regression, C of a support vector machine.
        learned: whether the strength is, as its logarithm.
        scale: what scores are multiplied by in training, to begin with; it is learned.
    """

    log_strength: torch.Tensor  # ()

    def __init__(
        self,
        context: harness.BuildContext,
        strength: float,
        scale: float,
        learned: bool = False,
        intercept: bool = False,
    ) -> None:
        super().__init__(context)
        log_strength = torch.tensor(math.log(strength))
        if learned:
            self.log_strength = nn.Parameter(log_strength)
        else:
            self.register_buffer("log_strength", log_strength)
        self.scale = nn.Parameter(torch.tensor(scale))
        self.intercept = intercept

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scaled features (N, D) float32, or (N, D + 1), of normalised images (N, C, H, W) float32."""
        return self._scaled(super().forward(images))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Scaled features (N, D) float32, or (N, D + 1), of images (N, H, W, C) uint8."""
        return self._scaled(super().embed(images))

    def _scaled(self, features: torch.Tensor) -> torch.Tensor:
        if self.intercept:
            features = F.pad(features, (0, 1), value=1.0)
        return features * (0.5 * self.log_strength).exp()


def fit(
    context: harness.FitContext,
    learner: BaseLearnerNetwork,
    solve: Callable[..., torch.Tensor],
    label_smoothing: float = 0.0,
    **parts: Any,
) -> None:
    """Each step: a base learner solved for every episode, and the cross-entropy of its scaled scores of the queries.

    Args:
        solve: scores (E, Q, n_way) of supports, their labels, queries and n_way; gradients flow through it.
        label_smoothing: ε, of which each other class gets ε / (n_way - 1).
        parts: of the recipe.
    """

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        episodes = batch.episodes
        assert episodes is not None
        support, query = episodes.split(network(batch.images))
        with torch.autocast(support.device.type, enabled=False):
            logits = learner.scale * solve(support, episodes.support_labels, query, episodes.n_way)
        shared = label_smoothing * episodes.n_way / (episodes.n_way - 1)  # torch counts the true class among the others
        labels = episodes.query_labels.flatten()
        return {"loss": F.cross_entropy(logits.flatten(0, 1), labels, label_smoothing=shared)}

    recipe = context.options.recipe(**{"batches": context.options.batches(), **parts})
    context.trainer.run(learner, loss, recipe)
