"""What a report says, as plain values: rows of accuracies with their intervals, costs and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import RunsError
from harness.runs import StageFolder
from harness.statistics import Comparison, Interval, closed_interval, interval
from harness.types import EpisodeSpec, Head, Score, StageResult, Target

if TYPE_CHECKING:
    from harness.reports.published import Verdict

TESTED_ON: Target = "open"  # the episodes of every test: closed ones reject a true null far too often
INTERVALS: Mapping[str, Target] = {"closed": "closed", "open": "open", "class": "open"}  # computed from which episodes


Setting = tuple[EpisodeSpec, Target]


@dataclass(frozen=True)
class Compared:
    """A row against the baseline in one setting, with p-values adjusted over all rows and settings of the table."""

    found: Comparison
    holm_t_p: float
    holm_wilcoxon_p: float


@dataclass(frozen=True, eq=False)
class Measured:
    """What all seeds of a stage reached in one setting."""

    accuracies: np.ndarray  # (S, E)
    classes: np.ndarray  # (E, n_way)
    n_classes: int
    fingerprint: str  # of the episodes

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Measured:
        first = scores[0]
        if any(score.episodes_fingerprint != first.episodes_fingerprint for score in scores):
            raise RunsError("seeds of one stage were scored on different episodes, so they cannot be pooled")
        accuracies = np.stack([score.accuracies for score in scores])
        return cls(accuracies, first.classes, first.n_classes, first.episodes_fingerprint)


@dataclass(frozen=True)
class Cell:
    """One method's accuracy in one setting."""

    intervals: Mapping[str, Interval]  # closed, open, class: as far as there are such episodes
    by_seed: tuple[float, ...]  # mean accuracy of each seed, on closed episodes
    compared: Compared | None = None  # with the baseline
    published: tuple[Verdict, ...] = ()
    episode_error: float = 0.0  # standard error of the mean over closed episodes alone, seeds averaged


History = Sequence[Mapping[str, float]]  # an epoch each: losses, images_per_second, val_accuracy where it selects


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
    images_seen: float  # mean over seeds, its parents' included, as are the next three
    flops: float
    fit_seconds: float
    peak_memory_bytes: int
    conditions: Mapping[str, str]
    history: Sequence[History]  # of this stage's own training, a seed each
    failure: str | None


@dataclass(frozen=True)
class Table:
    """One dataset of one bench."""

    bench: str  # ID of the bench
    dataset: str  # "CIFAR-FS", or "CIFAR-FS → CUB" where it is tested elsewhere
    rows: Sequence[Row]
    specs: Sequence[EpisodeSpec]
    baseline: str | None
    notes: Sequence[str]  # "partial data (…)"
    data_fingerprint: str
    episodes: Sequence[Mapping[str, Any]]  # kind, number and fingerprint of each kind of episode
    plan: Mapping[str, Any]
    score_on: str = "test"  # or "val"
    conditions: Mapping[str, str] = field(default_factory=dict)  # what all rows share
    differing: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)  # condition → value → rows


@dataclass(frozen=True)
class Report:
    """Tables, and what failed in them."""

    tables: Sequence[Table]

    @classmethod
    def of(
        cls, benches: Iterable[tuple[Path, Mapping[str, Any]]], baseline: str | None = None, published: bool = False
    ) -> Report:
        """The report of bench records with their run folders.

        Raises:
            UnknownName: no row has the baseline's name.
            RunsError: a stage that the record names is no longer there.
        """
        return cls([_table(output, bench, table, baseline or bench["plan"]["baseline"], published)
                    for output, bench in benches for table in bench["tables"]])  # fmt: skip

    @property
    def failures(self) -> list[str]:
        return [f"{row.name}: {row.failure}" for table in self.tables for row in table.rows if row.failure]


@dataclass(frozen=True)
class _Group:
    """The records of one stage, a seed each, with their results."""

    records: list[Mapping[str, Any]]
    results: list[StageResult]
    histories: list[History]

    @property
    def shown(self) -> bool:
        """Whether it has a row; else it is there because another stage is trained from it."""
        return bool(self.records[0].get("shown", True))


def _table(
    output: Path, bench: Mapping[str, Any], table: Mapping[str, Any], baseline: str | None, published: bool
) -> Table:
    groups = group_stages(output, table)
    results = {result.key: result for group in groups.values() for result in group.results}
    parents = {record["key"]: record["parent"] for record in table["stages"]}
    rows = [_row(name, group, results, parents) for name, group in groups.items() if group.shown]
    if baseline is not None:
        from harness.reports.comparing import compared

        rows = compared(rows, {name: measured(group.results) for name, group in groups.items()}, baseline)
    if published:
        from harness.reports.published import with_published

        rows = with_published(rows, table, bench["plan"])
    shared, differing = _conditions(rows)
    elsewhere = table["test_dataset"]
    return Table(
        bench=bench["id"],
        dataset=f"{table['dataset']} → {elsewhere}" if elsewhere else table["dataset"],
        rows=rows,
        specs=list(dict.fromkeys(spec for row in rows for spec in row.cells)),
        baseline=baseline,
        notes=table["notes"],
        data_fingerprint=table["data_fingerprint"],
        episodes=table["episodes"],
        plan=bench["plan"],
        score_on=table.get("score_on", "test"),
        conditions=shared,
        differing=differing,
    )


def group_stages(output: Path, table: Mapping[str, Any]) -> dict[str, _Group]:
    """The stages of a bench's table by the name of their row, with their results.

    Raises:
        RunsError: a stage that the record names is no longer whole.
    """
    groups: dict[str, _Group] = {}
    for record in table["stages"]:
        group = groups.setdefault(record["row"], _Group([], [], []))
        group.records.append(record)
        if record["failure"] is None:
            folder = StageFolder(output / record["folder"])
            result = folder.result(record["key"], record["scores"])
            if result is None:
                raise RunsError(f"{output / record['folder']} is not whole. Run the bench again")
            group.results.append(result)
            if history := folder.metrics:
                group.histories.append(history)
    return groups


def _row(name: str, group: _Group, results: Mapping[str, StageResult], parents: Mapping[str, str | None]) -> Row:
    first = group.records[0]
    chains = [_chain(record["key"], results, parents) for record in group.records if record["key"] in results]
    failures = [f"seed {r['seed']}: {r['failure']}" for r in group.records if r["failure"] is not None]

    def mean(attribute: str) -> float:
        totals = [sum(getattr(result, attribute) for result in chain) for chain in chains]
        return float(np.mean(totals)) if totals else 0.0

    return Row(
        label=first["label"],
        stage=first["stage"],
        method=first["method"],
        name=name,
        preset=first["preset"],
        changed={name: first["options"][name] for name in first["changed"]},
        backbone=first["backbone"],
        head=str(Head(**first["head"])) if first["head"] else "own",
        floor=first["floor"],
        transductive=first["transductive"],
        seeds=tuple(record["seed"] for record in group.records if record["key"] in results),
        cells=_cells(group.results) if not failures else {},
        images_seen=mean("images_seen"),
        flops=mean("flops"),
        fit_seconds=mean("fit_seconds"),
        peak_memory_bytes=max((result.peak_memory_bytes for chain in chains for result in chain), default=0),
        conditions=_over_seeds(group.results),
        history=group.histories,
        failure="; ".join(failures) or None,
    )


def _chain(key: str | None, results: Mapping[str, StageResult], parents: Mapping[str, str | None]) -> list[StageResult]:
    """The result of a stage and of all that it was trained from."""
    chain = []
    while key is not None and key in results:
        chain.append(results[key])
        key = parents.get(key)
    return chain


def measured(results: Sequence[StageResult]) -> dict[Setting, Measured]:
    """What was measured in each setting and on each kind of episode, over seeds."""
    by_setting: dict[Setting, list[Score]] = {}
    for result in results:
        for score in result.scores:
            by_setting.setdefault((score.episodes, score.target), []).append(score)
    return {setting: Measured.of(scores) for setting, scores in by_setting.items()}


def _cells(results: Sequence[StageResult]) -> dict[EpisodeSpec, Cell]:
    settings = measured(results)
    cells: dict[EpisodeSpec, Cell] = {}
    for spec in dict.fromkeys(spec for spec, _ in settings):
        intervals = {
            name: interval(name, some.accuracies, some.classes, some.n_classes)
            for name, target in INTERVALS.items()
            if (some := settings.get((spec, target))) is not None
        }
        closed = settings[spec, "closed"]
        of_episodes = closed_interval(closed.accuracies.mean(axis=0))
        by_seed = tuple(map(float, closed.accuracies.mean(axis=1)))
        cells[spec] = Cell(intervals, by_seed, episode_error=of_episodes.standard_error)
    return cells


def _over_seeds(results: Sequence[StageResult]) -> dict[str, str]:
    """What a stage ran on; where its seeds ran on different things, all of them."""
    names = dict.fromkeys(name for result in results for name in result.conditions)
    return {
        name: " / ".join(dict.fromkeys(result.conditions.get(name, "unknown") for result in results)) for name in names
    }


def _conditions(rows: Sequence[Row]) -> tuple[dict[str, str], dict[str, dict[str, list[str]]]]:
    """What the rows ran on: what all share, and what differs, with the rows of each value."""
    values: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for name, value in row.conditions.items():
            values.setdefault(name, {}).setdefault(value, []).append(row.name)
    shared = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    return shared, {name: found for name, found in values.items() if len(found) > 1}
