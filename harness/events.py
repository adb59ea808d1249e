"""What a bench under way has to say. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.types import StageFailure, StageResult

if TYPE_CHECKING:
    from harness.execution.job import StageJob


@dataclass(frozen=True, eq=False)
class BenchStarted:
    """All that is to be done, in order."""

    jobs: Sequence[StageJob]


@dataclass(frozen=True, eq=False)
class JobEvent:
    """Something of one job: the events below."""

    job: StageJob
    event: JobStarted | TrainingProgress | EmbeddingProgress | EpochDone | Note | JobDone


@dataclass(frozen=True)
class JobStarted:
    """A stage is about to be trained or scored."""


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
class EmbeddingProgress:
    """How many images and views of the test split are embedded."""

    done: int
    total: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch is over, its checkpoint on disk."""

    epoch: int  # from 1
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class RanksNeeded:
    """A training in several processes has begun and waits for the others at ``port``. For the executor."""

    port: int


@dataclass(frozen=True)
class Note:
    """Something that the user should know."""

    text: str


@dataclass(frozen=True, eq=False)
class JobDone:
    """A stage has its result, or has failed. ``reused``: all of it was on disk."""

    outcome: StageResult | StageFailure
    reused: bool
