"""What a report says, as plain values: rows of accuracies with their intervals, costs and conditions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.common.errors import RunsError
from harness.contract.episodes import EpisodeSpec, Target

if TYPE_CHECKING:
    from harness.contract.data import Split
    from harness.contract.plan import BenchPlan
    from harness.contract.results import Score
    from harness.reports.predictions import TablePredictions
    from harness.runs.record_base import EpisodesRecord
    from harness.statistics.comparison import Comparison
    from harness.statistics.equivalence import Equivalence
    from harness.statistics.intervals import Interval


@dataclass(frozen=True)
class Verdict:
    """A published number for a cell, and what to make of the difference."""

    accuracy: float
    ci95: float
    source: str
    text: str


TESTED_ON: Target = "open"  # the episodes of every test: closed ones reject a true null far too often

INTERVALS: Mapping[str, Target] = {"closed": "closed", "open": "open", "class": "open"}  # computed from which episodes

Setting = tuple[EpisodeSpec, Target]

ACCURACIES = "accuracies"
LINES = ("episodes", "classes", "confusion", "predictions")  # what else a line of csv may be about
NOT_PRINTED = {"printed": False}  # metadata of a field that other parts compute with, and no format writes out


@dataclass(frozen=True)
class Compared:
    """A row against the baseline in one setting, with p-values adjusted over all tests of the table."""

    found: Comparison  # its p-values are of this test by itself
    holm_t_p: float | None  # None: no test of the table's, the row is a floor or the baseline under another name
    holm_wilcoxon_p: float | None
    holm_class_p: float | None = None  # of the same difference on new classes
    equivalence: Equivalence | None = None  # where a margin was stated


@dataclass(frozen=True, eq=False)
class Measured:
    """What all seeds of a stage reached in one setting."""

    accuracies: np.ndarray  # (S, E)
    classes: np.ndarray  # (E, n_way)
    n_classes: int
    fingerprint: str  # of the episodes
    feature_spreads: tuple[float | None, ...] = ()  # a seed each; None: unknown, or no features

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Measured:
        first = scores[0]
        if any(score.episodes_fingerprint != first.episodes_fingerprint for score in scores):
            raise RunsError("seeds of one stage were scored on different episodes, so they cannot be pooled")
        accuracies = np.stack([score.accuracies for score in scores])
        spreads = tuple(score.feature_spread for score in scores)
        return cls(accuracies, first.classes, first.n_classes, first.episodes_fingerprint, spreads)


@dataclass(frozen=True)
class ConfusedPair:
    """Queries of a class that were taken for another."""

    true: str
    taken_for: str
    rate: float  # share of the queries of ``true`` in episodes that have both classes
    episodes: int  # that have both


@dataclass(frozen=True)
class Failures:
    """Where a row fails in one setting, on closed episodes."""

    worst: float  # mean accuracy of the worst 5 % of a seed's episodes, averaged over seeds
    n_worst: int  # how many these are
    confused: tuple[ConfusedPair, ...] = ()  # the highest rate first; empty where no predictions are kept


@dataclass(frozen=True)
class Cell:
    """One method's accuracy in one setting."""

    intervals: Mapping[str, Interval]  # closed, open, class: as far as there are such episodes
    by_seed: tuple[float, ...]  # mean accuracy of each seed, on closed episodes
    compared: Compared | None = None  # with the baseline
    published: tuple[Verdict, ...] = ()
    episode_error: float = 0.0  # standard error of the mean over closed episodes alone, seeds averaged
    failures: Failures | None = None  # where they were asked for
    on_open: Measured | None = field(default=None, repr=False, metadata=NOT_PRINTED)  # for tests against other rows


@dataclass(frozen=True)
class Mark:
    """A sign that a row learned nothing, with its reason."""

    kind: Literal["chance", "features"]
    reason: str
    spec: EpisodeSpec | None = None  # the setting it is about; None: all


History = Sequence[Mapping[str, float]]  # an epoch each: losses, speed, val_accuracy or val_loss where it selects


@dataclass(frozen=True)
class Row:
    """One stage of one method, over its seeds."""

    label: str
    stage: str
    method: str
    name: str  # as printed: LABEL/STAGE, or LABEL where the method has one stage
    preset: str | None
    changed: Mapping[str, Any]  # options that decide it and that the plan changed from the preset, with their values
    backbone: str | None
    head: str
    floor: bool
    transductive: bool
    seeds: tuple[int, ...]
    cells: Mapping[EpisodeSpec, Cell]
    images_seen: float | None  # mean over seeds, its parents' included, as are the next three; None: unknown
    flops: float | None
    fit_seconds: float  # 0: nothing was trained
    peak_memory_bytes: int | None
    conditions: Mapping[str, str]
    history: Sequence[History]  # of this stage's own training, a seed each
    failure: str | None
    marks: tuple[Mark, ...] = ()  # signs that it learned nothing
    options: Mapping[str, Any] = field(default_factory=dict)  # all of the method's
    weights: str | None = None  # the file that its backbone started from, RUN:ROW, or 'pretrained'
    pretrained: str = ""  # of RUN:ROW: which row that was, and what it was trained on, in words
    note: str = ""  # what its preset has a reader know
    identity: Hashable = field(default=None, repr=False, metadata=NOT_PRINTED)  # rows that share it are one, renamed
    source: str = ""  # of a row that is not of this run folder: its file and fingerprints, in words


@dataclass(frozen=True)
class Standing:
    """Which rows of a setting can be told apart, all pairs compared on the same open episodes."""

    letters: Mapping[str, str]  # row → its tiers: two rows that share a letter cannot be told apart
    like_best: frozenset[str]  # rows that cannot be told apart from the first, without it
    n_tests: int  # over which p-values were adjusted


@dataclass(frozen=True)
class Table:
    """One dataset of one bench."""

    bench: str  # ID of the bench
    dataset: str  # "CIFAR-FS", or "CIFAR-FS → CUB" where it is tested elsewhere
    rows: Sequence[Row]
    specs: Sequence[EpisodeSpec]
    baseline: str | None
    equivalent: float | None  # accuracy points within which a row is practically equal to the baseline
    notes: Sequence[str]  # "partial data (…)"
    data_fingerprint: str
    episodes: Sequence[EpisodesRecord]
    plan: BenchPlan
    score_on: str = "test"  # or "val"
    conditions: Mapping[str, str] = field(default_factory=dict)  # what all rows share
    differing: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)  # condition → value → rows
    standings: Mapping[EpisodeSpec, Standing] = field(default_factory=dict)  # where they were asked for
    created: str = ""  # when the bench ended, UTC
    predictions: TablePredictions | None = field(default=None, repr=False, metadata=NOT_PRINTED)
    images: Callable[[], Split | None] = field(default=lambda: None, repr=False, metadata=NOT_PRINTED)  # scored on


MARKS = {
    "best": "the highest of a column in bold",
    "second": "the second highest in italics, in LaTeX underlined",
    "same": "‡ beside what cannot be told apart from the best",
    "tiers": "letters: rows that share one cannot be told apart",
}


@dataclass(frozen=True)
class View:
    """What a reader asked a format to show, and how. The defaults are those of every format."""

    what: str = ACCURACIES  # a line of csv is about
    failures: bool = False  # the worst episodes and the classes that are confused
    columns: tuple[str, ...] = ()  # names or patterns of columns, in their order; empty: the format's own choice
    precision: int = 2  # digits after the point of accuracies in percent
    interval: str | None = None  # which one stands behind ±, None: closed; in csv the lines that there are, None: all
    mark: tuple[str, ...] = ("best",)  # of MARKS
    per_seed: bool = False  # the accuracy of each seed as well
    numbers: str = "plain"  # LaTeX: "plain" or "siunitx"
    wide: bool = False  # LaTeX: over both columns of a page
    caption: str | None = None  # LaTeX; None: one that says what is shown
    label: str | None = None  # LaTeX; None: one from the dataset's name

    @property
    def compares(self) -> bool:
        """Whether its marks need all pairs of rows compared."""
        return bool({"same", "tiers"} & set(self.mark))


DEFAULT_VIEW = View()


@dataclass(frozen=True)
class Report:
    """Tables, how they are to be shown, and what failed in them."""

    tables: Sequence[Table]
    view: View = DEFAULT_VIEW

    @property
    def failures(self) -> list[str]:
        return [f"{row.name}: {row.failure}" for table in self.tables for row in table.rows if row.failure]
