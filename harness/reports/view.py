"""How a report is shown: which rows and columns, in which order, with how many digits and which marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from harness.common.errors import HarnessError, UnknownName
from harness.reports.model import ACCURACIES, INTERVALS, LINES, MARKS, View

if TYPE_CHECKING:
    from harness.contract.reporters import ReporterSpec
    from harness.reports.model import Report, Row, Table

NO_MARK = "none"
MOST_DIGITS = 6
ACCURACY = "accuracy"  # in --columns and --sort: every setting; the first one


def asked_view(reporter: ReporterSpec, reporters: Mapping[str, ReporterSpec], **asked: Any) -> View:
    """The view with what was asked for; what is None was not.

    Raises:
        HarnessError: the format does not show such a thing, or a value is none that there is.
    """
    given = {name: value for name, value in asked.items() if value is not None and value is not False}
    for name in given:
        if name not in reporter.options:
            able = [other.name for other in reporters.values() if name in other.options]
            raise HarnessError(f"{flag(name)} is not for the format {reporter.name}. It is for: {', '.join(able)}")
    if not 0 <= given.get("precision", 0) <= MOST_DIGITS:
        raise HarnessError(f"--precision {given['precision']}: digits after the point, 0 to {MOST_DIGITS}")
    what = (ACCURACIES, *LINES)
    for name, allowed in (("interval", INTERVALS), ("what", what), ("numbers", ("plain", "siunitx"))):
        if name in given and given[name] not in allowed:
            raise UnknownName(f"value of {flag(name)}", given[name], allowed, "Values")
    if "mark" in given:
        given["mark"] = _marks(given["mark"])
    if "columns" in given:
        given["columns"] = tuple(given["columns"])
    return View(**given)


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _marks(text: str) -> tuple[str, ...]:
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    for name in chosen:
        if name not in (*MARKS, NO_MARK):
            raise UnknownName("mark", name, [*MARKS, NO_MARK], "Marks")
    if NO_MARK in chosen and len(chosen) > 1:
        raise HarnessError(f"--mark {text}: '{NO_MARK}' stands alone")
    return tuple(name for name in chosen if name != NO_MARK)


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────


def with_rows(report: Report, view: View, patterns: Sequence[str] = (), order: str | None = None) -> Report:
    """The report under this view, with the rows whose names match a pattern alone, sorted.

    p-values stay those of the whole table.

    Args:
        patterns: ``*/gen1``; none: all rows.
        order: ``method``, ``accuracy``, a setting or a cost; ``-`` before it turns the order round.
    Raises:
        UnknownName: a pattern fits no row of any table, or no column has that name.
    """
    patterns = [pattern.strip() for pattern in patterns]
    names = list(dict.fromkeys(row.name for table in report.tables for row in table.rows))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownName("row", pattern, names, "Rows")
    tables = [_with_rows(table, patterns, order) for table in report.tables]
    return replace(report, tables=[table for table in tables if table.rows or not patterns], view=view)


def _with_rows(table: Table, patterns: Sequence[str], order: str | None) -> Table:
    rows = [row for row in table.rows if not patterns or any(fnmatchcase(row.name, pattern) for pattern in patterns)]
    specs = [spec for spec in table.specs if any(spec in row.cells for row in rows)]
    return replace(table, rows=sort_rows(rows, table, order) if order else rows, specs=specs)


def sort_rows(rows: Iterable[Row], table: Table, order: str) -> list[Row]:
    """Rows by a column: accuracies from the highest, all else from the lowest; what has no value comes last."""
    turned, name = order.startswith("-"), order.removeprefix("-")
    keys = _sort_keys(table)
    known = {key.lower(): key for key in keys}
    if name.lower() not in known:
        raise UnknownName("column to sort by", name, keys, "Columns")
    value_of, falling = keys[known[name.lower()]]
    with_value = [row for row in rows if value_of(row) is not None]
    without = [row for row in rows if value_of(row) is None]
    return sorted(with_value, key=value_of, reverse=falling != turned) + without


def _sort_keys(table: Table) -> dict[str, tuple[Callable[[Row], Any], bool]]:
    """Column → the value of a row, and whether the highest comes first."""

    def accuracy(spec: Any) -> Callable[[Row], float | None]:
        return lambda row: row.cells[spec].intervals["closed"].mean if spec in row.cells else None

    settings = {str(spec): (accuracy(spec), True) for spec in table.specs}
    trained: dict[str, tuple[Callable[[Row], Any], bool]] = {
        "images seen": (lambda row: row.images_seen if row.fit_seconds else 0, False),
        "training": (lambda row: None if row.failure else row.fit_seconds, False),
        "TFLOP": (lambda row: row.flops if row.fit_seconds else 0, False),
        "memory": (lambda row: row.peak_memory_bytes if row.fit_seconds else 0, False),
    }
    words: dict[str, tuple[Callable[[Row], Any], bool]] = {
        "method": (lambda row: row.name, False),
        "backbone": (lambda row: row.backbone, False),
        "head": (lambda row: row.head, False),
    }
    first = {ACCURACY: next(iter(settings.values()))} if settings else {ACCURACY: (lambda row: None, True)}
    return {**words, **first, **settings, **trained}


# ── columns ───────────────────────────────────────────────────────────────────────────────────────


def chosen_columns(asked: Sequence[str], names: Sequence[str], settings: Sequence[str] = ()) -> list[str]:
    """The columns that were asked for, in that order, each once.

    Args:
        asked: names or patterns in any case, several by commas; ``accuracy`` stands for all ``settings``.
    Raises:
        UnknownName: one is no column.
    """
    chosen: dict[str, None] = {}
    for text in asked:
        whole = [name for name in names if name.lower() == text.strip().lower()]  # a name may hold a comma
        for part in [text] if whole else text.split(","):
            wanted = part.strip().lower()
            if not wanted:
                continue
            matching = [name for name in names if fnmatchcase(name.lower(), wanted)]
            if wanted == ACCURACY and settings:
                matching = list(settings)
            if not matching:
                raise UnknownName("column", part.strip(), [*names, *([ACCURACY] if settings else [])], "Columns")
            chosen.update(dict.fromkeys(matching))
    return list(chosen)
