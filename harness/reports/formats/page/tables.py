"""The tables of the page as plain values: columns with their kind, lines of cells with what they sort by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.reports.figures.drawing import INTERVALS
from harness.reports.formats.conditions import preset
from harness.reports.formats.differences import difference_rows
from harness.reports.formats.markdown import WORDS, accuracy, costs, head, marked, mean
from harness.statistics.intervals import WEIGHTS_ONLY

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.reports.model import Row, Table

TEXTS = (*WORDS, "preset")


@dataclass(frozen=True)
class Column:
    """A column that a reader may sort by and hide."""

    label: str
    number: bool = True  # numbers stand to the right, and sort from the highest down
    group: str = ""  # what stands above the label: the setting
    hidden: bool = False  # until a reader asks for it

    @property
    def name(self) -> str:
        return f"{self.group} {self.label}".strip()


@dataclass(frozen=True)
class Cell:
    """What stands in a column of a line."""

    text: str
    sort: str = ""  # a number as text, or nothing: its text is what it sorts by
    strong: bool = False
    bad: bool = False
    note: str = ""  # the letter of a note below the table


@dataclass(frozen=True)
class Line:
    """A row of the report, as a table shows it."""

    cells: Sequence[Cell]  # as many as there are columns; the first is the line's name
    floor: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of the page."""

    name: str
    caption: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    notes: Sequence[tuple[str, str]] = ()  # letter and text; without a letter where it is about all of a column
    tools: bool = False  # a filter and a choice of columns above it


COSTS = (
    ("images seen", "images_seen", False),
    ("training", "fit_seconds", False),
    ("TFLOP", "flops", True),
    ("memory", "peak_memory_bytes", True),
)


def main(table: Table) -> Grid:
    """Accuracies with their three intervals, and costs: the highest rows first, floors last."""
    rows = ranked(table)
    backbones = {row.backbone for row in rows if row.backbone} | {row.weights for row in rows}
    columns = [
        Column("method", number=False),
        Column("backbone", number=False, hidden=len(backbones - {None}) < 2),
        Column("head", number=False, hidden=True),
    ]
    columns += [Column(name, group=str(spec)) for name in INTERVALS for spec in table.specs]
    columns += [Column(label, hidden=hidden) for label, _, hidden in COSTS]
    notes = _Notes(table)
    highest = {
        spec: max((mean(row, spec) for row in rows if spec in row.cells), default=math.inf) for spec in table.specs
    }
    lines = []
    for row in rows:
        cells = [
            Cell(marked(row.name, row)),
            Cell((row.backbone or "-") + (f", {row.weights}" if row.weights else "")),
            Cell(head(row)),
            *(
                _accuracy(row, spec, name, len(rows) > 1 and _is(row, spec, highest[spec]), notes)
                for name in INTERVALS
                for spec in table.specs
            ),
        ]
        texts = costs(row)
        for label, attribute, _ in COSTS:
            value = getattr(row, attribute)
            known = value is not None and texts[label] != "-"
            cells.append(Cell(texts[label], f"{value}" if known else ""))
        lines.append(Line(cells, row.floor))
    return Grid("accuracy", "Accuracy and cost of each row", columns, lines, notes.listed(), tools=True)


def ranked(table: Table) -> list[Row]:
    """The rows from the highest mean of the first setting down; floors after them, what failed last."""

    def place(row: Row) -> tuple[int, float]:
        if not table.specs or (spec := table.specs[0]) not in row.cells:
            return 2, 0.0
        return int(row.floor), -mean(row, spec)

    return sorted(table.rows, key=place)


def _is(row: Row, spec: EpisodeSpec, value: float) -> bool:
    return spec in row.cells and mean(row, spec) == value


def _accuracy(row: Row, spec: EpisodeSpec, name: str, highest: bool, notes: _Notes) -> Cell:
    text = accuracy(row, spec, name)
    interval = row.cells[spec].intervals.get(name) if spec in row.cells else None
    shown = marked(text, row, spec) if name == "closed" else text
    letter = notes.letter(name, interval.note) if interval else ""
    sort = f"{interval.mean:.9f}" if interval else ""
    return Cell(shown, sort, strong=highest and name == "closed", bad=text == "failed", note=letter)


class _Notes:
    """What readers must know of single numbers, a letter each; what is true of all of one interval, said once."""

    def __init__(self, table: Table) -> None:
        of_kind: dict[str, set[str]] = {}
        for row in table.rows:
            for cell in row.cells.values():
                for name, interval in cell.intervals.items():
                    of_kind.setdefault(name, set()).add(_short(interval.note))
        self._shared = {name: next(iter(notes)) for name, notes in of_kind.items() if len(notes) == 1}
        self._letters: dict[str, str] = {}

    def letter(self, name: str, note: str) -> str:
        note = _short(note)
        if not note or name in self._shared:
            return ""
        return self._letters.setdefault(note, "abcdefghijklmnopqrstuvwxyz"[len(self._letters) % 26])

    def listed(self) -> list[tuple[str, str]]:
        shared = [("", f"{name}: {note}") for name, note in self._shared.items() if note]
        return shared + [(letter, note) for note, letter in self._letters.items()]


def _short(note: str) -> str:
    """Without what is true of every number of a table with few seeds; the page says it once."""
    return note.removeprefix(WEIGHTS_ONLY).removeprefix("; ")


def differences(table: Table) -> Grid | None:
    """Paired differences from the baseline, a line a row and setting."""
    found = difference_rows(table, new_classes=True)
    if not found:
        return None
    floors = {row.name for row in table.rows if row.floor}
    values = {
        (row.name, str(spec)): cell.compared.found.difference.mean
        for row in table.rows
        for spec, cell in row.cells.items()
        if cell.compared is not None
    }
    lines = []
    for line in found:
        cells = []
        for name, text in line.items():
            sort = f"{values[line['method'], line['setting']]:.9f}" if name == "difference" else _sorted_as(name, text)
            cells.append(Cell(text.strip("*"), sort, strong=text.startswith("**")))
        lines.append(Line(cells, line["method"] in floors))
    return Grid("differences", f"Differences from {table.baseline}", _columns(found), lines)


def published(rows: Sequence[Mapping[str, str]]) -> Grid | None:
    """Published numbers beside measured ones."""
    if not rows:
        return None
    return Grid("published", "Published numbers", _columns(rows), [_line(row) for row in rows])


def cost(table: Table) -> Grid:
    """What each row cost, with its preset."""
    rows = [{"method": row.name, "preset": preset(row) if row.preset else "-", **costs(row)} for row in ranked(table)]
    return Grid("cost", "Cost of one seed", _columns(rows), [_line(row) for row in rows])


def _columns(rows: Sequence[Mapping[str, str]]) -> list[Column]:
    return [Column(name, number=name not in TEXTS) for name in rows[0]]


def _line(row: Mapping[str, str]) -> Line:
    return Line([Cell(text, _sorted_as(name, text)) for name, text in row.items()])


def _sorted_as(name: str, text: str) -> str:
    """The number that a text begins with, as far as there is one: ``1,222 MiB`` sorts as 1222."""
    if name in TEXTS:
        return ""
    if text.startswith("<"):
        return "0"
    first = "".join(_number(text.replace(",", "")))
    return first if first not in ("", "-", "+") else ""


def _number(text: str) -> Iterable[str]:
    for character in text.lstrip("*"):
        if character not in "+-.0123456789":
            return
        yield character
