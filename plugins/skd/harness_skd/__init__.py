"""SKD: self-supervision on the class logits (Gen-0), then distillation that keeps rotated twins together (Gen-1).

Source: Rajasegaran et al. 2020, arXiv:2006.09785. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

import harness
from harness import QUICK, QUICK_PER_DATASET, TRAINING_READS


class SkdOptions(harness.TrainingOptions):
    """Options of SKD. Those that begin with ``gen1_`` stand in for their namesakes in Gen-1 and later."""

    generations: int = Field(1, ge=0, description="how many generations after Gen-0; each is a stage gen1, gen2, …")
    epochs: int = Field(65, gt=0, description="training length of Gen-0 in passes over the base classes")
    decay_at: tuple[int, ...] = Field((60,), description="epochs after which Gen-0's step schedule decays")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of Gen-0's targets spread over all classes")
    self_supervision: Literal["rotation", "patch", "flips", "colours", "jigsaw", "sizes", "none"] = Field(
        "rotation", description="what Gen-0's second head predicts: which of several transforms made the image"
    )
    alpha: float = Field(2.0, ge=0, description="weight of Gen-0's self-supervised loss")
    self_supervision_on: Literal["logits", "features"] = Field(
        "logits", description="what the second head reads: the class logits (the paper's point) or the features"
    )
    gen1_images: int | None = Field(None, gt=0, description="training length of Gen-1 in images seen; default: images")
    gen1_epochs: int = Field(65, gt=0, description="training length of Gen-1 in passes over the base classes")
    gen1_decay_at: tuple[int, ...] = Field((60,), description="epochs after which Gen-1's step schedule decays")
    gen1_learning_rate: float = Field(0.05, gt=0, description="initial learning rate of Gen-1")
    temperature: float = Field(4.0, gt=0, description="softmax temperature of Gen-1's distillation")
    consistency: Literal["l2", "simclr", "none"] = Field(
        "l2", description="what keeps an image and its rotated twin together in Gen-1"
    )
    beta: float = Field(0.1, ge=0, description="weight of Gen-1's consistency loss")
    beta_divisor: float = Field(1.0, gt=0, description="what the L2 loss is divided by (the authors' code: 3)")
    twin: Annotated[Literal["90", "180", "270", "random", "copy"], BeforeValidator(str)] = Field(
        "180",
        description="degrees by which Gen-1's twin is rotated; random: drawn for each image; copy: one of Gen-0's",
    )
    gen1_forward: Literal["twins", "all"] = Field(
        "twins", description="what Gen-1 forwards, hence what its BatchNorm sees: images and twins, or four rotations"
    )
    simclr_temperature: float = Field(0.5, gt=0, description="temperature of the SimCLR loss")
    dropblock_masks: Literal["whole", "reference"] = Field(
        "whole", description="squares that DropBlock drops: whole, or with the gaps of the authors' code"
    )
    dropblock_counter: Literal["training", "reference"] = Field(
        "training", description="what DropBlock's schedule counts in Gen-1: training steps, or the code's tests too"
    )


def stages(options: SkdOptions) -> Sequence[harness.Stage]:
    return [
        harness.Stage("gen0", build, fit_gen0, reads=gen0_reads(options)),
        *(
            harness.Stage(f"gen{i}", build, fit_gen1, parents=(f"gen{i - 1}",), reads=gen1_reads(options))
            for i in range(1, options.generations + 1)
        ),
    ]


def gen0_reads(options: SkdOptions) -> tuple[str, ...]:
    """What decides Gen-0's weights."""
    weight = () if options.self_supervision == "none" else ("alpha",)
    return (*TRAINING_READS, "label_smoothing", "self_supervision", "self_supervision_on", "dropblock_masks", *weight)


def gen1_reads(options: SkdOptions) -> tuple[str, ...]:
    """What decides Gen-1's weights beside its parent: a loss that is not asked for has no say."""
    shared = (name for name in TRAINING_READS if name not in ("epochs", "decay_at", "learning_rate"))
    of_gen1 = ("gen1_images", "gen1_epochs", "gen1_decay_at", "gen1_learning_rate", "temperature", "gen1_forward")
    of_the_loss = {"none": (), "l2": ("twin", "beta", "beta_divisor"), "simclr": ("twin", "beta", "simclr_temperature")}
    dropblock = ("dropblock_masks", "dropblock_counter")
    return (*shared, *of_gen1, *dropblock, "consistency", *of_the_loss[options.consistency])


def build(context: harness.BuildContext) -> Any:
    from harness_skd.network import SkdNetwork

    return SkdNetwork(context)


def fit_gen0(context: harness.FitContext, learner: Any) -> None:
    from harness_skd.gen0 import fit

    fit(context, learner)


def fit_gen1(context: harness.FitContext, learner: Any) -> None:
    from harness_skd.gen1 import fit

    fit(context, learner)


# CIFAR-FS: the paper's and the code's alike. Elsewhere the paper has 8 epochs "for the remaining models", and the rest
# is the code's: Gen-0's lengths (which contradict those 8), the decay epochs, β of FC100. β of miniImageNet, and β and
# the decay epoch of Gen-1 on tieredImageNet, are published nowhere.
_RECIPES = {
    "CIFAR-FS": {"epochs": 65, "decay_at": (60,), "gen1_epochs": 65, "gen1_decay_at": (60,), "beta": 0.1},
    "FC100": {"epochs": 65, "decay_at": (60,), "gen1_epochs": 8, "gen1_decay_at": (3,), "beta": 0.2},
    "miniImageNet": {"epochs": 65, "decay_at": (60,), "gen1_epochs": 8, "gen1_decay_at": (5,), "beta": 0.1},
    "tieredImageNet": {"epochs": 60, "decay_at": (30, 40, 50), "gen1_epochs": 8, "gen1_decay_at": (5,), "beta": 0.1},
}


def _as_often(quick: Mapping[str, Any]) -> Mapping[str, Any]:
    """Budgets at which a base image comes as often as in other methods: in four copies, and in Gen-1 with its twin."""
    return {"images": 4 * quick["images"], "gen1_images": 2 * quick["images"]}


# Chosen on the validation classes: benchmarks/results/skd-glyphs.md.
_GLYPHS = {
    **_as_often(QUICK_PER_DATASET["glyphs"]),
    "self_supervision": "sizes",
    "alpha": 1.0,
    "twin": "copy",
    "batch_size": 32,
    "gen1_learning_rate": 0.01,
}
_GLYPHS_NOTE = (
    "glyphs are letters, of which many are turned or mirrored letters of the same alphabet, so self-supervision tells "
    "sizes apart in place of rotations (chosen on the validation classes)"
)

SKD = harness.MethodSpec(
    name="skd",
    title="SKD: rotation self-supervision on the logits (gen0), then self-distillation (gen1)",
    paper="arXiv:2006.09785",
    citation=harness.Citation(
        "rajasegaran2020self",
        ("Rajasegaran, Jathushan and Khan, Salman and Hayat, Munawar and Khan, Fahad Shahbaz and Shah, Mubarak"),
        "Self-supervised Knowledge Distillation for Few-shot Learning",
        2020,
        "arXiv:2006.09785",
        "misc",
    ),
    options=SkdOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2", views=5),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen; every base image as often as other methods see it",
            {**QUICK, **_as_often(QUICK)},
            {**{dataset: _as_often(values) for dataset, values in QUICK_PER_DATASET.items()}, "glyphs": _GLYPHS},
            notes={"glyphs": _GLYPHS_NOTE},
        ),
        "paper": harness.Preset(
            "the paper's values: T = 4, Gen-1 at learning rate 0.05",
            {"temperature": 4.0, "gen1_learning_rate": 0.05},
            _RECIPES,
            backbone="resnet12",
        ),
        "reference-code": harness.Preset(
            "the authors' code: T = 2, Gen-1 at learning rate 0.001, L2 / 3, four rotations forwarded, its DropBlock",
            {
                "temperature": 2.0,
                "gen1_learning_rate": 0.001,
                "beta_divisor": 3.0,
                "gen1_forward": "all",
                "dropblock_masks": "reference",
                "dropblock_counter": "reference",
            },
            _RECIPES,
            backbone="resnet12",
        ),
    },
)


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    return [SKD]
