"""What a training has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training is."""

    epoch: int  # from 1
    epochs: int
    images: int  # seen so far
    total_images: int
    images_per_second: float
    loss: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch is over, its checkpoint on disk."""

    epoch: int  # from 1
    metrics: Mapping[str, float]
