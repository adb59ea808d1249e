"""Baseline and Baseline++: a linear or a cosine classifier of the base classes, then one of each episode.

Source: Chen et al. 2019, arXiv:1904.04232, section 3.2. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

import harness
from harness_finetune.pretraining import QUICK_TRAINING, QUICK_TRAINING_PER_DATASET, build, fit


class BaselineOptions(harness.TrainingOptions):
    """Options of Baseline."""

    epochs: int = Field(400, gt=0, description="training length of a stage in passes over the base classes")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD with Nesterov-free momentum, or Adam")
    learning_rate: float = Field(1e-3, gt=0, description="initial learning rate")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on all weights")
    schedule: Literal["step", "cosine", "constant"] = Field("constant", description="how the learning rate falls")
    batch_size: int = Field(16, gt=0, description="images a step")


class BaselinePlusPlusOptions(BaselineOptions):
    """Options of Baseline++."""

    scale: float = Field(2.0, gt=0, description="what the cosines of the base classifier are multiplied by")


def baseline_stages(options: BaselineOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("baseline", build, fit)]


def baseline_plus_plus_stages(options: BaselinePlusPlusOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("baseline++", build_cosine, fit)]


def build_cosine(context: harness.BuildContext) -> Any:
    from harness_finetune.networks import CosineNetwork

    return CosineNetwork(context, context.options.scale)


def _presets(quick: dict[str, Any]) -> dict[str, harness.Preset]:
    return {
        "quick": harness.Preset("minutes on two CPU cores, counted in images seen", quick, QUICK_TRAINING_PER_DATASET),
        "paper": harness.Preset(
            "400 epochs of Adam at 0.001 in batches of 16; on CUB the authors' code has 200",
            per_dataset={"CUB-200-2011": {"epochs": 200}},
        ),
    }


BASELINE = harness.MethodSpec(
    name="baseline",
    title="Baseline: cross-entropy on the base classes, then a linear classifier fitted to each episode",
    paper="arXiv:1904.04232",
    citation=harness.Citation(
        "chen2019closer",
        ("Chen, Wei-Yu and Liu, Yen-Cheng and Kira, Zsolt and Wang, Yu-Chiang Frank and Huang, Jia-Bin"),
        "A Closer Look at Few-shot Classification",
        2019,
        "International Conference on Learning Representations",
    ),
    options=BaselineOptions,
    stages=baseline_stages,
    head=harness.Head("linear-sgd"),
    presets=_presets(QUICK_TRAINING),
)

BASELINE_PLUS_PLUS = harness.MethodSpec(
    name="baseline++",
    title="Baseline++: as Baseline, with cosines to class weights in place of linear classifiers",
    paper="arXiv:1904.04232",
    citation=harness.Citation(
        "chen2019closer",
        ("Chen, Wei-Yu and Liu, Yen-Cheng and Kira, Zsolt and Wang, Yu-Chiang Frank and Huang, Jia-Bin"),
        "A Closer Look at Few-shot Classification",
        2019,
        "International Conference on Learning Representations",
    ),
    options=BaselinePlusPlusOptions,
    stages=baseline_plus_plus_stages,
    head=harness.Head("cosine-sgd"),
    presets=_presets({**QUICK_TRAINING, "scale": 10.0}),
)
