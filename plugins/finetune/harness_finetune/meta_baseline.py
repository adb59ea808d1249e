"""Meta-Baseline: a classifier of the base classes, then episodes of cosines to class means, at a learned scale.

Source: Chen et al. 2021, arXiv:2003.04390, sections 3.2 and 3.3. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

import harness
from harness import TRAINING_READS
from harness_finetune.pretraining import QUICK_TRAINING, QUICK_TRAINING_PER_DATASET, build, fit

if TYPE_CHECKING:
    import torch


class MetaBaselineOptions(harness.TrainingOptions):
    """Options of Meta-Baseline. Those that begin with ``meta_`` stand in for their namesakes in the stage meta."""

    epochs: int = Field(100, gt=0, description="training length of pretrain in passes over the base classes")
    learning_rate: float = Field(0.1, gt=0, description="initial learning rate of pretrain")
    decay_at: tuple[int, ...] = Field((90,), description="epochs after which pretrain's step schedule decays")
    batch_size: int = Field(128, gt=0, description="images a step of pretrain")
    meta_images: int | None = Field(None, gt=0, description="training length of meta in images seen; default: images")
    meta_epochs: int = Field(20, gt=0, description="training length of meta in epochs of meta_steps steps")
    meta_steps: int = Field(200, gt=0, description="steps an epoch of meta")
    meta_learning_rate: float = Field(1e-3, gt=0, description="initial learning rate of meta")
    meta_schedule: Literal["step", "cosine", "constant"] = Field(
        "constant", description="how the learning rate of meta falls"
    )
    meta_selection: Literal["last", "best-val", "best-val-loss"] = Field(
        "best-val", description="which epoch's weights meta keeps: the last, or the best on validation episodes"
    )
    train_episodes: int = Field(4, gt=0, description="training episodes a step of meta")
    train_way: int = Field(5, gt=1, description="classes of a training episode")
    train_shot: int = Field(1, gt=0, description="support images a class of a training episode")
    train_query: int = Field(15, gt=0, description="query images a class of a training episode")
    scale: float = Field(10.0, gt=0, description="what meta's cosines are multiplied by at first; it is learned")


def stages(options: MetaBaselineOptions) -> Sequence[harness.Stage]:
    return [
        harness.Stage("pretrain", build, fit, reads=TRAINING_READS),
        harness.Stage("meta", build_meta, fit_meta, parents=("pretrain",)),
    ]


def build_meta(context: harness.BuildContext) -> Any:
    from harness_finetune.networks import ScaledNetwork

    return ScaledNetwork(context, context.options.scale)


def fit_meta(context: harness.FitContext, learner: Any) -> None:
    """Train episodes, several a step, from the weights of pretrain; their images are not augmented."""
    from torch.nn import functional as F

    from harness import of_all_processes
    from harness_finetune.episodes import class_means, selected_on, start_from

    options = context.options
    start_from(learner, *context.parents)

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        episodes = batch.episodes
        assert episodes is not None
        features, scale = network(batch.images)
        support, query = episodes.split(of_all_processes(features)[0])  # (E, n_way·k_shot, D), (E, n_way·n_query, D)
        means = class_means(support, episodes.n_way)
        cosines = F.normalize(query, dim=2) @ F.normalize(means, dim=2).mT  # (E, n_way·n_query, n_way)
        return {"loss": F.cross_entropy((scale * cosines).flatten(0, 1), episodes.query_labels.flatten())}

    batches = harness.EpisodicBatches(
        options.train_way,
        options.train_shot,
        options.train_query,
        options.meta_steps,
        divisible=True,
        episodes=options.train_episodes,
    )
    recipe = options.recipe("meta_", batches=batches, augmentation=harness.Augmentation())
    context.trainer.run(learner, loss, selected_on(recipe, k_shot=options.train_shot))


_TIERED = {"epochs": 120, "decay_at": (40, 80), "batch_size": 512, "meta_steps": 10}

META_BASELINE = harness.MethodSpec(
    name="meta-baseline",
    title="Meta-Baseline: cross-entropy on the base classes, then episodes of cosines to class means",
    paper="arXiv:2003.04390",
    citation=harness.Citation(
        "chen2021meta",
        "Chen, Yinbo and Liu, Zhuang and Xu, Huijuan and Darrell, Trevor and Wang, Xiaolong",
        "Meta-Baseline: Exploring Simple Meta-Learning for Few-Shot Learning",
        2021,
        "Proceedings of the IEEE/CVF International Conference on Computer Vision",
    ),
    options=MetaBaselineOptions,
    stages=stages,
    head=harness.Head("cosine"),
    check=harness.check_training_episodes,
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {
                **QUICK_TRAINING,
                "meta_schedule": "cosine",
                "meta_selection": "last",
                "meta_learning_rate": 0.01,
                "train_query": 5,
            },
            QUICK_TRAINING_PER_DATASET,
        ),
        "paper": harness.Preset(
            "the lengths and rates of the authors' code, with 1-shot training episodes",
            per_dataset={"tieredImageNet": _TIERED},
            backbone="resnet12",
        ),
        "paper-5-shot": harness.Preset(
            "as paper, with the 5-shot training episodes of the 5-shot results",
            {"train_shot": 5},
            {"tieredImageNet": _TIERED},
            backbone="resnet12",
        ),
    },
)
