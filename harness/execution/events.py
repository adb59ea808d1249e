"""What a bench under way has to say. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.contract.results import StageFailure, StageResult
    from harness.evaluation.events import EmbeddingProgress
    from harness.execution.job import StageJob
    from harness.training.events import EpochDone, TrainingProgress, TrainingStarted


@dataclass(frozen=True, eq=False)
class JobEvent:
    """Something of one job: the events below."""

    job: StageJob
    event: (
        JobStarted
        | WorkStarted
        | TrainingStarted
        | TrainingProgress
        | EpochDone
        | EmbeddingProgress
        | OptionsRead
        | Note
        | JobDone
    )


@dataclass(frozen=True)
class JobStarted:
    """A stage is about to be trained or scored."""


@dataclass(frozen=True)
class WorkStarted:
    """The worker of a stage knows what it works with; nothing is trained yet."""

    work: Literal["train", "score"]
    host: str
    conditions: Mapping[str, str]  # device, precision, threads, versions


@dataclass(frozen=True)
class RanksNeeded:
    """A training in several processes has begun and waits for the others at ``port``. For the executor."""

    port: int


@dataclass(frozen=True)
class OptionsRead:
    """A stage is trained and scored; these are the options that it was seen to read."""

    names: frozenset[str]


@dataclass(frozen=True)
class Note:
    """Something that the user should know."""

    text: str


@dataclass(frozen=True, eq=False)
class JobDone:
    """A stage has its result, or has failed. ``reused``: all of it was on disk."""

    outcome: StageResult | StageFailure
    reused: bool
