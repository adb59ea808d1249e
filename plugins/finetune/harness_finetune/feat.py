"""FEAT: a classifier of the base classes, then a transformer that adapts the class means of an episode to each other.

Source: Ye et al. 2020, arXiv:1812.03664, sections 3.2 and 3.3. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

import harness
from harness import TRAINING_READS
from harness_finetune.episodes import selected_on
from harness_finetune.pretraining import QUICK_TRAINING, QUICK_TRAINING_PER_DATASET, fit


class FeatOptions(harness.TrainingOptions):
    """Options of FEAT. Those that begin with ``feat_`` stand in for their namesakes in the stage feat."""

    epochs: int = Field(500, gt=0, description="training length of pretrain in passes over the base classes")
    learning_rate: float = Field(1e-3, gt=0, description="initial learning rate of pretrain")
    decay_at: tuple[int, ...] = Field((75, 150, 300), description="epochs after which pretrain's rate decays")
    batch_size: int = Field(16, gt=0, description="images a step of pretrain")
    feat_images: int | None = Field(None, gt=0, description="training length of feat in images seen; default: images")
    feat_epochs: int = Field(200, gt=0, description="training length of feat in epochs of feat_steps episodes")
    feat_steps: int = Field(100, gt=0, description="training episodes an epoch of feat, one a step")
    feat_learning_rate: float = Field(2e-4, gt=0, description="initial learning rate of the backbone in feat")
    feat_decay_at: tuple[int, ...] = Field((40, 80, 120, 160), description="epochs after which feat's rate decays")
    feat_decay_factor: float = Field(0.5, gt=0, le=1, description="what feat's step schedule multiplies by")
    transformer_rate: float = Field(10.0, gt=0, description="how often the backbone's rate the transformer's is")
    train_way: int = Field(5, gt=1, description="classes of a training episode")
    train_shot: int = Field(1, gt=0, description="support images a class of a training episode")
    train_query: int = Field(15, gt=0, description="query images a class of a training episode")
    temperature: float = Field(64.0, gt=0, description="what squared distances to adapted means are divided by")
    balance: float = Field(0.01, ge=0, description="weight of the contrastive loss")
    contrastive_temperature: float = Field(64.0, gt=0, description="what its squared distances are divided by")


def stages(options: FeatOptions) -> Sequence[harness.Stage]:
    return [
        harness.Stage("pretrain", build_pretrain, fit_pretrain, reads=TRAINING_READS),
        harness.Stage("feat", build_feat, fit_feat, parents=("pretrain",)),
    ]


def build_pretrain(context: harness.BuildContext) -> Any:
    from harness_finetune.feat_network import PretrainedNetwork

    return PretrainedNetwork(context)


def build_feat(context: harness.BuildContext) -> Any:
    from harness_finetune.feat_network import FeatNetwork

    return FeatNetwork(context, context.options.temperature)


def fit_pretrain(context: harness.FitContext, learner: Any) -> None:
    """Cross-entropy; the best epoch, where one is chosen, is that of 16-way 1-shot validation episodes."""
    fit(context, learner, selected_on(context.options.recipe(), n_way=16))


def fit_feat(context: harness.FitContext, learner: Any) -> None:
    from harness_finetune.feat_training import fit as fit_episodes

    fit_episodes(context, learner)


_FIVE_SHOT = {"train_shot": 5, "balance": 0.1, "contrastive_temperature": 32.0}
_TIERED = {"balance": 0.1, "feat_decay_at": tuple(range(20, 200, 20))}
_TIERED_FIVE_SHOT = {"temperature": 32.0, "contrastive_temperature": 64.0}

FEAT = harness.MethodSpec(
    name="feat",
    title="FEAT: cross-entropy on the base classes, then class means adapted to their episode by a transformer",
    paper="arXiv:1812.03664",
    citation=harness.Citation(
        "ye2020fewshot",
        "Ye, Han-Jia and Hu, Hexiang and Zhan, De-Chuan and Sha, Fei",
        "Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions",
        2020,
        "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    ),
    options=FeatOptions,
    stages=stages,
    head=None,
    check=harness.check_training_episodes,
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {**QUICK_TRAINING, "train_query": 5, "feat_learning_rate": 0.01},
            QUICK_TRAINING_PER_DATASET,
        ),
        "paper": harness.Preset(
            "the lengths and rates of the authors' code, with 1-shot training episodes",
            {"selection": "best-val"},
            {"tieredImageNet": _TIERED},
            backbone="resnet12",
        ),
        "paper-5-shot": harness.Preset(
            "as paper, with the 5-shot training episodes and the temperatures of the 5-shot results",
            {"selection": "best-val", **_FIVE_SHOT},
            {"tieredImageNet": _TIERED_FIVE_SHOT},
            backbone="resnet12",
        ),
    },
)
