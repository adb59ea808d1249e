"""Relation networks: a small network judges how far the maps of a query and of a class belong together.

Source: Sung et al. 2018, arXiv:1711.06025. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_metric.episodes import EpisodicOptions, check


class RelationOptions(EpisodicOptions):
    """Options of relation networks."""

    width: int = Field(64, gt=0, description="filters of each of the relation module's two blocks")
    hidden: int = Field(8, gt=0, description="units of the relation module's first linear layer")
    clip: float = Field(0.5, gt=0, description="gradient norm above which gradients are scaled down")


def stages(options: RelationOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("relation", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_metric.relation_network import RelationNetwork

    return RelationNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_metric.relation_network import loss

    options = context.options
    context.trainer.run(learner, loss, options.recipe(batches=options.batches(), clip=options.clip))


_DECAY = {"decay_at": (1000, 2000, 3000, 4000), "decay_factor": 0.5}  # every 100,000 episodes

RELATION = harness.MethodSpec(
    name="relation",
    title="Relation networks: a network compares the maps of a query with those of each class",
    paper="arXiv:1711.06025",
    citation=harness.Citation(
        "sung2018learning",
        (
            "Sung, Flood and Yang, Yongxin and Zhang, Li and Xiang, Tao and Torr, Philip H. S. and "
            "Hospedales, Timothy M."
        ),
        "Learning to Compare: Relation Network for Few-Shot Learning",
        2018,
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    ),
    options=RelationOptions,
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
            "500,000 5-way 1-shot training episodes, Adam at 0.001 halved every 100,000",
            {"epochs": 5000, **_DECAY},
            backbone="conv4-np",
        ),
        "paper-5-shot": harness.Preset(
            "as paper, with 5-shot training episodes of ten queries a class",
            {"epochs": 5000, **_DECAY, "train_shot": 5, "train_query": 10},
            backbone="conv4-np",
        ),
    },
)
