"""What a report says, as plain values: rows of accuracies with their intervals, costs and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import HarnessError
from harness.contract.results import StageFailure, StageResult
from harness.reports.foreign import ForeignRow, TableEpisodes, refuse_strangers
from harness.reports.groups import StageGroup, group_stages, measured
from harness.reports.marks import marks
from harness.reports.model import INTERVALS, TESTED_ON, Cell, Mark, Measured, Report, Row, Setting, Table
from harness.reports.predictions import TablePredictions
from harness.reports.pretraining import pretrained
from harness.runs.shown import shown_file
from harness.statistics.intervals import closed_interval, interval

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.runs.records import BenchRecord, TableRecord


def build_report(
    benches: Iterable[tuple[Path, BenchRecord]],
    baseline: str | None = None,
    published: bool = False,
    equivalent: float | None = None,
    standings: bool = False,
    failures: bool = False,
    against: Sequence[ForeignRow] = (),
) -> Report:
    """The report of bench records with their run folders.

    Args:
        baseline: the row that all others are compared with; None: what the plan of the bench says, if it does.
        equivalent: accuracy points within which a row is practically equal to the baseline; None: the plan's.
        standings: compare all pairs of rows as well.
        failures: say of each cell where it fails.
        against: rows of other people's benches, each of which stands in the tables whose episodes it met.
    Raises:
        HarnessError: a margin of equivalence is stated, but no baseline.
        UnknownName: no row has the baseline's name.
        RunsError: a stage that the record names is no longer there, or a row of ``against`` met other episodes.
    """
    benches = list(benches)
    refuse_strangers(against, [episodes_of(table) for _, bench in benches for table in bench.tables])
    return Report(
        [
            build_table(
                output,
                bench,
                table,
                Asked(
                    baseline or bench.plan.baseline,
                    published,
                    bench.plan.equivalent if equivalent is None else equivalent,
                    standings,
                    failures,
                    tuple(against),
                ),
            )
            for output, bench in benches
            for table in bench.tables
        ]
    )


@dataclass(frozen=True)
class Asked:
    """What a table is to say beyond its rows: see ``build_report``."""

    baseline: str | None = None
    published: bool = False
    equivalent: float | None = None
    standings: bool = False
    failures: bool = False
    against: tuple[ForeignRow, ...] = ()


def build_table(output: Path, bench: BenchRecord, table: TableRecord, asked: Asked) -> Table:
    baseline, equivalent = asked.baseline, asked.equivalent
    if equivalent is not None and baseline is None:
        raise HarnessError("--equivalent needs a row to be equivalent to: add --baseline ROW")
    groups = group_stages(output, table)
    rows = table_rows(groups, table)
    if asked.published:
        from harness.reports.published import with_published

        rows = with_published(rows, table, bench.plan)
    beside = [row for row in asked.against if row.belongs_to(episodes_of(table))]
    rows += [_foreign_row(row, table) for row in beside]
    if baseline in {row.name for row in asked.against} - {row.name for row in beside}:
        baseline = equivalent = None  # it is of another dataset of the bench
    reached = {name: group.measured for name, group in groups.items()}
    reached |= {row.name: measured(row.results(episodes_of(table))) for row in beside}
    identities = {row.name: row.identity for row in rows}
    if baseline is not None:
        from harness.reports.comparing import compared

        rows = compared(rows, reached, baseline, identities, equivalent)
    standing = {}
    if asked.standings:
        from harness.reports.standing import table_standings

        standing = table_standings(rows, reached, identities)
    shared, differing = _conditions(rows)
    shown = shown_file(output, bench.id, bench.tables.index(table))
    elsewhere = table.test_dataset
    built = Table(
        bench=bench.id,
        dataset=f"{table.dataset} → {elsewhere}" if elsewhere else table.dataset,
        rows=rows,
        specs=list(dict.fromkeys(spec for row in rows for spec in row.cells)),
        baseline=baseline,
        equivalent=equivalent,
        notes=table.notes,
        data_fingerprint=table.data_fingerprint,
        episodes=table.episodes,
        plan=bench.plan,
        score_on=table.score_on,
        conditions=shared,
        differing=differing,
        standings=standing,
        created=bench.created,
        predictions=TablePredictions(output, table, bench.plan.episode_seed, shown),
    )
    if asked.failures:
        from harness.reports.failures import with_failures

        built = with_failures(built, reached)
    return built


def table_rows(groups: Mapping[str, StageGroup], table: TableRecord) -> list[Row]:
    """The rows of a bench's table, from its stages by row."""
    results = {result.key: result for group in groups.values() for result in group.results}
    parents = {record.key: record.parents for record in table.stages}
    return [_row(name, group, results, parents) for name, group in groups.items() if group.shown]


def _row(name: str, group: StageGroup, results: Mapping[str, StageResult], parents: Mapping[str, Sequence[str]]) -> Row:
    first = group.records[0]
    lineages = [_lineage(record.key, results, parents) for record in group.records if record.key in results]
    seeds = tuple(record.seed for record in group.records if record.key in results)
    failures = [f"seed {r.seed}: {r.failure}" for r in group.records if r.failure is not None]

    def costs(attribute: str) -> list[list[float]] | None:
        """Of each seed, what its stages cost; None where one of them is unknown."""
        values = [[getattr(result, attribute) for result in lineage] for lineage in lineages]
        return None if any(value is None for stages in values for value in stages) else values

    def mean(attribute: str) -> float | None:
        values = costs(attribute)
        return None if values is None else float(np.mean([sum(stages) for stages in values] or [0.0]))

    peaks = costs("peak_memory_bytes")
    return Row(
        label=first.label,
        stage=first.stage,
        method=first.method,
        name=name,
        preset=first.preset,
        changed={name: first.options[name] for name in first.changed},
        backbone=first.backbone,
        head=str(first.head) if first.head else "own",
        floor=first.floor,
        transductive=first.transductive,
        seeds=seeds,
        cells=_cells(group.measured) if not failures else {},
        images_seen=mean("images_seen"),
        flops=mean("flops"),
        fit_seconds=mean("fit_seconds") or 0.0,
        peak_memory_bytes=None if peaks is None else int(max(map(max, peaks), default=0)),
        conditions=_over_seeds(group.results),
        history=group.histories,
        failure="; ".join(failures) or None,
        marks=marks(group.measured, seeds) if not failures else (),
        options=first.options,
        weights=first.weights,
        pretrained=pretrained([r.pretraining for r in group.records if r.pretraining is not None]),
        note=first.note,
        identity=group.identity,
    )


def _foreign_row(foreign: ForeignRow, table: TableRecord) -> Row:
    reached = measured(foreign.results(episodes_of(table)))
    return foreign.row(_cells(reached), marks(reached, foreign.record.seeds), table.data_fingerprint)


def episodes_of(table: TableRecord) -> TableEpisodes:
    """What a table's episodes are, for rows from files."""
    return TableEpisodes.of(table.dataset, table.test_dataset, table.score_on, table.episodes)


def _lineage(key: str, results: Mapping[str, StageResult], parents: Mapping[str, Sequence[str]]) -> list[StageResult]:
    """The result of a stage and, once each, of all that it was trained from."""
    lineage: dict[str, StageResult] = {}
    waiting = [key]
    while waiting:
        key = waiting.pop()
        if key in results and key not in lineage:
            lineage[key] = results[key]
            waiting.extend(parents.get(key, ()))
    return list(lineage.values())


def stage_marks(outcome: StageResult | StageFailure, seed: int) -> tuple[Mark, ...]:
    """The signs that one stage with one seed learned nothing."""
    return marks(measured([outcome]), (seed,)) if isinstance(outcome, StageResult) else ()


def _cells(settings: Mapping[Setting, Measured]) -> dict[EpisodeSpec, Cell]:
    cells: dict[EpisodeSpec, Cell] = {}
    for spec in dict.fromkeys(spec for spec, _ in settings):
        intervals = {
            name: interval(name, reached.accuracies, reached.classes, reached.n_classes)
            for name, target in INTERVALS.items()
            if (reached := settings.get((spec, target))) is not None
        }
        closed = settings[spec, "closed"]
        of_episodes = closed_interval(closed.accuracies.mean(axis=0))
        by_seed = tuple(map(float, closed.accuracies.mean(axis=1)))
        on_open = settings.get((spec, TESTED_ON))
        cells[spec] = Cell(intervals, by_seed, episode_error=of_episodes.standard_error, on_open=on_open)
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
    shared = {name: next(iter(rows_by_value)) for name, rows_by_value in values.items() if len(rows_by_value) == 1}
    return shared, {name: rows_by_value for name, rows_by_value in values.items() if len(rows_by_value) > 1}
