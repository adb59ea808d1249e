"""Class logits in place of features: what a classifier of the base classes says of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.common.errors import HarnessError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LogitsOf:
    """A learner that embeds an image as the logits that another one gives it.

    Raises:
        HarnessError: the other has no ``logits(images)``.
    """

    learner: Any

    def __post_init__(self) -> None:
        if not callable(getattr(self.learner, "logits", None)):
            raise HarnessError(
                f"{type(self.learner).__name__} has no logits of base classes to classify: drop --embed logits"
            )

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, n_classes) float32 of images (N, H, W, C) uint8."""
        return self.learner.logits(images)

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        return self.learner.state_dict()
