"""The markdown report, and the tables and words it shares with latex and html. The same runs give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.reports.formats.conditions import conditions
from harness.reports.formats.differences import about_differences, difference_rows
from harness.reports.formats.failing import ABOUT_FAILURES, failure_rows
from harness.reports.model import DEFAULT_VIEW, Report, Row, Table, View
from harness.reports.view import chosen_columns
from harness.reports.words import duration, percent

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec

UNKNOWN = "unknown"  # a cost; "-" is that of no training
MARK = "†"  # of a row that learned nothing: harness/reports/marks.py
SAME = "‡"  # of a row that cannot be told apart from the best
ABOUT_SEEDS = "Accuracy of each seed, in percent, mean over closed episodes:"
# Columns that are read: left.
WORDS = {"method", "backbone", "head", "setting", "verdict", "source", "relation", "confused"}


def markdown(report: Report) -> str:
    """A table a dataset; under each, differences from the baseline if there is one, and the conditions."""
    return "\n".join(_section(table, report.view) for table in report.tables)


def _section(table: Table, view: View) -> str:
    parts = [f"## {title(table)}\n", grid(main_rows(table, view))]
    if view.per_seed:
        parts += [f"{ABOUT_SEEDS}\n", grid(seed_rows(table, view))]
    if failures := [f"- {row.name} failed: {row.failure}" for row in table.rows if row.failure]:
        parts.append("\n".join(failures) + "\n")
    if notes := mark_notes(table):
        parts.append("\n".join(f"- {note}" for note in notes) + "\n")
    if table.baseline:
        lines = difference_rows(table, digits=view.precision)
        parts += [f"{about_differences(table)}\n", *([grid(lines)] if lines else [])]
    if failing := failure_rows(table, view.precision):
        parts += [f"{ABOUT_FAILURES}\n", grid(failing)]
    if verdicts := published_rows(table):
        parts.append(f"{ABOUT_PUBLISHED}\n")
        parts.append(grid(verdicts))
    parts.append("\n".join(f"- {line}" for line in conditions(table, view)) + "\n")
    return "\n".join(parts)


def title(table: Table) -> str:
    """``CIFAR-FS``, with what every table must say of its data in brackets."""
    notes = [*table.notes, *(["scored on the validation classes"] if table.score_on == "val" else [])]
    return f"{table.dataset}{''.join(f' ({note})' for note in notes)}"


# ── the tables, a dictionary a line ───────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Number:
    """An accuracy of the comparison table, and how it is marked."""

    mean: str
    half_width: str  # empty: there is no interval
    best: bool = False
    second: bool = False
    signs: str = ""  # † ‡
    letters: str = ""  # of its tiers

    def __str__(self) -> str:
        text = " ".join(filter(None, [self.mean, f"± {self.half_width}" if self.half_width else "", self.letters]))
        text = " ".join([text, *self.signs])
        return f"**{text}**" if self.best else f"_{text}_" if self.second else text


def main_cells(table: Table, view: View, costly: bool = True) -> list[dict[str, str | Number]]:
    """The comparison table: names, accuracies in percent with their marks, and costs unless not ``costly``."""
    lines: list[dict[str, str | Number]] = []
    numbers = {str(spec): _numbers(table, spec, view) for spec in table.specs}
    for row in table.rows:
        line: dict[str, str | Number] = {"method": marked(row.name, row)}
        line |= {"backbone": backbone(row), "head": head(row)}
        line |= {name: by_row.get(row.name, "failed" if row.failure else "-") for name, by_row in numbers.items()}
        if costly or view.columns:
            line.update(costs(row))
        lines.append(line)
    if not view.columns or not lines:
        return lines
    names = chosen_columns(view.columns, list(lines[0]), list(numbers))
    return [{name: line[name] for name in names} for line in lines]


def _numbers(table: Table, spec: EpisodeSpec, view: View) -> dict[str, Number]:
    """The accuracies of a column, by row."""
    name = view.interval or "closed"
    rows = [row for row in table.rows if spec in row.cells and name in row.cells[spec].intervals]
    values = sorted({mean(row, spec, name) for row in rows}, reverse=True) if len(table.rows) > 1 else []
    first, second = (values[i] if len(values) > i else None for i in (0, 1))
    standing = table.standings.get(spec)
    numbers = {}
    for row in rows:
        shown, _, half_width = accuracy(row, spec, name, view.precision).partition(" ± ")
        signs = MARK if any(mark.spec == spec for mark in row.marks) else ""
        if "same" in view.mark and standing and row.name in standing.like_best:
            signs += SAME
        numbers[row.name] = Number(
            shown,
            half_width,
            "best" in view.mark and mean(row, spec, name) == first,
            "second" in view.mark and mean(row, spec, name) == second,
            signs,
            standing.letters.get(row.name, "") if "tiers" in view.mark and standing else "",
        )
    return numbers


def main_rows(table: Table, view: View = DEFAULT_VIEW) -> list[dict[str, str]]:
    """The comparison table as text, the highest of a column in bold."""
    return [{name: str(cell) for name, cell in line.items()} for line in main_cells(table, view)]


def seed_rows(table: Table, view: View) -> list[dict[str, str]]:
    """A line a row and seed: its mean accuracy in each setting, in percent."""
    return [
        {"method": row.name, "seed": str(seed)}
        | {
            str(spec): f"{100 * row.cells[spec].by_seed[i]:.{view.precision}f}" if spec in row.cells else "-"
            for spec in table.specs
        }
        for row in table.rows
        for i, seed in enumerate(row.seeds)
        if row.cells
    ]


def marked(text: str, row: Row, spec: EpisodeSpec | None = None) -> str:
    """``text`` with a sign where a mark is about this setting of the row; without a setting, about all of the row."""
    return f"{text} {MARK}" if any(mark.spec == spec for mark in row.marks) else text


def mark_notes(table: Table) -> list[str]:
    """What the signs in a table mean, a line a row: ``† skd/gen0: at chance in …``."""
    return [f"{MARK} {row.name}: {'; '.join(mark.reason for mark in row.marks)}" for row in table.rows if row.marks]


def mean(row: Row, spec: EpisodeSpec, name: str = "closed") -> float:
    return row.cells[spec].intervals[name].mean


def backbone(row: Row) -> str:
    """``conv4``, or ``conv4, pretrained`` where it started from a row of an earlier run."""
    return f"{row.backbone or '-'}{', pretrained' if row.pretrained else ''}"


def head(row: Row) -> str:
    return f"{row.head} (transductive)" if row.transductive else row.head


def costs(row: Row) -> dict[str, str]:
    """What a row cost, the stages that it was trained from included; ``-`` where nothing was trained."""
    names = ("images seen", "training", "TFLOP", "memory")
    if row.failure or not row.fit_seconds:
        return dict.fromkeys(names, "-")
    images, flops, memory = row.images_seen, row.flops, row.peak_memory_bytes
    values = (
        f"{images:,.0f}" if images is not None else UNKNOWN,
        duration(row.fit_seconds),
        f"{flops / 1e12:,.{1 if flops >= 1e13 else 2}f}" if flops is not None else UNKNOWN,
        f"{memory / 2**20:,.0f} MiB" if memory is not None else UNKNOWN,
    )
    return dict(zip(names, values, strict=True))


def accuracy(row: Row, spec: EpisodeSpec, name: str = "closed", digits: int = 2) -> str:
    """``72.40 ± 0.90``, in percent, of the interval ``name``; ``-`` where the row was not scored in that setting."""
    if spec not in row.cells:
        return "failed" if row.failure else "-"
    return percent(row.cells[spec].intervals.get(name), digits=digits)


def published_rows(table: Table) -> list[dict[str, str]]:
    """A line a row, setting and published number: both numbers and the verdict."""
    return [
        {
            "method": row.name,
            "setting": str(spec),
            "measured": accuracy(row, spec),
            "published": f"{100 * verdict.accuracy:.2f} ± {100 * verdict.ci95:.2f}",
            "verdict": verdict.text,
            "source": verdict.source,
        }
        for row in table.rows
        for spec, cell in row.cells.items()
        for verdict in cell.published
    ]


# ── what the numbers hold under ───────────────────────────────────────────────────────────────────

ABOUT_PUBLISHED = (
    "Beside published numbers, in percent. A row agrees where the difference is one that equally good methods show in "
    "95 % of cases, by the errors of both numbers' episodes and of our seeds (theirs is one); under 3 seeds that error "
    "is unknown and nothing is decided:"
)


def grid(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return "(no rows)\n"
    safe = [{name: value.replace("|", "\\|") for name, value in row.items()} for row in rows]
    return tabulate(safe, headers="keys", tablefmt="pipe", colalign=alignment(rows), disable_numparse=True) + "\n"


def alignment(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each column: words to the left, numbers to the right."""
    return ["left" if name in WORDS else "right" for name in rows[0]]
