"""The graph neural network of Garcia and Bruna."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from harness import HarnessError
from harness_graph.learner import GraphLearner, OfPairs

if TYPE_CHECKING:
    from harness import Batch, BuildContext


class GraphNeuralNetwork(GraphLearner):
    """Nodes of features and labels; each layer learns its edges, and adds what its neighbours say to a node.

    Source: arXiv:1711.04043, section 4. It has as many outputs as ways it was trained with.
    """

    def __init__(self, context: BuildContext, transductive: bool) -> None:
        super().__init__(context, transductive)
        options = context.options
        self.n_way = options.train_way
        sizes = [options.node_features + self.n_way + i * (self.width // 2) for i in range(options.layers + 1)]
        self.edges = nn.ModuleList(OfPairs(size, self.width) for size in sizes)
        self.convolutions = nn.ModuleList(nn.Linear(2 * size, self.width // 2) for size in sizes[:-1])
        self.norms = nn.ModuleList(nn.BatchNorm1d(self.width // 2) for _ in sizes[:-1])
        self.last = nn.Linear(2 * sizes[-1], self.n_way)
        passed_on = sizes[-1] + options.node_features  # where the neighbours' labels stand in what it is given
        with torch.no_grad():
            self.last.weight[:, passed_on : passed_on + self.n_way].diagonal().add_(options.label_start)

    def score(self, nodes: torch.Tensor, labels: torch.Tensor, n_way: int) -> torch.Tensor:
        """Logits (G, N - S, n_way).

        Raises:
            HarnessError: more ways than the network was trained with.
        """
        if n_way > self.n_way:
            raise HarnessError(
                f"this graph network was trained for {self.n_way}-way episodes and cannot score {n_way}-way ones: "
                f"--set LABEL.train_way={n_way}"
            )
        nodes = torch.cat([nodes, self._labels(nodes, labels, n_way)], dim=2)
        for edges, convolution, norm in zip(self.edges, self.convolutions, self.norms, strict=False):
            said = convolution(_with_neighbours(nodes, edges))
            said = norm(said.flatten(0, 1)).view_as(said)
            nodes = torch.cat([nodes, F.leaky_relu(said)], dim=2)
        logits = self.last(_with_neighbours(nodes, self.edges[-1]))
        return logits[:, labels.shape[1] :, :n_way]

    def _labels(self, nodes: torch.Tensor, labels: torch.Tensor, n_way: int) -> torch.Tensor:
        """(G, N, self.n_way): of supports their labels, of queries that each of the n_way is as likely."""
        known = F.one_hot(labels, self.n_way).to(nodes.dtype)
        unknown = nodes.new_zeros(len(nodes), nodes.shape[1] - labels.shape[1], self.n_way)
        unknown[..., :n_way] = 1 / n_way
        return torch.cat([known, unknown], dim=1)


def _with_neighbours(nodes: torch.Tensor, edges: nn.Module) -> torch.Tensor:
    """Nodes (G, N, 2·D) beside the mean of the others, weighted by a softmax over learned edges."""
    itself = torch.eye(nodes.shape[1], dtype=torch.bool, device=nodes.device)
    adjacency = edges(nodes).masked_fill(itself, float("-inf")).softmax(dim=2)
    return torch.cat([nodes, adjacency @ nodes], dim=2)


def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """Cross-entropy of the queries. Source: arXiv:1711.04043, section 5.1."""
    episodes = batch.episodes
    assert episodes is not None
    support, query = episodes.split(network(batch.images))
    nodes, labels = network.graphs(support, episodes.support_labels, query)
    logits = network.score(nodes, labels, episodes.n_way)
    return {"loss": F.cross_entropy(logits.flatten(0, 1), episodes.query_labels.flatten())}
