"""LEO: a latent code of an episode's classes, from which their weights are decoded and in which they adapt.

Source: Rusu et al. 2019, arXiv:1807.05960. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET, TRAINING_READS


class LeoOptions(harness.TrainingOptions):
    """Options of LEO. Those that begin with ``leo_`` stand in for their namesakes in the stage leo."""

    leo_images: int | None = Field(None, gt=0, description="training length of leo in images seen; default: images")
    leo_epochs: int = Field(100, gt=0, description="training length of leo in epochs of leo_steps steps")
    leo_steps: int = Field(1000, gt=0, description="steps an epoch of leo")
    leo_optimiser: Literal["sgd", "adam"] = Field("adam", description="optimiser of leo: SGD, or Adam")
    leo_learning_rate: float = Field(1e-4, gt=0, description="initial learning rate of leo")
    leo_weight_decay: float = Field(1e-8, ge=0, description="L2 penalty on the weights of leo")
    leo_schedule: Literal["step", "cosine", "constant"] = Field("constant", description="how leo's learning rate falls")
    leo_selection: Literal["last", "best-val", "best-val-loss"] = Field(
        "best-val", description="which epoch's weights leo keeps: the last, or the best on validation episodes"
    )
    clip: float = Field(0.1, gt=0, description="norm above which the gradients of leo are scaled down to it")
    meta_batch: int = Field(12, gt=0, description="training episodes a step of leo")
    train_way: int = Field(5, gt=1, description="classes of a training episode")
    train_shot: int = Field(1, gt=0, description="support images a class of a training episode")
    train_query: int = Field(15, gt=0, description="query images a class of a training episode")
    latents: int = Field(64, gt=0, description="numbers in the latent code of a class")
    latent_steps: int = Field(5, gt=0, description="steps of gradient descent in the latent space")
    latent_rate: float = Field(1.0, gt=0, description="learning rate of these steps at first; it is learned")
    weight_steps: int = Field(5, ge=0, description="steps of gradient descent on the decoded weights")
    weight_rate: float = Field(1e-3, gt=0, description="learning rate of these steps at first; it is learned")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the features that are dropped in training")
    kl_weight: float = Field(1e-3, ge=0, description="β: weight of the codes' divergence from a normal distribution")
    encoder_penalty: float = Field(1e-9, ge=0, description="γ: weight of the distance from adapted codes to first ones")
    orthogonality_penalty: float = Field(1e-3, ge=0, description="λ₂: weight of the correlations in the decoder")


def stages(options: LeoOptions) -> Sequence[harness.Stage]:
    return [
        harness.Stage("pretrain", build_pretrain, fit_pretrain, reads=TRAINING_READS),
        harness.Stage("leo", build_leo, fit_leo, parents=("pretrain",)),
    ]


def build_pretrain(context: harness.BuildContext) -> Any:
    from harness_metalearning.leo_network import PretrainedNetwork

    return PretrainedNetwork(context)


def build_leo(context: harness.BuildContext) -> Any:
    from harness_metalearning.leo_network import LeoNetwork

    return LeoNetwork(context)


def fit_pretrain(context: harness.FitContext, learner: Any) -> None:
    from harness_metalearning.leo_network import fit_pretrain as fit_classes

    fit_classes(context, learner)


def fit_leo(context: harness.FitContext, learner: Any) -> None:
    from harness_metalearning.leo_network import fit_leo as fit_episodes

    fit_episodes(context, learner)


# What the authors' README lists as best, to four digits.
_MINI_1 = {
    "leo_learning_rate": 2.739e-4,
    "leo_weight_decay": 3.623e-10,
    "orthogonality_penalty": 0.1881,
    "dropout": 0.3077,
    "kl_weight": 0.7561,
    "encoder_penalty": 5.757e-6,
}
_MINI_5 = {
    "leo_learning_rate": 4.102e-4,
    "leo_weight_decay": 8.540e-9,
    "orthogonality_penalty": 1.524e-3,
    "dropout": 0.3003,
    "kl_weight": 0.4664,
    "encoder_penalty": 2.662e-7,
}
_TIERED_1 = {
    "leo_learning_rate": 8.659e-4,
    "leo_weight_decay": 4.149e-10,
    "orthogonality_penalty": 5.451e-3,
    "dropout": 0.4751,
    "kl_weight": 2.034e-3,
    "encoder_penalty": 8.303e-5,
}
_TIERED_5 = {
    "leo_learning_rate": 6.110e-4,
    "leo_weight_decay": 1.690e-10,
    "orthogonality_penalty": 2.481e-2,
    "dropout": 0.4152,
    "kl_weight": 1.623,
    "encoder_penalty": 2.672e-5,
}

LEO = harness.MethodSpec(
    name="leo",
    title="LEO: class weights decoded from a latent code that adapts to an episode, on frozen features",
    paper="arXiv:1807.05960",
    citation=harness.Citation(
        "rusu2019meta",
        "Rusu, Andrei A. and Rao, Dushyant and Sygnowski, Jakub and Vinyals, Oriol and Pascanu, Razvan and "
        "Osindero, Simon and Hadsell, Raia",
        "Meta-Learning with Latent Embedding Optimization",
        2019,
        "International Conference on Learning Representations",
    ),
    options=LeoOptions,
    stages=stages,
    head=None,
    check=harness.check_training_episodes,
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {
                **QUICK,
                "leo_schedule": "cosine",
                "leo_selection": "last",
                "leo_learning_rate": 3e-3,
                "meta_batch": 4,
                "train_query": 5,
                "dropout": 0.0,
            },
            {**QUICK_PER_DATASET, "glyphs": {**QUICK_PER_DATASET["glyphs"], "batch_size": 32}},
        ),
        "paper": harness.Preset(
            "a classifier, then 100,000 steps of twelve 5-way 1-shot episodes, the best epoch on validation",
            _MINI_1,
            {"tieredImageNet": _TIERED_1},
            backbone="resnet12",
        ),
        "paper-5-shot": harness.Preset(
            "as paper, with 5-shot training episodes and the values of the 5-shot results",
            {"train_shot": 5, **_MINI_5},
            {"tieredImageNet": _TIERED_5},
            backbone="resnet12",
        ),
    },
)
