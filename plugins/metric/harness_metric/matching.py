"""Matching networks: a query takes the labels of the supports that it is most similar to.

Source: Vinyals et al. 2016, arXiv:1606.04080. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_metric.episodes import EpisodicOptions, check


class MatchingOptions(EpisodicOptions):
    """Options of matching networks."""

    full_context: bool = Field(True, description="embed supports and queries in the context of the whole support set")
    processing_steps: int = Field(5, gt=0, description="how often a query attends to the supports in its embedding")
    scale: float = Field(100.0, gt=0, description="what cosine similarities are multiplied by before the softmax")


def stages(options: MatchingOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("matching", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_metric.matching_network import MatchingNetwork

    return MatchingNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_metric.matching_network import loss

    context.trainer.run(learner, loss, context.options.recipe(batches=context.options.batches()))


MATCHING = harness.MethodSpec(
    name="matching",
    title="Matching networks: cosine attention over supports, embedded in their context",
    paper="arXiv:1606.04080",
    citation=harness.Citation(
        "vinyals2016matching",
        ("Vinyals, Oriol and Blundell, Charles and Lillicrap, Timothy and Kavukcuoglu, Koray and Wierstra, Daan"),
        "Matching Networks for One Shot Learning",
        2016,
        "Advances in Neural Information Processing Systems",
    ),
    options=MatchingOptions,
    stages=stages,
    head=None,
    check=check,
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {**QUICK, "train_way": 5, "train_shot": 1, "train_query": 15},
            QUICK_PER_DATASET,
        ),
        "paper": harness.Preset(
            "5-way 1-shot training episodes, Adam at 0.001, 60,000 episodes",
            {"epochs": 600, "schedule": "constant", "train_query": 16},
        ),
        "paper-5-shot": harness.Preset(
            "as paper, with 40,000 5-way 5-shot training episodes",
            {"epochs": 400, "schedule": "constant", "train_shot": 5, "train_query": 16},
        ),
    },
)
