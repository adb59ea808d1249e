"""What a training has done so far, and the best that it has come upon."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class Progress:
    """What a stage's training has cost, and a line of metrics for each epoch; all phases together."""

    images_seen: int = 0
    seconds: float = 0.0
    flops: int = 0
    counted_phase: int = 0  # the last phase whose FLOPs are in ``flops``
    history: list[dict[str, float]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return asdict(self)

    def restore(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


@dataclass
class Best:
    """The weights that did best on validation episodes so far."""

    value: float = -math.inf  # the accuracy, or minus the loss
    epochs_since: int = 0
    weights: dict[str, torch.Tensor] | None = None

    def offer(self, value: float, network: nn.Module) -> None:
        if value > self.value:
            self.value = value
            self.epochs_since = 0
            self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
        else:
            self.epochs_since += 1

    def has_waited(self, patience: int | None) -> bool:
        return patience is not None and self.epochs_since >= patience
