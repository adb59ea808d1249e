"""Prototypical networks, with learn2learn's classifier: trained on episodes, scored by distance to class means.

Source: Snell et al. 2017, arXiv:1703.05175. Departures are listed in this plugin's README.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field

import harness
from harness import QUICK, QUICK_PER_DATASET

INSTALL = """pip install "numpy>=1.26,<2" learn2learn==0.2.0 --config-settings="--build-option=build_ext\""""


class ProtoNetOptions(harness.GradientOptions):
    """Options of prototypical networks. ``epochs`` counts ``episodes_per_epoch`` training episodes each."""

    epochs: int = Field(250, gt=0, description="training length in epochs of episodes_per_epoch training episodes")
    episodes_per_epoch: int = Field(100, gt=0, description="training episodes an epoch")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD, or Adam")
    learning_rate: float = Field(1e-3, gt=0, description="initial learning rate")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on all weights")
    decay_at: tuple[int, ...] = Field(tuple(range(20, 250, 20)), description="epochs after which the rate decays")
    decay_factor: float = Field(0.5, gt=0, le=1, description="what the step schedule multiplies by")
    train_way: int = Field(20, gt=1, description="classes of a training episode")
    train_shot: int = Field(5, gt=0, description="support images a class of a training episode")
    train_query: int = Field(15, gt=0, description="query images a class of a training episode")
    selection_episodes: int = Field(
        200, gt=0, description="validation episodes, 5-way with train_shot supports, where it selects on validation"
    )


def stages(options: ProtoNetOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("protonet", build, fit, version=2)]  # 2: supports drawn evenly


def build(context: harness.BuildContext) -> Any:
    from harness import FeatureNetwork

    return FeatureNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    from harness_protonet.training import fit as fit_episodes

    fit_episodes(context, learner)


# Halved every 2,000 episodes, 20 epochs, until it is some 1e-9. The paper names no patience; 200 epochs without a lower
# loss on 100 episodes are the defaults of the authors' script (jakesnell/prototypical-networks, run_train.py).
_UNTIL_VALIDATION = {
    "epochs": 10_000,
    "decay_at": tuple(range(20, 401, 20)),
    "selection": "best-val-loss",
    "patience": 200,
    "selection_episodes": 100,
}

PROTONET = harness.MethodSpec(
    name="protonet",
    title="Prototypical networks: squared Euclidean distance to class means, trained on episodes",
    paper="arXiv:1703.05175",
    citation=harness.Citation(
        "snell2017prototypical",
        "Snell, Jake and Swersky, Kevin and Zemel, Richard",
        "Prototypical Networks for Few-shot Learning",
        2017,
        "Advances in Neural Information Processing Systems",
    ),
    options=ProtoNetOptions,
    stages=stages,
    head=harness.Head("nearest-centroid"),
    check=partial(harness.check_training_episodes, way=5),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {**QUICK, "train_way": 10, "train_query": 5, "learning_rate": 0.003},
            QUICK_PER_DATASET,
        ),
        "paper": harness.Preset(
            "30-way 1-shot training episodes, Adam at 0.001 halved every 2,000, until validation loss stops improving",
            {**_UNTIL_VALIDATION, "train_way": 30, "train_shot": 1},
            {"Omniglot": {"train_way": 60, "train_query": 5}},
        ),
        "paper-5-shot": harness.Preset(
            "as paper, with the 20-way 5-shot training episodes of the 5-shot results",
            {**_UNTIL_VALIDATION, "train_way": 20, "train_shot": 5},
            {"Omniglot": {"train_way": 60, "train_query": 5}},
        ),
        "learn2learn": harness.Preset(
            "learn2learn's example: 250 epochs of 100 30-way 1-shot episodes, the rate halved every 20 epochs",
            {"epochs": 250, "decay_at": tuple(range(20, 250, 20)), "train_way": 30, "train_shot": 1},
        ),
    },
)


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    if importlib.util.find_spec("learn2learn") is None:
        raise harness.HarnessError(f"learn2learn is not installed. Run: {INSTALL}")
    return [PROTONET]
