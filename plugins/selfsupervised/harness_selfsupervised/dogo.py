"""DoGo: two networks learn contrastively, and each learns how alike the other finds the images of a batch. No labels.

Source: Bhat, Arani, Zonooz 2021, arXiv:2104.09866, and the authors' code (NeurAI-Lab/DoGo).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

import harness
from harness_selfsupervised.simclr import QUICK_CONTRASTIVE, QUICK_CONTRASTIVE_PER_DATASET, ContrastiveOptions, build

if TYPE_CHECKING:
    import torch


class DogoOptions(ContrastiveOptions):
    """Options of DoGo."""

    batch_size: int = Field(256, gt=1, description="images a step; each network sees two views of each")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD, or Adam")
    learning_rate: float = Field(3e-4, gt=0, description="learning rate")
    schedule: Literal["step", "cosine", "constant"] = Field("constant", description="how the learning rate falls")
    warm_up: float = Field(0.0, ge=0, description="epochs over which the learning rate rises first")
    jitter: float = Field(1.0, ge=0, le=1, description="strength of the views' colour distortion")
    kd_weight: float = Field(100.0, ge=0, description="weight of the distillation, a mean over all pairs of images")
    kd_temperature: float = Field(0.1, gt=0, description="what similarities are divided by in the distillation")


def stages(options: DogoOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("dogo", build, fit)]


def fit(context: harness.FitContext, learner: Any) -> None:
    """Train ``learner`` beside a peer with other first weights, which is thrown away afterwards."""
    from harness import nt_xent
    from harness_selfsupervised.losses import similarity_distillation
    from harness_selfsupervised.networks import Peers

    options = context.options
    with harness.seeded(context.seed, "peer"):
        peer = build(context)

    def loss(networks: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        kept = networks["kept"](batch.images).chunk(2)  # (B, projection) in each view
        other = networks["peer"](batch.images).chunk(2)
        contrastive = sum(nt_xent(one[0], one[1], options.temperature) for one in (kept, other))
        kd = similarity_distillation(kept, other, options.kd_temperature)
        kd = kd + similarity_distillation(other, kept, options.kd_temperature)
        return {"loss": contrastive + options.kd_weight * kd, "contrastive": contrastive, "kd": kd}

    context.trainer.run(Peers(learner, peer), loss, options.contrastive_recipe(context))


DOGO = harness.MethodSpec(
    name="dogo",
    title="DoGo: two contrastive networks that distil each other's similarities; no labels",
    paper="arXiv:2104.09866",
    citation=harness.Citation(
        "bhat2021distill",
        "Bhat, Prashant and Arani, Elahe and Zonooz, Bahram",
        "Distill on the Go: Online Knowledge Distillation in Self-Supervised Learning",
        2021,
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops",
    ),
    options=DogoOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2"),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images that each network sees; batches of 128",
            QUICK_CONTRASTIVE,
            QUICK_CONTRASTIVE_PER_DATASET,
        ),
        "paper": harness.Preset(
            "the authors' values for CIFAR-10: Adam at 0.0003, batches of 256, 1,000 epochs",
            backbone="resnet12",
        ),
    },
)
