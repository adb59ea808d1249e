"""A recipe: how a network is trained, as one value. Importing this module imports no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.common.errors import PluginError
from harness.contract.batches import Batches, ShuffledBatches

if TYPE_CHECKING:
    import torch
    from torch import nn

    from harness.contract.data import Augmentation

# Images (N, H, W, C) uint8 changed at random, with randomness from the generator alone, on its device. What it returns
# has the shape (N, H, W, C) too, pixels 0..255 as uint8 or floats; the trainer normalises it.
Change = Callable[["torch.Tensor", "torch.Generator"], "torch.Tensor"]


@dataclass(frozen=True)
class Length:
    """How long a training is, in one of three units.

    ``images`` are those that the network sees, all views and copies counted, rounded up to whole steps.
    """

    epochs: int | None = None
    images: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.epochs, self.images, self.steps) if value is not None]
        if len(given) != 1 or given[0] < 1:
            raise PluginError(f"{self}: give one of epochs, images and steps, 1 or more")

    def in_steps(self, epoch_steps: int, step_images: int) -> int:
        if self.images is not None:
            return math.ceil(self.images / step_images)
        return self.epochs * epoch_steps if self.epochs is not None else self.steps or 0


@dataclass(frozen=True)
class Position:
    """Where a training is, for a schedule."""

    step: int  # from 0
    steps: int  # of the whole training
    epoch_steps: int  # of an epoch

    @property
    def epoch(self) -> float:
        """Epochs done, fractions counted."""
        return self.step / self.epoch_steps


Schedule = Callable[[Position], float]  # what each learning rate is multiplied by


def constant(position: Position) -> float:
    """The learning rate as it is."""
    return 1.0


def cosine(position: Position) -> float:
    """Half a cosine, from 1 to 0. Source: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts."""
    return 0.5 * (1 + math.cos(math.pi * position.step / position.steps))


@dataclass(frozen=True)
class StepDecay:
    """``factor`` to the number of milestones passed.

    With ``of`` the milestones are epochs out of so many, and the schedule keeps its shape at any length.
    """

    at: tuple[float, ...]  # epochs
    factor: float = 0.1
    of: int | None = None  # None: epochs as they are

    def __call__(self, position: Position) -> float:
        epoch = position.epoch if self.of is None else position.step * self.of / position.steps
        return self.factor ** sum(epoch >= milestone for milestone in self.at)


LONGEST_RISE = 0.25  # of a training; warm-ups of published recipes are shorter


@dataclass(frozen=True)
class WarmUp:
    """A linear rise over the first ``epochs``, reaching 1 in their last step, times what ``then`` says.

    The rise takes at most a quarter of the training's steps, so that a short training, as under ``--budget``, reaches
    the full rate too.
    """

    epochs: float
    then: Schedule = constant

    def __call__(self, position: Position) -> float:
        rise = max(1.0, min(self.epochs * position.epoch_steps, position.steps * LONGEST_RISE))  # steps
        return min(1.0, (position.step + 1) / rise) * self.then(position)


@dataclass(frozen=True)
class Sgd:
    """SGD with momentum, Nesterov's if asked for, on all weights that may train."""

    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False

    def __call__(self, network: nn.Module) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(
            [weight for weight in network.parameters() if weight.requires_grad],
            self.learning_rate,
            self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov and self.momentum > 0,
            fused=True,
        )


@dataclass(frozen=True)
class Adam:
    """The optimiser Adam on all weights that may train."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.0

    def __call__(self, network: nn.Module) -> torch.optim.Optimizer:
        import torch

        weights = [weight for weight in network.parameters() if weight.requires_grad]
        return torch.optim.Adam(weights, self.learning_rate, weight_decay=self.weight_decay, fused=True)


@dataclass(frozen=True)
class Selection:
    """Keep the weights of the epoch that is best on validation episodes, scored with the method's own head.

    Way and queries are lowered where the validation classes do not have as many.
    """

    n_way: int = 5
    k_shot: int = 1
    n_episodes: int = 200
    patience: int | None = None  # epochs without a better one after which the training ends; None: it never does
    n_query: int = 15
    measure: Literal["accuracy", "loss"] = "accuracy"  # the highest mean, or the lowest cross-entropy of the scores


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: ``trainer.run(network, loss, recipe)``."""

    length: Length = Length(epochs=90)
    # Takes the network; returns an optimiser, or several by name, as for losses that take turns.
    optimiser: Callable[[Any], torch.optim.Optimizer | Mapping[str, torch.optim.Optimizer]] = field(default=Sgd())
    schedule: Schedule = constant
    batches: Batches = field(default=ShuffledBatches())
    views: int = 1  # of each image in a batch, each changed at random by itself
    # What changes the images; None: what the dataset says. A tuple has one for each view.
    augmentation: Augmentation | Change | tuple[Augmentation | Change | None, ...] | None = None
    copies: int = 1  # how often the network sees each view: 4 where the loss turns it in four rotations
    clip: float | None = None  # the gradients' norm above which they are scaled down to it
    selection: Selection | None = None  # None: the last epoch's weights

    def __post_init__(self) -> None:
        if self.views < 1 or self.copies < 1:
            raise PluginError(f"a recipe with views = {self.views}, copies = {self.copies}: both are 1 or more")
        if isinstance(self.augmentation, tuple) and len(self.augmentation) != self.views:
            raise PluginError(f"a recipe with {len(self.augmentation)} augmentations for {self.views} view(s)")
        if self.clip is not None and not self.clip > 0:
            raise PluginError(f"a recipe with clip = {self.clip}: it is above 0, or None")

    @property
    def step_images(self) -> int:
        """Images that the network sees a step."""
        return self.batches.size * self.views * self.copies
