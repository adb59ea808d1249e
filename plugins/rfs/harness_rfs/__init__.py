"""RFS: a classifier trained on the base classes, then born again by distilling it into fresh students.

Source: Tian et al. 2020, arXiv:2003.11539. Departures are listed in this plugin's README.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET, TRAINING_READS


class RfsOptions(harness.TrainingOptions):
    """Options of RFS."""

    generations: int = Field(2, ge=0, description="how many born-again students; each is a stage distill-1, …")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of simple's targets spread over all classes")
    ce_weight: float = Field(0.5, ge=0, description="weight of the cross-entropy in a distill stage")
    kd_weight: float = Field(0.5, ge=0, description="weight of the distillation in a distill stage")
    temperature: float = Field(4.0, gt=0, description="softmax temperature of the distillation")
    dropblock_masks: Literal["whole", "reference"] = Field(
        "whole", description="squares that DropBlock drops: whole, or with the gaps of the authors' code"
    )
    dropblock_counter: Literal["training", "reference"] = Field(
        "training", description="what DropBlock's schedule counts: training steps, or the code's validation too"
    )


def stages(options: RfsOptions) -> Sequence[harness.Stage]:
    common = (*TRAINING_READS, "dropblock_masks", "dropblock_counter")
    students = (*common, "ce_weight", "kd_weight", "temperature")
    names = ["simple", *(f"distill-{i}" for i in range(1, options.generations + 1))]
    return [
        harness.Stage("simple", build, fit_simple, reads=(*common, "label_smoothing")),
        *(
            harness.Stage(name, build, fit_distill, parents=(parent,), reads=students)
            for parent, name in itertools.pairwise(names)
        ),
    ]


def build(context: harness.BuildContext) -> Any:
    from harness import ClassifierNetwork

    return ClassifierNetwork(context)


def fit_simple(context: harness.FitContext, learner: Any) -> None:
    from harness_rfs.training import simple

    simple(context, learner)


def fit_distill(context: harness.FitContext, learner: Any) -> None:
    from harness_rfs.training import distill

    distill(context, learner)


# The paper gives the numbers of epochs and of decays (three, on miniImageNet two). The epochs are, for miniImageNet,
# the defaults of the authors' script, for the others an author's answer (WangYueFt/rfs, issue 5).
_SCHEDULES = {
    "CIFAR-FS": {"epochs": 90, "decay_at": (45, 60, 75)},
    "FC100": {"epochs": 90, "decay_at": (45, 60, 75)},
    "miniImageNet": {"epochs": 100, "decay_at": (60, 80)},
    "tieredImageNet": {"epochs": 60, "decay_at": (30, 40, 50)},
}

RFS = harness.MethodSpec(
    name="rfs",
    title="RFS: cross-entropy on the base classes, then born-again distillation",
    paper="arXiv:2003.11539",
    citation=harness.Citation(
        "tian2020rethinking",
        ("Tian, Yonglong and Wang, Yue and Krishnan, Dilip and Tenenbaum, Joshua B. and Isola, Phillip"),
        "Rethinking Few-Shot Image Classification: A Good Embedding Is All You Need?",
        2020,
        "European Conference on Computer Vision",
    ),
    options=RfsOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2", views=5),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen; one born-again generation",
            {**QUICK, "generations": 1},
            {**QUICK_PER_DATASET, "glyphs": {**QUICK_PER_DATASET["glyphs"], "batch_size": 32}},
        ),
        "paper": harness.Preset(
            "the paper's lengths, its authors' decay epochs, two born-again generations",
            {"epochs": 90, "decay_at": (45, 60, 75), "generations": 2},
            _SCHEDULES,
            backbone="resnet12",
        ),
        "reference-code": harness.Preset(
            "as paper, with DropBlock at the rates of the authors' code",
            {"generations": 2, "dropblock_masks": "reference", "dropblock_counter": "reference"},
            _SCHEDULES,
            backbone="resnet12",
        ),
    },
)


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    return [RFS]
