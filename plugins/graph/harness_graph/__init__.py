"""Graph networks: supports and queries of an episode are nodes of a graph that passes labels on.

A file a method; its options, stages and presets stand apart from its network, which imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable

import harness
from harness_graph.egnn import EGNN, EGNN_TRANSDUCTIVE
from harness_graph.gnn import GNN, GNN_TRANSDUCTIVE


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    return [GNN, GNN_TRANSDUCTIVE, EGNN, EGNN_TRANSDUCTIVE]
