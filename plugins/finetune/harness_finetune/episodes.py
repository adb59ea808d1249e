"""What the methods with training episodes share. Importing this module imports no torch."""

from __future__ import annotations

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
