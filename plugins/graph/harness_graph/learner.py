"""What graph networks share: episodes as graphs, many at once, and a network on pairs of nodes."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import nn

from harness import FeatureNetwork, in_float32

if TYPE_CHECKING:
    from harness import BuildContext, EpisodeBatch

# Of one layer's values for pairs of nodes, of which few are held at once: what a processor caches, or what fills a GPU.
CHUNK_BYTES = {"cpu": 2**23, "cuda": 2**27}


class GraphLearner(FeatureNetwork, ABC):
    """A learner that classifies the queries of an episode in a graph of its supports and queries.

    Inductive: a graph for each query, with all supports. Transductive: one graph with all queries.
    """

    def __init__(self, context: BuildContext, transductive: bool) -> None:
        super().__init__(context)
        size = context.options.node_features
        self.transductive = transductive
        self.width = context.options.width
        self.nodes = nn.Sequential(nn.Linear(self.n_features, size), nn.BatchNorm1d(size))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features of nodes (N, node_features) float32, of normalised images (N, C, H, W) float32."""
        return in_float32(self.nodes, super().forward(images))

    @abstractmethod
    def score(self, nodes: torch.Tensor, labels: torch.Tensor, n_way: int) -> torch.Tensor:
        """Scores (G, N - S, n_way) of the queries of graphs.

        Args:
            nodes: (G, N, node_features), supports before queries.
            labels: (G, S) int64 of the supports, 0..n_way-1.
        """

    def graphs(
        self, support: torch.Tensor, labels: torch.Tensor, query: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Nodes (G, N, D) and support labels (G, S) of episodes: (E, S, D), (E, S) and (E, Q, D)."""
        if self.transductive:
            return torch.cat([support, query], dim=1), labels
        n_queries = query.shape[1]
        supports = support.repeat_interleave(n_queries, dim=0)
        return torch.cat([supports, query.flatten(0, 1)[:, None]], dim=1), labels.repeat_interleave(n_queries, dim=0)

    def predict(self, batch: EpisodeBatch) -> torch.Tensor:
        """Scores (E, Q, n_way) of episodes as the evaluation hands them over; no gradient is kept."""
        n_supports = batch.support.shape[1]
        images = torch.cat([batch.support, batch.query], dim=1)  # (E, S + Q, H, W, C)
        with torch.no_grad():
            features = self(self.normalised(images.flatten(0, 1))).float().unflatten(0, images.shape[:2])
            with torch.autocast(features.device.type, enabled=False):
                nodes, labels = self.graphs(features[:, :n_supports], batch.support_labels, features[:, n_supports:])
                most = CHUNK_BYTES.get(features.device.type, CHUNK_BYTES["cuda"])
                at_once = max(1, most // (nodes.shape[1] ** 2 * 2 * self.width * 4))
                parts = zip(nodes.split(at_once), labels.split(at_once), strict=True)
                scores = torch.cat([self.score(*part, batch.n_way) for part in parts])
        return scores.reshape(*batch.query.shape[:2], batch.n_way)


class OfPairs(nn.Module):
    """A number for each pair of nodes, (G, N, N) of nodes (G, N, D), from their absolute difference.

    Four layers of 2w, 2w, w and w units with BatchNorm over all pairs and leaky ReLU, then one of one unit.

    Source: Garcia and Bruna 2018, arXiv:1711.04043, eq. 6, with the widths of the authors' code.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        sizes = (n_features, 2 * width, 2 * width, width, width)
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        if self.training:  # every pair counts in the statistics of BatchNorm, both ways
            apart = (nodes[:, :, None] - nodes[:, None]).abs()  # (G, N, N, D)
            return self.layers(apart.flatten(0, 2)).view(apart.shape[:3])
        first, second = torch.triu_indices(nodes.shape[1], nodes.shape[1], device=nodes.device)
        apart = (nodes[:, first] - nodes[:, second]).abs()  # (G, P, D), each pair once
        values = self.layers(apart.flatten(0, 1)).view(apart.shape[:2])
        numbers = values.new_empty(len(nodes), nodes.shape[1], nodes.shape[1])
        numbers[:, first, second] = numbers[:, second, first] = values
        return numbers
