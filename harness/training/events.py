"""What a training has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingStarted:
    """A phase of a training begins, or goes on from its last checkpoint: one call of the trainer's ``run``."""

    phase: int  # from 1
    epochs: int | None  # None: unknown, as of a loop of the method's own
    total_images: int | None  # that this phase shows the network
    done: int = 0  # epochs in its checkpoint; for a loop of the method's own, its checkpoints


@dataclass(frozen=True)
class Continued:
    """There is a finished training that differs in its length alone, and this one goes on from it, or does not."""

    source: str  # name of that stage's folder
    epochs: int  # taken over from it; 0: this one begins from nothing
    reason: str = ""  # why


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
    phase: int = 1
    step: int = 0  # epochs done so far, those of earlier phases included
    images: int = 0  # seen so far, likewise; 0: not counted
    seconds: float = 0.0  # of training so far, likewise
    epochs: int | None = None  # of its phase; None: unknown, as of a loop of the method's own
