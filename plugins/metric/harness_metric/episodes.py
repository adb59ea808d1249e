"""What methods that train on episodes have in common: options, and whether an episode can be drawn."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field

import harness


class EpisodicOptions(harness.GradientOptions):
    """Options of trainings on episodes. ``epochs`` counts ``episodes_per_epoch`` training episodes each."""

    epochs: int = Field(600, gt=0, description="training length in epochs of episodes_per_epoch training episodes")
    episodes_per_epoch: int = Field(100, gt=0, description="training episodes an epoch")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD, or Adam")
    learning_rate: float = Field(1e-3, gt=0, description="initial learning rate")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on all weights")
    train_way: int = Field(5, gt=1, description="classes of a training episode")
    train_shot: int = Field(1, gt=0, description="support images a class of a training episode")
    train_query: int = Field(15, gt=0, description="query images a class of a training episode")

    def batches(self) -> harness.EpisodicBatches:
        """A training episode a step."""
        return harness.EpisodicBatches(self.train_way, self.train_shot, self.train_query, self.episodes_per_epoch)


check = partial(harness.check_training_episodes, way=5)
