"""MetaOptNet: features for a convex base learner, a support vector machine or ridge regression.

Source: Lee et al. 2019, arXiv:1904.03758. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_metalearning.episodes import EpisodicOptions


class MetaOptNetOptions(EpisodicOptions):
    """Options of MetaOptNet with a support vector machine."""

    epochs: int = Field(60, gt=0, description="training length in epochs of steps_per_epoch steps")
    steps_per_epoch: int = Field(1000, gt=0, description="steps an epoch")
    meta_batch: int = Field(8, gt=0, description="training episodes a step")
    train_shot: int = Field(15, gt=0, description="support images a class of a training episode")
    train_query: int = Field(6, gt=0, description="query images a class of a training episode")
    optimiser: Literal["sgd", "adam"] = Field("sgd", description="SGD with Nesterov's momentum, or Adam")
    learning_rate: float = Field(0.1, gt=0, description="initial learning rate")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty on all weights")
    schedule: Literal["step", "cosine", "constant"] = Field(
        "step", description="how the learning rate falls; step: to 0.06 of it, then by decay_factor"
    )
    decay_at: tuple[int, ...] = Field((20, 40, 50), description="epochs after which the step schedule decays")
    decay_factor: float = Field(0.2, gt=0, le=1, description="what the step schedule multiplies by")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the other classes in a query's target")
    scale: float = Field(1.0, gt=0, description="what scores are multiplied by in training, to begin with")
    C: float = Field(0.1, gt=0, description="weight of the hinge losses in the support vector machine")


class RidgeOptions(MetaOptNetOptions):
    """Options of MetaOptNet with ridge regression."""

    C: float = Field(0.02, gt=0, description="weight of the squared errors in the ridge regression, 1 / its penalty")


def stages(options: MetaOptNetOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("svm", build, fit_svm)]


def ridge_stages(options: RidgeOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("ridge", build, fit_ridge)]


def build(context: harness.BuildContext) -> Any:
    from harness_metalearning.base_learner import BaseLearnerNetwork

    return BaseLearnerNetwork(context, context.options.C, context.options.scale)


def fit_svm(context: harness.FitContext, learner: Any) -> None:
    from harness_metalearning.base_learner import fit
    from harness_metalearning.crammer_singer import crammer_singer

    fit(context, learner, crammer_singer, context.options.label_smoothing, **recipe_parts(context.options))


def fit_ridge(context: harness.FitContext, learner: Any) -> None:
    from harness_metalearning.base_learner import fit
    from harness_metalearning.ridge import one_hot_ridge

    fit(context, learner, one_hot_ridge, context.options.label_smoothing, **recipe_parts(context.options))


def recipe_parts(options: MetaOptNetOptions) -> dict[str, Any]:
    """What of the recipe is not as everywhere: Nesterov's momentum, and a first decay of its own."""
    of = options.epochs if options.images else None
    step = harness.StepDecay(options.decay_at, options.decay_factor, of)

    def schedule(position: harness.Position) -> float:  # 1, 0.06, 0.012, 0.0024 in the authors' code
        factor = step(position)
        return factor if factor == 1 else 0.3 * factor

    sgd = harness.Sgd(options.learning_rate, options.momentum, options.weight_decay, nesterov=True)
    parts: dict[str, Any] = {"optimiser": sgd} if options.optimiser == "sgd" else {}
    return {**parts, "schedule": schedule} if options.schedule == "step" else parts


QUICK_VALUES = {
    **QUICK,
    "meta_batch": 1,
    "train_way": 10,
    "train_shot": 5,
    "train_query": 5,
    "optimiser": "adam",
    "learning_rate": 0.003,
    "weight_decay": 0.0,
    "scale": 10.0,
}

PRESETS = {
    "quick": harness.Preset("minutes on two CPU cores, counted in images seen", QUICK_VALUES, QUICK_PER_DATASET),
    "paper": harness.Preset(
        "60 epochs of 8,000 5-way episodes, SGD at 0.1, the best epoch on validation",
        {"selection": "best-val"},
        {"tieredImageNet": {"train_shot": 10}, "CIFAR-FS": {"train_shot": 5}},
        backbone="resnet12",
    ),
}

METAOPTNET = harness.MethodSpec(
    name="metaoptnet",
    title="MetaOptNet-SVM: features for a support vector machine, trained on episodes",
    paper="arXiv:1904.03758",
    citation=harness.Citation(
        "lee2019meta",
        "Lee, Kwonjoon and Maji, Subhransu and Ravichandran, Avinash and Soatto, Stefano",
        "Meta-Learning with Differentiable Convex Optimization",
        2019,
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    ),
    options=MetaOptNetOptions,
    stages=stages,
    head=harness.Head("crammer-singer"),
    check=harness.check_training_episodes,
    presets=PRESETS,
)

METAOPTNET_RIDGE = harness.MethodSpec(
    name="metaoptnet-ridge",
    title="MetaOptNet-RR: features for ridge regression, trained on episodes",
    paper="arXiv:1904.03758",
    citation=harness.Citation(
        "lee2019meta",
        "Lee, Kwonjoon and Maji, Subhransu and Ravichandran, Avinash and Soatto, Stefano",
        "Meta-Learning with Differentiable Convex Optimization",
        2019,
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    ),
    options=RidgeOptions,
    stages=ridge_stages,
    head=harness.Head("one-hot-ridge"),
    check=harness.check_training_episodes,
    presets=PRESETS,
)
