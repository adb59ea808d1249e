"""Meta-LSTM: an LSTM whose cell is the learner's weights adapts them to an episode, from a learned start.

Source: Ravi and Larochelle 2017, openreview.net/forum?id=rJY0-Kcll. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_metalearning.episodes import EpisodicOptions


class MetaLstmOptions(EpisodicOptions):
    """Options of Meta-LSTM."""

    epochs: int = Field(500, gt=0, description="training length in epochs of steps_per_epoch steps")
    meta_batch: int = Field(1, gt=0, description="training episodes a step")
    clip: float = Field(0.25, gt=0, description="norm above which gradients are scaled down to it")
    updates: int = Field(12, gt=0, description="updates of the weights by the LSTM, in training and at test")
    hidden: int = Field(20, gt=0, description="units of the LSTM below the one whose cell is the weights")
    input_gate: float = Field(0.011, gt=0, lt=1, description="input gate at first: the learning rate of a descent")
    forget_gate: float = Field(0.989, gt=0, lt=1, description="forget gate at first: what is left of the weights")


def stages(options: MetaLstmOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("meta-lstm", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_metalearning.meta_lstm_network import MetaLstm

    return MetaLstm(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_metalearning.adaptation import fit as fit_episodes

    fit_episodes(context, learner, clip=context.options.clip)


META_LSTM = harness.MethodSpec(
    name="meta-lstm",
    title="Meta-LSTM: an LSTM is the optimiser that adapts all weights to an episode",
    paper="openreview:rJY0-Kcll",
    citation=harness.Citation(
        "ravi2017optimization",
        "Ravi, Sachin and Larochelle, Hugo",
        "Optimization as a Model for Few-Shot Learning",
        2017,
        "International Conference on Learning Representations",
    ),
    options=MetaLstmOptions,
    stages=stages,
    head=None,
    check=harness.check_training_episodes,
    presets={
        "quick": harness.Preset(
            "counted in images seen; four updates",
            {
                **QUICK,
                "train_query": 5,
                "updates": 4,
                "learning_rate": 0.003,
                "input_gate": 0.03,
                "forget_gate": 0.999,
            },
            QUICK_PER_DATASET,
        ),
        "paper": harness.Preset(
            "50,000 episodes of 5-way 1-shot, twelve updates, the best epoch on validation", {"selection": "best-val"}
        ),
        "paper-5-shot": harness.Preset(
            "50,000 episodes of 5-way 5-shot, five updates, the best epoch on validation",
            {"selection": "best-val", "train_shot": 5, "updates": 5},
        ),
    },
)
