"""R2-D2: features on which ridge regression, solved in closed form, tells the classes of an episode apart.

Source: Bertinetto et al. 2019, arXiv:1805.08136. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_metalearning.episodes import EpisodicOptions


class R2d2Options(EpisodicOptions):
    """Options of R2-D2."""

    meta_batch: int = Field(1, gt=0, description="training episodes a step")
    train_way: int = Field(20, gt=1, description="classes of a training episode")
    train_shot: int = Field(5, gt=0, description="support images a class of a training episode")
    train_query: int = Field(7, gt=0, description="query images a class of a training episode")
    learning_rate: float = Field(5e-3, gt=0, description="initial learning rate")
    schedule: Literal["step", "cosine", "constant"] = Field("step", description="how the learning rate falls")
    decay_at: tuple[int, ...] = Field(tuple(range(20, 1200, 20)), description="epochs after which the rate decays")
    decay_factor: float = Field(0.5, gt=0, le=1, description="what the step schedule multiplies by")
    penalty: float = Field(50.0, gt=0, description="L2 penalty of the ridge regression, to begin with")
    learn_penalty: bool = Field(True, description="whether the penalty is learned, as its logarithm")
    scale: float = Field(10.0, gt=0, description="what scores are multiplied by in training, to begin with")


def stages(options: R2d2Options) -> Sequence[harness.Stage]:
    return [harness.Stage("r2d2", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_metalearning.base_learner import BaseLearnerNetwork

    options = context.options
    return BaseLearnerNetwork(context, 1 / options.penalty, options.scale, options.learn_penalty, intercept=True)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_metalearning.base_learner import fit as fit_episodes
    from harness_metalearning.ridge import one_hot_ridge

    fit_episodes(context, learner, one_hot_ridge)


R2D2 = harness.MethodSpec(
    name="r2d2",
    title="R2-D2: features for ridge regression in closed form, trained on episodes",
    paper="arXiv:1805.08136",
    citation=harness.Citation(
        "bertinetto2019meta",
        "Bertinetto, Luca and Henriques, João F. and Torr, Philip H. S. and Vedaldi, Andrea",
        "Meta-learning with differentiable closed-form solvers",
        2019,
        "International Conference on Learning Representations",
    ),
    options=R2d2Options,
    stages=stages,
    head=harness.Head("one-hot-ridge"),
    check=harness.check_training_episodes,
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {**QUICK, "train_way": 10, "train_query": 5, "learning_rate": 0.003, "penalty": 1.0},
            QUICK_PER_DATASET,
        ),
        "paper": harness.Preset(
            "20-way episodes of 240 images, Adam at 0.005 halved every 2,000 episodes, the best epoch on validation",
            {"epochs": 1200, "selection": "best-val", "patience": 300},
            {"miniImageNet": {"train_way": 16, "train_query": 10}},
        ),
    },
)
