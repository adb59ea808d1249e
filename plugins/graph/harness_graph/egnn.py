"""EGNN: a graph whose edges say how far two nodes are of one class, and are sharpened layer by layer.

Source: Kim et al. 2019, arXiv:1905.01436. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_graph.episodes import GraphOptions, check


class EgnnOptions(GraphOptions):
    """Options of EGNN."""

    earlier_weight: float = Field(0.5, ge=0, description="weight of the loss of each layer before the last")


def stages(options: EgnnOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("egnn", build, fit)]


def stages_transductive(options: EgnnOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("egnn-transductive", build_transductive, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_graph.egnn_network import EdgeGraphNetwork

    return EdgeGraphNetwork(context, transductive=False)


def build_transductive(context: harness.BuildContext) -> Any:
    from harness_graph.egnn_network import EdgeGraphNetwork

    return EdgeGraphNetwork(context, transductive=True)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_graph.egnn_network import loss_of

    options = context.options
    context.trainer.run(learner, loss_of(options.earlier_weight), options.recipe(batches=options.batches()))


_PAPER = {
    "steps_per_epoch": 1000,
    "epochs": 100,
    "episodes": 40,
    "learning_rate": 5e-4,
    "decay_at": (15, 30, 45, 60, 75, 90),
    "decay_factor": 0.5,
}
PRESETS = {
    "quick": harness.Preset(
        "minutes on two CPU cores, counted in images seen", {**QUICK, "episodes": 10}, QUICK_PER_DATASET
    ),
    "paper": harness.Preset(
        "5-way 1-shot, 100,000 steps of 40 episodes, Adam at 0.0005 halved every 15,000",
        _PAPER,
        {"tieredImageNet": {"epochs": 200, "decay_at": (30, 60, 90, 120, 150, 180)}},
    ),
    "paper-5-shot": harness.Preset(
        "as paper, with 5-shot training episodes",
        {**_PAPER, "train_shot": 5},
        {"tieredImageNet": {"epochs": 200, "decay_at": (30, 60, 90, 120, 150, 180)}},
    ),
}

EGNN = harness.MethodSpec(
    name="egnn",
    title="EGNN: edges of a graph of supports and one query say who is of one class",
    paper="arXiv:1905.01436",
    citation=harness.Citation(
        "kim2019edge",
        "Kim, Jongmin and Kim, Taesup and Kim, Sungwoong and Yoo, Chang D.",
        "Edge-Labeling Graph Neural Network for Few-Shot Learning",
        2019,
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    ),
    options=EgnnOptions,
    stages=stages,
    head=None,
    check=check,
    presets=PRESETS,
)

EGNN_TRANSDUCTIVE = harness.MethodSpec(
    name="egnn-transductive",
    title="EGNN with all queries of an episode in one graph",
    paper="arXiv:1905.01436",
    citation=harness.Citation(
        "kim2019edge",
        "Kim, Jongmin and Kim, Taesup and Kim, Sungwoong and Yoo, Chang D.",
        "Edge-Labeling Graph Neural Network for Few-Shot Learning",
        2019,
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    ),
    options=EgnnOptions,
    stages=stages_transductive,
    head=None,
    transductive=True,
    check=check,
    presets=PRESETS,
)
