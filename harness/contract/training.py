"""What a plugin sees of the trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

    from harness.contract.data import Split

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from harness.contract.data import Split


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step trains on: images augmented and normalised, on the training device."""

    images: torch.Tensor  # (B, C, H, W) float32, channels last in memory
    labels: torch.Tensor  # (B,) int64, base classes 0..n_classes-1


class Batches(Protocol):
    """How an epoch is cut into steps."""

    @property
    def size(self) -> int:
        """Images a step, B."""

    @property
    def divisible(self) -> bool:
        """Whether a batch may be divided over several processes."""

    def epoch(self, split: Split, generator: np.random.Generator) -> np.ndarray:
        """Indices (steps, B) int64 into the split."""


Loss = Callable[[Any, Batch], Mapping[str, torch.Tensor]]
