"""Matching networks with and without full context embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from harness_metric.comparison import Comparison

if TYPE_CHECKING:
    from harness import Batch, BuildContext


class MatchingNetwork(Comparison):
    """A query's label is the average of the supports' labels under a softmax over cosine similarities.

    Source: arXiv:1606.04080, eq. 1 and section 2.1; ``f`` and ``g`` there are queries and supports in their context.
    """

    def __init__(self, context: BuildContext) -> None:
        super().__init__(context)
        self.scale = context.options.scale
        self.full_context = context.options.full_context
        if self.full_context:
            self.in_context = FullContext(self.n_features, context.options.processing_steps)

    def compare(
        self, support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int
    ) -> torch.Tensor:
        """Log-probabilities (E, Q, n_way)."""
        if self.full_context:
            support, query = self.in_context(support, query)
        similarity = F.normalize(query, dim=2) @ F.normalize(support, dim=2).mT  # (E, Q, S)
        attention = F.log_softmax(self.scale * similarity, dim=2)
        others = F.one_hot(support_labels, n_way) == 0  # (E, S, n_way)
        return attention[..., None].masked_fill(others[:, None], float("-inf")).logsumexp(dim=2)


class FullContext(nn.Module):
    """Supports and queries embedded in the context of the support set.

    Supports by an LSTM in both directions, queries by one that attends to the supports in each of its steps.

    Source: arXiv:1606.04080, appendix A.1 and A.2. The paper leaves open what the query's LSTM starts from: the query.
    """

    def __init__(self, n_features: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.of_supports = nn.LSTM(n_features, n_features, batch_first=True, bidirectional=True)
        self.of_queries = nn.LSTMCell(2 * n_features, n_features)

    def forward(self, support: torch.Tensor, query: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(E, S, D) and (E, Q, D) of supports (E, S, D), read in their order, and queries (E, Q, D)."""
        forwards, backwards = self.of_supports(support)[0].chunk(2, dim=2)
        support = support + forwards + backwards
        n_queries = query.shape[1]
        plain = query.flatten(0, 1)  # (E·Q, D)
        state, cell = plain, torch.zeros_like(plain)
        for _ in range(self.steps):
            attention = F.softmax(state.unflatten(0, (-1, n_queries)) @ support.mT, dim=2)  # (E, Q, S)
            read = (attention @ support).flatten(0, 1)
            output, cell = self.of_queries(torch.cat([plain, read], dim=1), (state, cell))
            state = output + plain
        return support, state.unflatten(0, (-1, n_queries))


def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """Cross-entropy of the queries. Source: arXiv:1606.04080, eq. 6."""
    episodes = batch.episodes
    assert episodes is not None
    support, query = episodes.split(network(batch.images))
    scores = network.compare(support, episodes.support_labels, query, episodes.n_way)
    return {"loss": F.nll_loss(scores.flatten(0, 1), episodes.query_labels.flatten())}
