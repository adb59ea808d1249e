"""The networks of LEO, and their trainings.

E episodes of S supports with features (E, S, D), of unit length; N = n_way classes, codes of L numbers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import harness
from harness_metalearning.adaptation import adapted

LEAST_DEVIATION, MOST_DEVIATION = 1e-10, 7.0  # the most is ours: see the README


class PretrainedNetwork(harness.ClassifierNetwork):
    """A classifier of the base classes, which classifies an episode by cosines to class means."""

    def predict(self, batch: harness.EpisodeBatch) -> torch.Tensor:
        """Scores (E, Q, n_way)."""
        support, query = unit_features(self, batch)
        members = F.one_hot(batch.support_labels, batch.n_way).to(support.dtype)  # (E, S, n_way)
        return query @ F.normalize(members.mT @ support, dim=2).mT


class LeoNetwork(harness.FeatureNetwork):
    """A frozen backbone; an encoder of an episode's classes to codes, and a decoder of codes to their weights.

    In training, codes and weights are drawn at random around what encoder and decoder say; at test they are that.

    Source: arXiv:1807.05960, algorithm 1 and section 2.3; sizes, starts and deviations as in the authors' code.
    """

    def __init__(self, context: harness.BuildContext) -> None:
        super().__init__(context)
        options = context.options
        size, features = options.latents, self.n_features
        self.backbone.requires_grad_(False)
        self.encoder = nn.Linear(features, size, bias=False)
        pairs = [nn.Linear(2 * size, 2 * size, bias=False) for _ in range(3)]
        self.relation = nn.Sequential(pairs[0], nn.ReLU(), pairs[1], nn.ReLU(), pairs[2])
        self.decoder = nn.Linear(size, 2 * features, bias=False)
        for layer in (self.encoder, *pairs, self.decoder):
            nn.init.xavier_uniform_(layer.weight)
        self.latent_rate = nn.Parameter(torch.full((size,), options.latent_rate))
        self.weight_rate = nn.Parameter(torch.full((features,), options.weight_rate))
        self.options = options

    def train(self, mode: bool = True) -> LeoNetwork:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of unit length, of normalised images (N, C, H, W) float32; no gradient is kept."""
        with torch.no_grad():
            return F.normalize(super().forward(images))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of unit length, of images (N, H, W, C) uint8."""
        return self(self.normalised(images))

    def predict(self, batch: harness.EpisodeBatch) -> torch.Tensor:
        """Scores (E, Q, n_way)."""
        support, query = unit_features(self, batch)
        with torch.no_grad(), torch.autocast(support.device.type, enabled=False):  # the inner loops take their own
            weights, _ = self.adapt(support, batch.support_labels, batch.n_way)
            return query @ weights.mT

    def adapt(
        self, support: torch.Tensor, labels: torch.Tensor, n_way: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weights (E, N, D) of the classes after both inner loops, and the penalties of the codes in training."""
        codes, kl = self.drawn(self.encode(support, labels, n_way), 0.0)

        def decoded(codes: torch.Tensor) -> torch.Tensor:
            return self.drawn(F.linear(codes, self.decoder.weight), (2 / (n_way + self.n_features)) ** 0.5)[0]

        def loss(weights: torch.Tensor) -> torch.Tensor:  # of all episodes in sum, so that each has its own gradient
            logits = self.dropped(support) @ weights.mT
            total = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
            return total * n_way / labels.shape[1]  # a sum over classes, a mean over the shots of each

        options = self.options
        fitted = adapted(
            lambda now: loss(decoded(now["codes"])), {"codes": codes}, options.latent_steps, self.latent_rate, "second"
        )["codes"]
        weights = adapted(
            lambda now: loss(now["weights"]),
            {"weights": decoded(fitted)},
            options.weight_steps,
            self.weight_rate,
            "second",
        )["weights"]
        return weights, {"kl": kl, "moved": F.mse_loss(codes, fitted.detach())}

    def encode(self, support: torch.Tensor, labels: torch.Tensor, n_way: int) -> torch.Tensor:
        """Means and deviations of the codes, (E, N, 2L): of pairs of a support of the class with any. Source: eq. 3."""
        codes = self.encoder(self.dropped(support))  # (E, S, L)
        shape = (*codes.shape[:2], *codes.shape[1:])  # (E, S, S, L)
        pairs = torch.cat([codes[:, :, None].expand(shape), codes[:, None].expand(shape)], dim=3)
        of_supports = self.relation(pairs).mean(2)  # (E, S, 2L)
        members = F.one_hot(labels, n_way).to(codes.dtype)  # (E, S, N)
        return (members / members.sum(1, keepdim=True)).mT @ of_supports

    def drawn(self, said: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Values (…, d) of means and deviations (…, 2d), and their mean KL divergence from a standard normal, ().

        Args:
            least: the deviation that is said by 0.
        """
        mean, logarithm = said.chunk(2, dim=-1)
        if not self.training:
            return mean, mean.new_zeros(())
        deviation = logarithm.clamp_max(math.log(MOST_DEVIATION)).exp() - (1 - least)
        deviation = deviation.clamp_min(LEAST_DEVIATION)
        divergence = 0.5 * (deviation.square() + mean.square() - 1) - deviation.log()
        return mean + deviation * torch.randn_like(mean), divergence.mean()

    def dropped(self, features: torch.Tensor) -> torch.Tensor:
        return F.dropout(features, self.options.dropout, self.training)

    def correlation(self) -> torch.Tensor:
        """How far the codes' numbers are decoded alike, (). Source: arXiv:1807.05960, section 2.3, and the code."""
        directions = F.normalize(self.decoder.weight.T, dim=1)  # (L, 2D)
        identity = torch.eye(len(directions), device=directions.device)
        return F.mse_loss(directions @ directions.T, identity)


def unit_features(network: Any, batch: harness.EpisodeBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of unit length of supports (E, S, D) and queries (E, Q, D)."""
    images = torch.cat([batch.support, batch.query], dim=1)
    with torch.no_grad():
        features = F.normalize(network.embed(images.flatten(0, 1))).unflatten(0, images.shape[:2])
    return features[:, : batch.support.shape[1]], features[:, batch.support.shape[1] :]


def fit_pretrain(context: harness.FitContext, learner: Any) -> None:
    """Cross-entropy on the base classes."""

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        _, logits = network(batch.images)
        return {"loss": F.cross_entropy(logits, batch.labels)}

    context.trainer.run(learner, loss, context.options.recipe())


def fit_leo(context: harness.FitContext, learner: LeoNetwork) -> None:
    """The queries' cross-entropy under adapted weights, and the penalties, on features that are not augmented."""
    options = context.options
    (pretrained,) = context.parents
    learner.backbone.load_state_dict(pretrained.backbone.state_dict())

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        episodes = batch.episodes
        assert episodes is not None
        support, query = episodes.split(network(batch.images))
        with torch.autocast(support.device.type, enabled=False):
            weights, penalties = learner.adapt(support, episodes.support_labels, episodes.n_way)
            logits = learner.dropped(query) @ weights.mT
            classified = F.cross_entropy(logits.flatten(0, 1), episodes.query_labels.flatten())
            total = (
                classified
                + options.kl_weight * penalties["kl"]
                + options.encoder_penalty * penalties["moved"]
                + options.orthogonality_penalty * learner.correlation()
            )
        return {"loss": total, "classified": classified, **penalties}

    shape = (options.train_way, options.train_shot, options.train_query)
    batches = harness.EpisodicBatches(*shape, options.leo_steps, episodes=options.meta_batch)
    recipe = options.recipe("leo_", batches=batches, augmentation=harness.Augmentation(), clip=options.clip)
    if recipe.selection is not None:
        recipe = replace(recipe, selection=replace(recipe.selection, k_shot=options.train_shot))
    context.trainer.run(learner, loss, recipe)
