"""SimCLR: two distorted views of an image must find each other among all views of the batch. Labels are not used.

Source: Chen et al. 2020, arXiv:2002.05709, section 2; the values for small images: the authors' README
(google-research/simclr).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET

if TYPE_CHECKING:
    import torch


class ContrastiveOptions(harness.TrainingOptions):
    """Options of trainings on two distorted views without labels."""

    epochs: int = Field(1000, gt=0, description="training length in passes over the base images")
    batch_size: int = Field(512, gt=1, description="images a step; the network sees two views of each")
    weight_decay: float = Field(1e-6, ge=0, description="L2 penalty on the weights")
    schedule: Literal["step", "cosine", "constant"] = Field("cosine", description="how the learning rate falls")
    warm_up: float = Field(10.0, ge=0, description="epochs over which the learning rate rises first")
    temperature: float = Field(0.5, gt=0, description="what similarities are divided by in the contrastive loss")
    projection: int = Field(128, gt=0, description="outputs of the projection head, on which the loss is computed")
    smallest_crop: float = Field(0.08, gt=0, le=1, description="smallest share of an image's area that a view shows")
    jitter: float = Field(0.5, ge=0, le=1, description="strength of the views' colour distortion")

    def contrastive_recipe(self, context: harness.BuildContext, **parts: Any) -> harness.Recipe:
        """The recipe for two distorted views, mirrored only where that leaves an image's class as it is."""
        from harness_selfsupervised.distortion import Distortion

        distortion = Distortion(self.smallest_crop, self.jitter, flip=context.dataset.augmentation.flip)
        recipe = self.recipe(views=2, augmentation=distortion, **parts)
        if not self.warm_up:
            return recipe
        warm = harness.WarmUp(self.warm_up, then=recipe.schedule)
        return self.recipe(views=2, augmentation=distortion, schedule=warm, **parts)


class SimclrOptions(ContrastiveOptions):
    """Options of SimCLR."""

    optimiser: Literal["sgd", "adam", "lars"] = Field("lars", description="SGD, Adam or LARS")  # type: ignore[assignment]
    learning_rate: float = Field(1.0, gt=0, description="learning rate after the warm-up")


def stages(options: SimclrOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("simclr", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_selfsupervised.networks import ProjectionNetwork

    return ProjectionNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness import nt_xent
    from harness_selfsupervised.lars import Lars

    options = context.options

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        first, second = network(batch.images).chunk(2)  # (B, projection) each
        return {"loss": nt_xent(first, second, options.temperature)}

    parts = {}
    if options.optimiser == "lars":
        parts["optimiser"] = Lars(options.learning_rate, options.momentum, options.weight_decay)
    context.trainer.run(learner, loss, options.contrastive_recipe(context, **parts))


# Two processor cores have no time for 1,000 epochs: Adam on smaller batches, and views that show more of an image.
QUICK_CONTRASTIVE: dict[str, Any] = {
    **QUICK,
    "batch_size": 128,
    "warm_up": 0.0,
    "learning_rate": 0.001,
    "smallest_crop": 0.2,
}
QUICK_CONTRASTIVE_PER_DATASET: dict[str, dict[str, Any]] = {
    **QUICK_PER_DATASET,
    "glyphs": {**QUICK_PER_DATASET["glyphs"], "smallest_crop": 0.5},
}

SIMCLR = harness.MethodSpec(
    name="simclr",
    title="SimCLR: two distorted views of an image find each other; no labels",
    paper="arXiv:2002.05709",
    citation=harness.Citation(
        "chen2020simple",
        "Chen, Ting and Kornblith, Simon and Norouzi, Mohammad and Hinton, Geoffrey",
        "A Simple Framework for Contrastive Learning of Visual Representations",
        2020,
        "International Conference on Machine Learning",
    ),
    options=SimclrOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2"),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen; Adam on batches of 128",
            {**QUICK_CONTRASTIVE, "optimiser": "adam"},
            QUICK_CONTRASTIVE_PER_DATASET,
        ),
        "paper": harness.Preset(
            "the authors' values for CIFAR-10: LARS, batches of 512, 1,000 epochs, temperature 0.5",
            backbone="resnet12",
        ),
    },
)
