"""Siamese networks: whether two images are of one class, from a weighted L1 distance of their features.

Source: Koch et al. 2015, "Siamese neural networks for one-shot image recognition". Departures are listed in this
plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET


class SiameseOptions(harness.GradientOptions):
    """Options of siamese networks. ``epochs`` counts ``pairs_per_epoch`` training pairs each."""

    epochs: int = Field(200, gt=0, description="training length in epochs of pairs_per_epoch training pairs")
    pairs_per_epoch: int = Field(30_000, gt=0, description="training pairs an epoch, half of them of one class")
    batch_pairs: int = Field(128, gt=1, description="pairs a step")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD with Nesterov-free momentum, or Adam")
    learning_rate: float = Field(1e-3, gt=0, description="initial learning rate")
    width: int = Field(4096, gt=0, description="sigmoid units between backbone and distance")


def stages(options: SiameseOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("siamese", build, fit)]


def check(options: SiameseOptions, data: harness.Dataset) -> str | None:
    """Why no pair can be drawn from the base classes, or None."""
    if data.train is not None and data.train.n_classes < 2:
        return "pairs are drawn from two base classes or more, but there is one: use another dataset"
    return None


def build(context: harness.BuildContext) -> Any:
    from harness_metric.siamese_network import SiameseNetwork

    return SiameseNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_metric.siamese_network import PairBatches, loss

    options = context.options
    batches = PairBatches(options.batch_pairs, max(1, options.pairs_per_epoch // options.batch_pairs))
    context.trainer.run(learner, loss, options.recipe(batches=batches))


SIAMESE = harness.MethodSpec(
    name="siamese",
    title="Siamese networks: weighted L1 distance of pairs, binary cross-entropy",
    paper="",
    citation=harness.Citation(
        "koch2015siamese",
        "Koch, Gregory and Zemel, Richard and Salakhutdinov, Ruslan",
        "Siamese Neural Networks for One-shot Image Recognition",
        2015,
        "ICML Deep Learning Workshop",
    ),
    options=SiameseOptions,
    stages=stages,
    head=None,
    check=check,
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen", {**QUICK, "width": 512}, QUICK_PER_DATASET
        ),
        "paper": harness.Preset(
            "200 epochs of 30,000 pairs, the rate lowered by 1 % an epoch, 4,096 sigmoid units",
            {"epochs": 200, "schedule": "step", "decay_at": tuple(range(1, 200)), "decay_factor": 0.99},
        ),
    },
)
