"""DDGSD: two distorted versions of each image, classified alike and embedded alike.

Source: Xu and Liu 2019, "Data-distortion guided self-distillation for deep neural networks", AAAI,
doi:10.1609/aaai.v33i01.33015565.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET

if TYPE_CHECKING:
    import torch


class DdgsdOptions(harness.TrainingOptions):
    """Options of DDGSD."""

    epochs: int = Field(200, gt=0, description="training length in passes over the base images, each in two versions")
    batch_size: int = Field(128, gt=0, description="images a step; the network sees two versions of each")
    learning_rate: float = Field(0.1, gt=0, description="initial learning rate")
    decay_at: tuple[int, ...] = Field((100, 150), description="epochs after which the step schedule decays")
    kd_weight: float = Field(1.0, ge=0, description="weight of the distillation between the two versions")
    temperature: float = Field(4.0, gt=0, description="softmax temperature of the distillation")
    mmd_weight: float = Field(5e-4, ge=0, description="weight of the distance between the mean features")


def stages(options: DdgsdOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("ddgsd", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness import ClassifierNetwork

    return ClassifierNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    """Cross-entropy of both versions, λ · KL in both directions, μ · MMD between their features."""
    from torch.nn import functional as F

    from harness import distillation
    from harness_selfsupervised.losses import mean_discrepancy

    options = context.options

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        features, logits = network(batch.images)  # of 2B images
        first, second = logits.chunk(2)  # (B, n_classes) each
        ce = F.cross_entropy(first, batch.labels) + F.cross_entropy(second, batch.labels)
        kd = distillation(first, second.detach(), options.temperature)
        kd = kd + distillation(second, first.detach(), options.temperature)
        mmd = mean_discrepancy(*features.chunk(2))
        return {"loss": ce + options.kd_weight * kd + options.mmd_weight * mmd, "ce": ce, "kd": kd, "mmd": mmd}

    context.trainer.run(learner, loss, options.recipe(views=2))


DDGSD = harness.MethodSpec(
    name="ddgsd",
    title="DDGSD: self-distillation between two distorted versions of each image",
    paper="doi:10.1609/aaai.v33i01.33015565",
    citation=harness.Citation(
        "xu2019data",
        "Xu, Ting-Bing and Liu, Cheng-Lin",
        "Data-Distortion Guided Self-Distillation for Deep Neural Networks",
        2019,
        "Proceedings of the AAAI Conference on Artificial Intelligence",
    ),
    options=DdgsdOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2", views=5),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {**QUICK, "batch_size": 32, "learning_rate": 0.05},
            QUICK_PER_DATASET,
        ),
        "paper": harness.Preset(
            "lambda 1, mu 0.0005, 200 epochs; temperature and schedule from a public reimplementation",
            backbone="resnet12",
        ),
    },
)
