"""LARS: SGD with momentum whose step is scaled, layer by layer, to the length of the layer's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Lars:
    """What a recipe makes its optimiser with: biases and BatchNorms are neither scaled nor decayed."""

    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 1e-6

    def __call__(self, network: nn.Module) -> torch.optim.Optimizer:
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        groups = [
            {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0, "trust": 0.0},
        ]
        return LarsOptimiser(groups, self.learning_rate, self.momentum)


class LarsOptimiser(torch.optim.Optimizer):
    """v ← momentum · v + rate · scale · (g + decay · w), w ← w - v, with scale = trust · ‖w‖ / ‖g + decay · w‖.

    The scale is 1 where either norm is zero, and in groups with trust = 0.

    Source: You et al. 2017, arXiv:1708.03888, with the constants and norms of SimCLR's code.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], learning_rate: float, momentum: float) -> None:
        defaults = {"lr": learning_rate, "momentum": momentum, "weight_decay": 0.0, "trust": 0.001}
        super().__init__(list(groups), defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step of all weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)
        return loss

    def _move(self, weight: torch.Tensor, group: dict[str, Any]) -> None:
        direction = weight.grad + group["weight_decay"] * weight
        if group["trust"]:
            lengths, steps = torch.linalg.vector_norm(weight), torch.linalg.vector_norm(direction)
            scaled = group["trust"] * lengths / steps  # a tensor: no step waits for the device
            direction = direction * torch.where((lengths > 0) & (steps > 0), scaled, torch.ones_like(scaled))
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].mul_(group["momentum"]).add_(group["lr"] * direction)
        weight.sub_(state["momentum"])
