"""Options of trainings on episodes, and whether the base classes fill these episodes."""

from __future__ import annotations

from collections import Counter
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


def check(options: EpisodicOptions, data: harness.Dataset) -> str | None:
    """Why no training episode can be drawn from the base classes, or None."""
    if data.train is None:
        return None
    n_classes, smallest = data.train.n_classes, min(Counter(data.train.labels.tolist()).values())
    if options.train_way > n_classes:
        return (
            f"a training episode has train_way = {options.train_way} classes, but there are {n_classes} base classes: "
            f"--set LABEL.train_way={n_classes}"
        )
    if options.train_shot + options.train_query > smallest:
        return (
            f"a training episode has train_shot + train_query = {options.train_shot} + {options.train_query} images of "
            f"a class, but a base class has {smallest}: --set LABEL.train_query={max(1, smallest - options.train_shot)}"
        )
    return None
