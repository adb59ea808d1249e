"""How long a training is, how its learning rate falls, and which optimiser takes its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from harness.contract.options import TrainingOptions


@dataclass(frozen=True)
class Length:
    """How long a training is, in steps and in passes over the data."""

    steps: int
    epoch_steps: int
    images: int  # seen in all

    @classmethod
    def of(cls, options: TrainingOptions, epoch_steps: int, step_images: int) -> Length:
        steps = math.ceil(options.images / step_images) if options.images else options.epochs * epoch_steps
        return cls(steps, epoch_steps, steps * step_images)

    @property
    def epochs(self) -> int:
        return math.ceil(self.steps / self.epoch_steps)

    def decay(self, options: TrainingOptions, step: int) -> float:
        """What the learning rate is multiplied by at a step. The step schedule keeps its shape at any length."""
        if options.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * step / self.steps))
        if options.schedule == "constant":
            return 1.0
        epoch = step / self.epoch_steps if not options.images else step * options.epochs / self.steps
        return options.decay_factor ** sum(epoch >= milestone for milestone in options.decay_at)


def make_optimiser(network: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if options.optimiser == "adam":
        return torch.optim.Adam(weights, options.learning_rate, weight_decay=options.weight_decay, fused=True)
    return torch.optim.SGD(
        weights, options.learning_rate, momentum=options.momentum, weight_decay=options.weight_decay, fused=True
    )
