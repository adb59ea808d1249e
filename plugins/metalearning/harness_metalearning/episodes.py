"""Options of trainings on episodes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

import harness


class EpisodicOptions(harness.GradientOptions):
    """Options of trainings on episodes. A step is a meta-batch of ``meta_batch`` episodes."""

    epochs: int = Field(600, gt=0, description="training length in epochs of steps_per_epoch steps")
    steps_per_epoch: int = Field(100, gt=0, description="steps an epoch")
    meta_batch: int = Field(4, gt=0, description="training episodes a step")
    train_way: int = Field(5, gt=1, description="classes of a training episode")
    train_shot: int = Field(1, gt=0, description="support images a class of a training episode")
    train_query: int = Field(15, gt=0, description="query images a class of a training episode")
    optimiser: Literal["sgd", "adam"] = Field("adam", description="SGD, or Adam")
    learning_rate: float = Field(1e-3, gt=0, description="initial learning rate of the outer loop")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on all weights")
    schedule: Literal["step", "cosine", "constant"] = Field("constant", description="how the learning rate falls")

    def batches(self) -> harness.EpisodicBatches:
        """The training episodes that these options describe."""
        shape = (self.train_way, self.train_shot, self.train_query)
        return harness.EpisodicBatches(*shape, per_epoch=self.steps_per_epoch, episodes=self.meta_batch)
