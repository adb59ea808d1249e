"""The networks of FEAT: both classify an episode by distance to class means, adapted or as they are."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import harness
from harness import ClassifierNetwork, FeatureNetwork


class SetTransformer(nn.Module):
    """A set of vectors (B, N, D), each adapted to the others: one layer of self-attention with one head, (B, N, D).

    In another order of the set the results come in that order.

    Source: arXiv:1812.03664, section 3.3; rates of dropout and initial weights: the authors' code.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.to_query, self.to_key, self.to_value = (nn.Linear(n_features, n_features, bias=False) for _ in range(3))
        for layer in (self.to_query, self.to_key, self.to_value):
            nn.init.normal_(layer.weight, std=n_features**-0.5)
        self.output = nn.Linear(n_features, n_features)
        nn.init.xavier_normal_(self.output.weight)
        self.norm = nn.LayerNorm(n_features)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        query, key, value = self.to_query(vectors), self.to_key(vectors), self.to_value(vectors)
        attention = (query @ key.mT / vectors.shape[2] ** 0.5).softmax(2)  # (B, N, N)
        attention = F.dropout(attention, 0.1, self.training)
        return self.norm(vectors + F.dropout(self.output(attention @ value), 0.5, self.training))


class PretrainedNetwork(ClassifierNetwork):
    """A backbone with a linear layer to the base classes, that classifies an episode by distance to class means."""

    def predict(self, batch: harness.EpisodeBatch) -> torch.Tensor:
        """Scores (E, n_queries, n_way): minus the squared distances to the class means."""
        query, means = embedded(self, batch)
        return closeness(query, means)


class FeatNetwork(FeatureNetwork):
    """A backbone and a transformer of class means."""

    def __init__(self, context: harness.BuildContext, temperature: float) -> None:
        super().__init__(context)
        self.transformer = SetTransformer(self.n_features)
        self.temperature = temperature

    def predict(self, batch: harness.EpisodeBatch) -> torch.Tensor:
        """Scores (E, n_queries, n_way): minus the squared distances to adapted class means, over the temperature."""
        query, means = embedded(self, batch)
        with torch.no_grad(), torch.autocast(means.device.type, enabled=False):
            return closeness(query, self.transformer(means)) / self.temperature


def embedded(network: FeatureNetwork, batch: harness.EpisodeBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of the queries (E, n_queries, D) and class means (E, n_way, D) of a batch of episodes."""
    n_support = batch.support.shape[1]
    images = torch.cat([batch.support, batch.query], dim=1)
    with torch.no_grad():
        features = network.embed(images.flatten(0, 1)).unflatten(0, images.shape[:2])
    members = F.one_hot(batch.support_labels, batch.n_way).to(features.dtype)  # (E, n_support, n_way)
    means = (members / members.sum(1, keepdim=True)).mT @ features[:, :n_support]
    return features[:, n_support:], means


def closeness(points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Minus the squared distances (B, N, M) of points (B, N, D) to centres (B, M, D)."""
    return -(points[:, :, None] - centres[:, None]).square().sum(3)
