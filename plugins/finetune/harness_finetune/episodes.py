"""What the methods with training episodes share. Importing this module imports no torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    import harness


def class_means(support: torch.Tensor, n_way: int) -> torch.Tensor:
    """(E, n_way, D), of supports (E, n_way·k_shot, D) that lie class by class."""
    return support.unflatten(1, (n_way, -1)).mean(2)


def start_from(learner: Any, parent: Any) -> None:
    """Give the backbone of ``learner`` the weights of its parent's."""
    from harness import restart_schedules

    learner.backbone.load_state_dict(parent.backbone.state_dict())
    restart_schedules(learner)


def selected_on(recipe: harness.Recipe, **shape: int) -> harness.Recipe:
    """The recipe, which chooses its epoch on validation episodes of this shape where it chooses one."""
    if recipe.selection is None:
        return recipe
    return replace(recipe, selection=replace(recipe.selection, **shape))  # type: ignore[arg-type]


def check(options: Any, data: harness.Dataset) -> str | None:
    """Why no training episode can be drawn from the base classes, or None."""
    if data.train is None:
        return None
    if options.train_way > data.train.n_classes:
        return (
            f"a training episode has train_way = {options.train_way} classes, but there are {data.train.n_classes} "
            f"base classes: --set LABEL.train_way={data.train.n_classes}"
        )
    smallest = min(Counter(data.train.labels.tolist()).values())
    if options.train_shot + options.train_query > smallest:
        shot = max(1, min(options.train_shot, smallest - 1))
        lower_shot = f"--set LABEL.train_shot={shot} " if shot < options.train_shot else ""
        return (
            f"a training episode has train_shot + train_query = {options.train_shot} + {options.train_query} images of "
            f"a class, but a base class has {smallest}: {lower_shot}--set LABEL.train_query={max(1, smallest - shot)}"
        )
    return None
