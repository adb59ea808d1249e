"""Pre-training with a loss of metric learning, most of them pytorch-metric-learning's.

What each loss is, and from which paper, is told in this plugin's README.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET

Loss = Literal[
    "triplet-hard",
    "triplet-semi-hard",
    "n-pairs",
    "angular",
    "center",
    "l-softmax",
    "sphereface",
    "cosface",
    "arcface",
]
LOSSES = get_args(Loss)
OF_PAIRS = LOSSES[:4]  # set images of a batch against each other: it has several images of each of its classes


class MetricOptions(harness.TrainingOptions):
    """Options of pre-training with a loss of metric learning."""

    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD with Nesterov-free momentum, or Adam")
    learning_rate: float = Field(3e-3, gt=0, description="initial learning rate")
    loss: Loss = Field("arcface", description="the loss that features are trained with")
    margin: float | None = Field(
        None, gt=0, description="the loss's margin: distance, angle in degrees or factor; none: its usual one"
    )
    scale: float | None = Field(None, gt=0, description="what cosface and arcface multiply cosines by; none: usual")
    center_weight: float = Field(0.003, ge=0, description="weight of the distance to centres in loss=center")
    norm_weight: float = Field(0.02, ge=0, description="weight of the features' squared length in loss=n-pairs")
    per_class: int | None = Field(
        None, gt=1, description="images of a class in a batch, for triplets and pairs; none: 4 and 2"
    )


def stages(options: MetricOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("metric", build, fit)]


def check(options: MetricOptions, data: harness.Dataset) -> str | None:
    """Why the base classes cannot be told apart by this loss, or None."""
    if data.train is not None and data.train.n_classes < 2:
        return "one base class is none to tell apart: use another dataset"
    return None


def build(context: harness.BuildContext) -> Any:
    from harness_metric.metric_network import MetricNetwork

    return MetricNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_metric.metric_network import batches, loss

    context.trainer.run(learner, loss, context.options.recipe(batches=batches(context.options)))


METRIC = harness.MethodSpec(
    name="metric",
    title="pre-training with a loss of metric learning: triplets, pairs, centres, margins",
    paper="",
    options=MetricOptions,
    stages=stages,
    head=harness.Head("nearest-centroid", transform="l2"),
    check=check,
    presets={
        "quick": harness.Preset("minutes on two CPU cores, counted in images seen, ArcFace", QUICK, QUICK_PER_DATASET),
        "long": harness.Preset("90 epochs on a ResNet-12, ArcFace", backbone="resnet12"),
    },
)


def installed() -> bool:
    return importlib.util.find_spec("pytorch_metric_learning") is not None
