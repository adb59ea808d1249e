"""The edge-labelling graph network of Kim et al."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from harness_graph.learner import GraphLearner, OfPairs

if TYPE_CHECKING:
    from harness import Batch, BuildContext, Loss


class EdgeGraphNetwork(GraphLearner):
    """Edges of two numbers, how far nodes are of one class and of two; nodes and edges improve each other in turn.

    Source: arXiv:1905.01436, section 3.2.
    """

    def __init__(self, context: BuildContext, transductive: bool) -> None:
        super().__init__(context, transductive)
        options = context.options
        sizes = [options.node_features, *[self.width] * options.layers]
        self.of_nodes = nn.ModuleList(OfNodes(size, self.width) for size in sizes[:-1])
        self.of_edges = nn.ModuleList(OfPairs(self.width, self.width) for _ in range(options.layers))

    def edges(self, nodes: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
        """The edges (G, N, N, 2) after each layer. Source: algorithm 1."""
        edges, by_layer = first_edges(nodes.shape[1], labels).to(nodes.dtype), []
        for of_nodes, of_edges in zip(self.of_nodes, self.of_edges, strict=True):
            nodes = of_nodes(nodes, edges)
            edges = updated(edges, of_edges(nodes).sigmoid())
            by_layer.append(edges)
        return by_layer

    def score(self, nodes: torch.Tensor, labels: torch.Tensor, n_way: int) -> torch.Tensor:
        """How strongly each query is tied to the supports of each class, (G, N - S, n_way). Source: eq. 7."""
        n_supports = labels.shape[1]
        tied = self.edges(nodes, labels)[-1][:, n_supports:, :n_supports, 0]  # (G, N - S, S)
        return tied @ F.one_hot(labels, n_way).to(tied.dtype)


class OfNodes(nn.Module):
    """New nodes (G, N, width) of nodes (G, N, D): each beside what those like it and those unlike it are on average.

    Source: arXiv:1905.01436, eq. 3; the node itself as in the authors' code.
    """

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3 * n_features, 2 * width),
            nn.BatchNorm1d(2 * width),
            nn.LeakyReLU(),
            nn.Linear(2 * width, width),
            nn.BatchNorm1d(width),
            nn.LeakyReLU(),
        )

    def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        shares = F.normalize(_to_others(edges), p=1, dim=2)
        like, unlike = (shares[..., i] @ nodes for i in range(2))
        said = self.layers(torch.cat([nodes, like, unlike], dim=2).flatten(0, 1))
        return said.unflatten(0, nodes.shape[:2])


def first_edges(n_nodes: int, labels: torch.Tensor) -> torch.Tensor:
    """(G, N, N, 2): between supports (1, 0) within a class and (0, 1) between two, else halves. Source: eq. 2."""
    n_supports = labels.shape[1]
    edges = torch.full((len(labels), n_nodes, n_nodes, 2), 0.5, device=labels.device)
    same = (labels[:, :, None] == labels[:, None]).float()
    edges[:, :n_supports, :n_supports] = torch.stack([same, 1 - same], dim=3)
    return edges


def updated(edges: torch.Tensor, alike: torch.Tensor) -> torch.Tensor:
    """Edges (G, N, N, 2) after likenesses (G, N, N), 0..1, are taken into account.

    Each kind of edge of a node is spread anew over the others by likeness or its complement, in sum as before; then
    both kinds are scaled to sum to 1.

    Source: arXiv:1905.01436, eq. 4 to 6.
    """
    others = _to_others(edges)
    weighted = F.normalize(torch.stack([alike, 1 - alike], dim=3) * others, p=1, dim=2)
    weighted = weighted * others.sum(dim=2, keepdim=True)
    itself = torch.eye(edges.shape[1], device=edges.device, dtype=edges.dtype)
    weighted = weighted + torch.stack([itself, torch.zeros_like(itself)], dim=2) + 1e-6
    return weighted / weighted.sum(dim=3, keepdim=True)


def _to_others(edges: torch.Tensor) -> torch.Tensor:
    """``edges`` (G, N, N, 2) with those of a node to itself at 0."""
    return edges * (1 - torch.eye(edges.shape[1], device=edges.device, dtype=edges.dtype))[..., None]


def loss_of(earlier_weight: float) -> Loss:
    """The loss of a training whose layers before the last count ``earlier_weight``. Source: arXiv:1905.01436, eq. 9."""

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        episodes = batch.episodes
        assert episodes is not None
        support, query = episodes.split(network(batch.images))
        nodes, labels = network.graphs(support, episodes.support_labels, query)
        of_queries = episodes.query_labels.reshape(len(nodes), -1)  # (G, N - S)
        layers = [edge_loss(edges, labels, of_queries) for edges in network.edges(nodes, labels)]
        return {"loss": layers[-1] + earlier_weight * sum(layers[:-1])}

    return loss


def edge_loss(edges: torch.Tensor, labels: torch.Tensor, of_queries: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of edges from and to queries, mean over those within a class plus mean over the others.

    Args:
        edges: (G, N, N, 2).
        labels: (G, S) of supports.
        of_queries: (G, N - S) of queries.
    """
    everyone = torch.cat([labels, of_queries], dim=1)
    same = everyone[:, :, None] == everyone[:, None]  # (G, N, N)
    counted = torch.ones_like(same[0])
    counted[: labels.shape[1], : labels.shape[1]] = False
    counted.fill_diagonal_(False)
    losses = F.binary_cross_entropy(edges[..., 0].clamp(0, 1), same.to(edges.dtype), reduction="none")
    within, between = (same & counted).to(edges.dtype), (~same & counted).to(edges.dtype)
    return (losses * within).sum() / within.sum() + (losses * between).sum() / between.sum()
