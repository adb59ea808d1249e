"""MAML: weights from which a few steps of gradient descent on the supports fit an episode.

Source: Finn et al. 2017, arXiv:1703.03400. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_metalearning.episodes import EpisodicOptions


class MamlOptions(EpisodicOptions):
    """Options of MAML and ANIL."""

    inner_steps: int = Field(5, gt=0, description="steps of gradient descent on the supports in training")
    test_steps: int = Field(10, gt=0, description="steps of gradient descent on the supports at test")
    inner_rate: float = Field(0.01, gt=0, description="learning rate of these steps")
    order: Literal["first", "second"] = Field(
        "second", description="derivatives: through the steps' gradients too, or first-order MAML"
    )


def stages(options: MamlOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("maml", build, fit)]


def transductive_stages(options: MamlOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("maml", build_transductive, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_metalearning.adaptation import Maml

    return Maml(context, transductive=False)


def build_transductive(context: harness.BuildContext) -> Any:
    from harness_metalearning.adaptation import Maml

    return Maml(context, transductive=True)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_metalearning.adaptation import fit as fit_episodes

    fit_episodes(context, learner)


PRESETS = {
    "quick": harness.Preset(
        "counted in images seen; two inner steps, four at test",
        {
            **QUICK,
            "meta_batch": 2,
            "train_query": 5,
            "inner_steps": 2,
            "test_steps": 4,
            "inner_rate": 0.03,
            "learning_rate": 0.003,
        },
        QUICK_PER_DATASET,
    ),
    "paper": harness.Preset(
        "60,000 steps of four 5-way 1-shot episodes, five inner steps at 0.01, ten at test", {"meta_batch": 4}
    ),
    "paper-5-shot": harness.Preset(
        "as paper, with the two 5-way 5-shot episodes a step of the 5-shot results", {"meta_batch": 2, "train_shot": 5}
    ),
}

MAML = harness.MethodSpec(
    name="maml",
    title="MAML: all weights adapt to an episode by a few steps of gradient descent",
    paper="arXiv:1703.03400",
    citation=harness.Citation(
        "finn2017model",
        "Finn, Chelsea and Abbeel, Pieter and Levine, Sergey",
        "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
        2017,
        "International Conference on Machine Learning",
    ),
    options=MamlOptions,
    stages=stages,
    head=None,
    check=harness.check_training_episodes,
    presets=PRESETS,
)

MAML_TRANSDUCTIVE = harness.MethodSpec(
    name="maml-transductive",
    title="MAML as in its authors' code: BatchNorm over the queries of an episode",
    paper="arXiv:1703.03400",
    citation=harness.Citation(
        "finn2017model",
        "Finn, Chelsea and Abbeel, Pieter and Levine, Sergey",
        "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
        2017,
        "International Conference on Machine Learning",
    ),
    options=MamlOptions,
    stages=transductive_stages,
    head=None,
    transductive=True,
    check=harness.check_training_episodes,
    presets=PRESETS,
)
