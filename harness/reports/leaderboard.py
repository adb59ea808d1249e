"""Benches of several datasets as one leaderboard: which rows can be told apart, and what holds over datasets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import HarnessError
from harness.reports.build import table_rows
from harness.reports.groups import group_stages
from harness.reports.model import DEFAULT_VIEW, TESTED_ON, Measured, Row, Setting, View
from harness.reports.over_datasets import OverDatasets, over_datasets
from harness.reports.places import Column, Line, Place
from harness.reports.standing import standings

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.contract.plan import BenchPlan
    from harness.runs.records import BenchRecord, TableRecord

MARGIN = 1.0  # accuracy points of practical equivalence, as in Benavoli et al. 2017


@dataclass(frozen=True)
class Leaderboard:
    """A line a row, a column a dataset and setting."""

    columns: Mapping[str, Column]  # by name, as printed
    lines: Sequence[Line]
    n_tests: int  # pairs of all columns, over which p-values were adjusted
    over: Sequence[OverDatasets]  # a setting each
    margin: float  # of practical equivalence, a fraction
    notes: Sequence[str] = ()
    view: View = DEFAULT_VIEW


@dataclass(frozen=True, eq=False)
class _Measurement:
    """A row of a bench's table."""

    row: Row
    conditions: Mapping[str, str]
    table: TableRecord
    bench: str
    measured: Mapping[Setting, Measured]
    identity: Hashable  # what its numbers come from


@dataclass
class _Board:
    entries: dict[tuple[Column, str], _Measurement] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    repeated: dict[str, dict[str, None]] = field(default_factory=dict)  # note → rows


def build_leaderboard(
    benches: Iterable[tuple[Path, BenchRecord]],
    margin: float | None = None,
    patterns: Sequence[str] = (),
    view: View = DEFAULT_VIEW,
) -> Leaderboard:
    """The leaderboard of bench records with their run folders; of what was measured twice the later one counts.

    Args:
        margin: accuracy points within which methods are practically equal on a dataset; None: 1.
        patterns: of rows; none: all.
    Raises:
        HarnessError: there is no row.
        RunsError: a stage that a record names is no longer there.
    """
    measurements: list[_Measurement] = []
    for output, bench in benches:
        for table in bench.tables:
            groups = group_stages(output, table)
            for row in table_rows(groups, table):
                if not patterns or any(fnmatchcase(row.name, pattern.strip()) for pattern in patterns):
                    group = groups[row.name]
                    conditions = _conditions(row, bench.plan)
                    measurements.append(_Measurement(row, conditions, table, bench.id, group.measured, group.identity))
    if not measurements:
        raise HarnessError("no row to show: name other --rows, or run folders that hold finished benches")
    names = _names([(one.row.name, one.conditions) for one in measurements])
    board = _Board()
    for one, name in zip(measurements, names, strict=True):
        if one.row.failure:
            board.notes.append(f"{name} on {_dataset(one.table)} failed: {one.row.failure} (bench {one.bench})")
        for spec in one.row.cells:
            column = _column(one.row, spec, one.table)
            earlier = board.entries.get((column, name))
            if earlier and earlier.identity != one.identity:
                twice = f"measured by benches {earlier.bench} and {one.bench}, of which the later counts"
                board.repeated.setdefault(f"{column.dataset}: {twice}", {})[name] = None
            board.entries[column, name] = one
    return _leaderboard(board, (MARGIN if margin is None else margin) / 100, view)


def _leaderboard(board: _Board, margin: float, view: View) -> Leaderboard:
    columns, apart = _named_columns(list(dict.fromkeys(column for column, _ in board.entries)))
    tested: dict[str, dict[str, Measured]] = {name: {} for name in columns}
    for (column, row), entry in board.entries.items():
        reached = entry.measured.get((column.spec, TESTED_ON))
        if reached is not None and not entry.row.floor:
            tested[_name_of(columns, column)][row] = reached
    standing = standings({name: by_row for name, by_row in tested.items() if by_row})
    lines = []
    for row in dict.fromkeys(name for _, name in board.entries):
        places = {}
        floor = False
        for name, column in columns.items():
            one = board.entries.get((column, row))
            if one is not None:
                interval = one.row.cells[column.spec].intervals["closed"]
                letters = standing[name].letters.get(row, "") if name in standing else ""
                places[name] = Place(interval, letters, one.bench)
                floor = floor or one.row.floor
        lines.append(Line(row, floor, places))
    lines = sorted(lines, key=lambda line: (line.floor, _mean_share(line, lines), line.name))
    over = [over_datasets(spec, lines, columns, margin) for spec in dict.fromkeys(c.spec for c in columns.values())]
    n_tests = max((of_column.n_tests for of_column in standing.values()), default=0)
    repeated = [f"{note}: {', '.join(rows)}" for note, rows in board.repeated.items()]
    return Leaderboard(columns, lines, n_tests, over, margin, [*apart, *dict.fromkeys(board.notes), *repeated], view)


def _mean_share(line: Line, lines: Sequence[Line]) -> float:
    """The share of other rows that are higher, the mean over the line's columns: it orders lines, and says no more."""
    shares = []
    for name, place in line.places.items():
        others = [other.places[name].interval.mean for other in lines if other is not line and name in other.places]
        if others:
            shares.append(sum(mean > place.interval.mean for mean in others) / len(others))
    return sum(shares) / len(shares) if shares else 1.0


def _conditions(row: Row, plan: BenchPlan) -> dict[str, str]:
    """What makes rows of one name different rows, the dataset and its data apart."""
    changed = ", ".join(f"{name}={value}" for name, value in sorted(row.changed.items()))
    return {
        "method": row.method,
        "preset": row.preset or "",
        "options": changed,
        "backbone": row.backbone or "",
        "weights": row.weights or "",
        "head": row.head,
        "trained on": plan.train_on,
        "augment": plan.augment,
        "budget": str(plan.budget or ""),
    }


def _names(rows: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """A name for each row; rows of one name that differ in a condition have that beside it."""
    kinds: dict[str, list[Mapping[str, str]]] = {}
    for name, conditions in rows:
        if conditions not in kinds.setdefault(name, []):
            kinds[name].append(conditions)
    names = []
    for name, conditions in rows:
        differing = [key for key in conditions if len({kind[key] for kind in kinds[name]}) > 1]
        beside = ", ".join(f"{key} {conditions[key] or '-'}" for key in differing)
        names.append(f"{name} [{beside}]" if beside else name)
    return names


def _dataset(table: TableRecord) -> str:
    return f"{table.dataset} → {table.test_dataset}" if table.test_dataset else table.dataset


def _column(row: Row, spec: EpisodeSpec, table: TableRecord) -> Column:
    prints = {some.target: some.fingerprint for some in table.episodes if some.spec == spec}
    return Column(
        _dataset(table),
        spec,
        table.data_fingerprint,
        prints.get("closed", ""),
        prints.get("open", ""),
        row.seeds,
        table.score_on,
        tuple(table.notes),
    )


def _named_columns(columns: Sequence[Column]) -> tuple[dict[str, Column], list[str]]:
    """Columns by name, datasets together, and why some of one dataset and setting are set apart."""
    by_name: dict[str, list[Column]] = {}
    datasets = list(dict.fromkeys(column.dataset for column in columns))
    for column in sorted(columns, key=lambda one: (datasets.index(one.dataset), one.spec)):
        by_name.setdefault(f"{column.dataset} {column.spec}", []).append(column)
    named, notes = {}, []
    for name, same in by_name.items():
        if len(same) == 1:
            named[name] = same[0]
            continue
        differing = [key for key in same[0].conditions if len({column.conditions[key] for column in same}) > 1]
        for column in same:
            named[f"{name} ({', '.join(f'{key} {column.conditions[key] or chr(45)}' for key in differing)})"] = column
        notes.append(f"{name} stands in {len(same)} columns that are not compared: their {', '.join(differing)} differ")
    return named, notes


def _name_of(columns: Mapping[str, Column], column: Column) -> str:
    return next(name for name, other in columns.items() if other == column)
