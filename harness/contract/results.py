"""What a stage reached, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from harness.contract.episodes import EpisodeSpec, Target


def label_type(n_way: int) -> type[np.unsignedinteger[Any]]:
    """The type of predicted labels 0..n_way-1. Its highest number is no label: where an episode has no such query."""
    import numpy as np

    return np.uint8 if n_way <= np.iinfo(np.uint8).max else np.uint16


@dataclass(frozen=True, eq=False)
class Score:
    """A learner's accuracies on one kind of episode."""

    episodes: EpisodeSpec
    target: Target
    episodes_fingerprint: str
    accuracies: np.ndarray  # (E,) float64, fractions 0..1
    classes: np.ndarray  # (E, n_way) int64: which of the split's classes an episode has
    n_classes: int  # of the split
    feature_spread: float | None = None  # of the queries' features around their mean, in units of their length, 0..1
    # (E, n_way * n_query) uint8, the predicted label of each query where ``Episodes.query`` is read row by row, see
    # ``label_type``; None: not kept.
    predicted: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class StageResult:
    """What one stage with one seed reached, and at what cost."""

    key: str
    scores: tuple[Score, ...]
    images_seen: int | None  # that the network was trained on, augmented and rotated copies counted, parents not;
    # None: trained by a loop of the method's own that did not count them
    fit_seconds: float  # 0 where there was nothing to train
    embed_seconds: float
    peak_memory_bytes: int | None  # None: unknown
    flops: int | None = 0  # of forward and backward passes, the teacher's included; None: not counted
    conditions: Mapping[str, str] = field(default_factory=dict)  # device, precision, threads, versions


@dataclass(frozen=True)
class StageFailure:
    """A stage that could not be trained or scored: a row of its own, not a crash."""

    key: str
    error: str  # one line
    details: str = ""  # the traceback
    unwritable: bool = False  # the run folder cannot be written, so that no other stage of the bench can be kept either
    died: bool = False  # its process ended before it had a result: killed, maybe for want of memory
