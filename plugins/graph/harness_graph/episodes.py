"""What the trainings on graphs have in common: options, and whether an episode can be drawn."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field

import harness


class GraphOptions(harness.GradientOptions):
    """Options of trainings on episodes as graphs. ``epochs`` counts ``steps_per_epoch`` steps each."""

    epochs: int = Field(800, gt=0, description="training length in epochs of steps_per_epoch steps")
    steps_per_epoch: int = Field(100, gt=0, description="steps an epoch")
    episodes: int = Field(20, gt=0, description="training episodes a step")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD, or Adam")
    learning_rate: float = Field(1e-3, gt=0, description="initial learning rate")
    weight_decay: float = Field(1e-6, ge=0, description="L2 penalty on all weights")
    train_way: int = Field(5, gt=1, description="classes of a training episode")
    train_shot: int = Field(1, gt=0, description="support images a class of a training episode")
    train_query: int = Field(1, gt=0, description="query images a class of a training episode")
    node_features: int = Field(128, gt=0, description="features of a node, a linear layer over the backbone's")
    width: int = Field(96, gt=0, description="units of the layers of the graph")
    layers: int = Field(3, gt=0, description="layers of the graph")

    def batches(self) -> harness.EpisodicBatches:
        """Several training episodes a step."""
        return harness.EpisodicBatches(
            self.train_way, self.train_shot, self.train_query, self.steps_per_epoch, episodes=self.episodes
        )


check = partial(harness.check_training_episodes, way=5)
