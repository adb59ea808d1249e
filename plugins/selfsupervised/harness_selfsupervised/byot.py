"""BYOT, be your own teacher: classifiers on the backbone's earlier blocks, taught by its last.

Source: Zhang et al. 2019, arXiv:1905.08094.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET

if TYPE_CHECKING:
    import torch


class ByotOptions(harness.TrainingOptions):
    """Options of BYOT."""

    epochs: int = Field(200, gt=0, description="training length in passes over the base classes")
    batch_size: int = Field(128, gt=0, description="images a step")
    learning_rate: float = Field(0.1, gt=0, description="initial learning rate")
    decay_at: tuple[int, ...] = Field((75, 130, 180), description="epochs after which the step schedule decays")
    alpha: float = Field(0.1, ge=0, le=1, description="weight of the distillation; cross-entropy has 1 - alpha")
    temperature: float = Field(3.0, gt=0, description="softmax temperature of the distillation")
    hint_weight: float = Field(1.28e-4, ge=0, description="weight of the squared distance to the deepest features")


def stages(options: ByotOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("byot", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_selfsupervised.networks import BranchedNetwork

    return BranchedNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    """(1 - α) · cross-entropy of all classifiers + α · KL of the shallow ones to the deepest + λ · their hints."""
    from torch.nn import functional as F

    from harness import distillation

    options = context.options

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        (*shallow, deepest), (*logits, teacher) = network(batch.images)
        ce = sum(F.cross_entropy(output, batch.labels) for output in (*logits, teacher))
        kd = sum(distillation(student, teacher.detach(), options.temperature) for student in logits)
        hint = sum((features - deepest.detach()).square().sum(1).mean() for features in shallow)
        total = (1 - options.alpha) * ce + options.alpha * kd + options.hint_weight * hint
        return {"loss": total, "ce": ce, "kd": kd, "hint": hint}

    context.trainer.run(learner, loss, options.recipe())


BYOT = harness.MethodSpec(
    name="byot",
    title="BYOT: classifiers on the backbone's earlier blocks learn from its last",
    paper="arXiv:1905.08094",
    citation=harness.Citation(
        "zhang2019your",
        ("Zhang, Linfeng and Song, Jiebo and Gao, Anni and Chen, Jingwei and Bao, Chenglong and Ma, Kaisheng"),
        ("Be Your Own Teacher: Improve the Performance of Convolutional Neural Networks via Self Distillation"),
        2019,
        "Proceedings of the IEEE/CVF International Conference on Computer Vision",
    ),
    options=ByotOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2", views=5),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {**QUICK, "batch_size": 64, "learning_rate": 0.05},
            QUICK_PER_DATASET,
        ),
        "paper": harness.Preset(
            "the paper's three losses, 200 epochs; their weights and the schedule from a public reimplementation",
            backbone="resnet12",
        ),
    },
)
