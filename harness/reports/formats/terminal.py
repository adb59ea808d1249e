"""The report for a terminal of a certain width: columns that do not fit are left out, and the lines say which."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from harness.reports.formats.conditions import conditions
from harness.reports.formats.differences import about_differences, difference_rows
from harness.reports.formats.markdown import (
    ABOUT_PUBLISHED,
    ABOUT_SEEDS,
    alignment,
    main_rows,
    mark_notes,
    published_rows,
    seed_rows,
    title,
)

if TYPE_CHECKING:
    from harness.reports.model import Report, Table, View

# The columns that go first where there is no room.
DISPENSABLE = (
    "memory",
    "TFLOP",
    "images seen",
    "p (Wilcoxon, Holm)",
    "p (Wilcoxon)",
    "backbone",
    "head",
    "win / tie / loss",
    "source",
    "training",
    "p (t)",
)


def fitting(report: Report, width: int) -> str:
    """A table a dataset in lines of at most ``width`` characters, with the differences and conditions below it.

    A table whose last columns do not fit either is cut by the terminal: names of methods and accuracies stay.
    """
    return "\n\n".join(_section(table, report.view, width) for table in report.tables) + "\n"


def _section(table: Table, view: View, width: int) -> str:
    parts = [title(table), _grid(main_rows(table, view), width)]
    parts += [ABOUT_SEEDS, _grid(seed_rows(table, view), width)] if view.per_seed else []
    lines = [f"{row.name} failed: {row.failure}" for row in table.rows if row.failure] + mark_notes(table)
    parts += [_paragraph(line, width) for line in lines]
    if table.baseline:
        about = _paragraph(about_differences(table), width)
        parts += [about, _grid(difference_rows(table, digits=view.precision), width)]
    if verdicts := published_rows(table):
        parts += [_paragraph(ABOUT_PUBLISHED, width), _grid(verdicts, width)]
    parts.append("\n".join(_paragraph(f"- {line}", width) for line in conditions(table, view)))
    return "\n\n".join(filter(None, parts))


def _grid(rows: Sequence[Mapping[str, str]], width: int) -> str:
    if not rows:
        return ""
    shown = [{name: text.replace("**", "*") for name, text in row.items()} for row in rows]
    left_out: list[str] = []
    for name in ("", *DISPENSABLE):
        if name in shown[0]:
            shown = [{key: text for key, text in row.items() if key != name} for row in shown]
            left_out.append(name)
        text = tabulate(shown, headers="keys", tablefmt="simple", colalign=alignment(shown), disable_numparse=True)
        if max(map(len, text.splitlines())) <= width:
            break
    without = f"(without {', '.join(left_out)}, for want of room)"
    return f"{text}\n{_paragraph(without, width)}" if left_out else text


def _paragraph(text: str, width: int) -> str:
    text = text.replace("; bold: ", "; between stars: ").replace("Bold where", "Between stars where")
    return textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
