"""What a plugin sees of the trainer: batches, losses, and the trainer itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.contract.data import Split
from harness.contract.options import TrainingOptions

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn


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


Loss = Callable[[Any, Batch], Mapping[str, "torch.Tensor"]]


class Trainer(Protocol):
    """What trains a stage's network. A method meets it as ``context.trainer``."""

    @property
    def device(self) -> torch.device:
        """Where networks are trained."""

    def frozen(self, network: nn.Module) -> Callable[..., Any]:
        """``network`` as a teacher: in eval mode, on the training device, without gradients, in the same precision."""

    def run(
        self,
        network: nn.Module,
        loss: Loss,
        options: TrainingOptions,
        *,
        batches: Batches | None = None,
        copies: int = 1,
    ) -> None:
        """Train ``network`` in place, from its last checkpoint if there is one.

        Args:
            network: what is trained; ``loss`` must call the object it is handed, which wraps it.
            loss: (network, batch) → scalars by name, of which ``loss`` is minimised.
            options: length, optimiser and schedule.
            batches: what a step sees; ``options.batch_size`` shuffled images by default.
            copies: how often the network sees each image of a batch (4 with four rotations), for counting.
        Raises:
            HarnessError: the loss is not finite at the end of an epoch.
        """
