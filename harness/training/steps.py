"""A training step: the loss, or losses that take turns, their gradients, their optimisers and learning rates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from harness.common.errors import PluginError, one_line
from harness.contract.recipe import Position

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from harness.contract.recipe import Recipe
    from harness.contract.training import Batch, Loss

Optimisers = dict[str, torch.optim.Optimizer]


@dataclass
class Turn:
    """A loss, and the optimisers that step after its backward pass."""

    name: str  # empty where there is one loss
    loss: Loss
    optimisers: list[Any]  # wrapped by Fabric
    schedulers: list[LambdaLR] = field(default_factory=list)

    def weights(self) -> Iterator[nn.Parameter]:
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                yield from group["params"]


def make_optimisers(network: nn.Module, recipe: Recipe, loss: Loss | Mapping[str, Loss]) -> Optimisers:
    """The recipe's optimisers by name; a single one has the name ``""``.

    Raises:
        PluginError: the recipe makes something else, or others than losses by name need.
    """
    made = recipe.optimiser(network)
    optimisers = dict(made) if isinstance(made, Mapping) else {"": made}
    for optimiser in optimisers.values():
        if not isinstance(optimiser, torch.optim.Optimizer):
            raise PluginError(
                f"the recipe's optimiser made a {type(optimiser).__name__}: it takes the network and returns a "
                "torch.optim.Optimizer, or several by name"
            )
    if isinstance(loss, Mapping) and list(loss) != list(optimisers):
        raise PluginError(
            f"losses take turns by name: there are {', '.join(loss)}, and optimisers "
            f"{', '.join(filter(None, optimisers)) or 'without names'}; give one of each under the same names"
        )
    return optimisers


def make_schedulers(
    optimisers: Iterable[Any], recipe: Recipe, steps: int, epoch_steps: int, done: int
) -> list[LambdaLR]:
    """A schedule for the learning rates of each optimiser, ``done`` steps of ``steps`` gone by."""

    def factor(step: int) -> float:
        return recipe.schedule(Position(step, steps, epoch_steps))

    return [LambdaLR(optimiser, factor, last_epoch=done - 1) for optimiser in optimisers]


def make_turns(loss: Loss | Mapping[str, Loss], wrapped: list[Any], schedulers: list[LambdaLR]) -> list[Turn]:
    """Losses by name take turns, each with the optimiser in its place; a single loss has all of them."""
    if not isinstance(loss, Mapping):
        return [Turn("", loss, wrapped, schedulers)]
    return [
        Turn(name, one, [optimiser], [scheduler])
        for (name, one), optimiser, scheduler in zip(loss.items(), wrapped, schedulers, strict=True)
    ]


def backward(fabric: Fabric, network: Any, turns: list[Turn], turn: Turn, batch: Batch) -> dict[str, torch.Tensor]:
    """The gradients of a turn's loss in place of all others. Returns its losses."""
    for any_turn in turns:
        for optimiser in any_turn.optimisers:
            optimiser.zero_grad(set_to_none=True)
    losses = _losses(turn, network, batch)
    if not isinstance(losses, Mapping):
        raise PluginError(f"the loss function returned a {type(losses).__name__}: return {{'loss': …}}")
    if "loss" not in losses:
        raise PluginError(f"the losses {', '.join(losses) or '(none)'} have none named 'loss' to minimise")
    fabric.backward(losses["loss"])
    return dict(losses)


def _losses(turn: Turn, network: Any, batch: Batch) -> Any:
    """What the loss function of a turn returns.

    Raises:
        PluginError: sizes do not match, and they are those of all views and of one.
    """
    try:
        return turn.loss(network, batch)
    except (ValueError, RuntimeError, IndexError) as error:
        n_images, n_labels = len(batch.images), len(batch.labels)
        if batch.views == 1 or not {str(n_images), str(n_labels)} <= set(re.findall(r"\d+", str(error))):
            raise
        raise PluginError(
            f"{one_line(error).rstrip('.')}. This batch has {n_images} images, {batch.views} views of each, and "
            f"{n_labels} labels: write batch.labels.repeat(batch.views) for those of all views"
        ) from error


def take_step(turn: Turn, clip: float | None) -> None:
    """Move the weights of a turn along their gradients, and its learning rates along their schedule."""
    if clip is not None:
        nn.utils.clip_grad_norm_(list(turn.weights()), clip)
    for optimiser in turn.optimisers:
        optimiser.step()
    for scheduler in turn.schedulers:
        scheduler.step()


def named(turn: Turn, losses: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A turn's losses, detached, under the names of metrics.csv: ``critic_loss`` of the turn ``critic``."""
    prefix = f"{turn.name}_" if turn.name else ""
    return {prefix + name: value.detach().float() for name, value in losses.items()}


def learning_rates(turns: Iterable[Turn]) -> dict[str, float]:
    """The learning rate that each turn's next step takes, under the names of metrics.csv: of its first weights."""
    return {
        f"{turn.name}_learning_rate" if turn.name else "learning_rate": float(turn.optimisers[0].param_groups[0]["lr"])
        for turn in turns
    }
