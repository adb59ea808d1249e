"""GNN: a graph whose edges are learned from its nodes, which hold features and labels.

Source: Garcia and Bruna 2018, arXiv:1711.04043. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_graph.episodes import GraphOptions, check


class GnnOptions(GraphOptions):
    """Options of GNN."""

    layers: int = Field(2, gt=0, description="layers of the graph before the one that gives labels")
    label_start: float = Field(
        0.0, ge=0, description="what a label that neighbours pass on adds at first to the score of its class"
    )


def stages(options: GnnOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("gnn", build, fit)]


def stages_transductive(options: GnnOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("gnn-transductive", build_transductive, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_graph.gnn_network import GraphNeuralNetwork

    return GraphNeuralNetwork(context, transductive=False)


def build_transductive(context: harness.BuildContext) -> Any:
    from harness_graph.gnn_network import GraphNeuralNetwork

    return GraphNeuralNetwork(context, transductive=True)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_graph.gnn_network import loss

    context.trainer.run(learner, loss, context.options.recipe(batches=context.options.batches()))


_DECAY = {"steps_per_epoch": 1000, "decay_factor": 0.5}
PRESETS = {
    "quick": harness.Preset(
        "minutes on two CPU cores, counted in images seen: many small steps from a start that passes labels on",
        {**QUICK, "episodes": 2, "train_query": 5, "learning_rate": 0.002, "label_start": 3.0},
        QUICK_PER_DATASET,
    ),
    "paper": harness.Preset(
        "5-way 1-shot, 80,000 steps of 100 queries, Adam at 0.001 halved every 15,000",
        {**_DECAY, "epochs": 80, "episodes": 20, "decay_at": (15, 30, 45, 60, 75)},
    ),
    "paper-5-shot": harness.Preset(
        "5-way 5-shot, 90,000 steps of 40 queries, Adam at 0.001 halved every 15,000",
        {**_DECAY, "epochs": 90, "episodes": 8, "train_shot": 5, "decay_at": (15, 30, 45, 60, 75)},
    ),
}

GNN = harness.MethodSpec(
    name="gnn",
    title="GNN: labels pass through a graph of supports and one query, whose edges are learned",
    paper="arXiv:1711.04043",
    citation=harness.Citation(
        "garcia2018fewshot",
        "Garcia, Victor and Bruna, Joan",
        "Few-Shot Learning with Graph Neural Networks",
        2018,
        "International Conference on Learning Representations",
    ),
    options=GnnOptions,
    stages=stages,
    head=None,
    check=check,
    presets=PRESETS,
)

GNN_TRANSDUCTIVE = harness.MethodSpec(
    name="gnn-transductive",
    title="GNN with all queries of an episode in one graph",
    paper="arXiv:1711.04043",
    citation=harness.Citation(
        "garcia2018fewshot",
        "Garcia, Victor and Bruna, Joan",
        "Few-Shot Learning with Graph Neural Networks",
        2018,
        "International Conference on Learning Representations",
    ),
    options=GnnOptions,
    stages=stages_transductive,
    head=None,
    transductive=True,
    check=check,
    presets=PRESETS,
)
