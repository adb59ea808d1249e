"""Reports for papers: booktabs tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from harness.reports.formats.conditions import conditions
from harness.reports.formats.markdown import (
    ABOUT_PUBLISHED,
    about_differences,
    alignment,
    difference_rows,
    main_rows,
    mark_notes,
    published_rows,
    title,
)

if TYPE_CHECKING:
    from harness.reports.model import Report, Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "<": "$<$",
    ">": "$>$",
}


def latex(report: Report) -> str:
    """The tables of each dataset, their conditions and failures as comments. Needs ``\\usepackage{booktabs}``."""
    return "\n".join(_section(table) for table in report.tables)


def _section(table: Table) -> str:
    comments = [
        title(table),
        *conditions(table),
        *(f"{row.name} failed: {row.failure}" for row in table.rows if row.failure),
    ]
    parts = [_comments(comments), _tabular(main_rows(table)), *map(_note, mark_notes(table))]
    if table.baseline:
        parts.append(_comments([about_differences(table)]))
        parts.append(_tabular(difference_rows(table)))
    if verdicts := published_rows(table):
        parts.append(_comments([ABOUT_PUBLISHED]))
        parts.append(_tabular(verdicts))
    return "".join(parts)


def _note(line: str) -> str:
    return f"\\par{{\\footnotesize {_escape(' '.join(line.split()))}}}\n"


def _comments(lines: Sequence[str]) -> str:
    return "".join(f"% {' '.join(line.split())}\n" for line in lines)


def _tabular(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    escaped = [{name: _escape(value) for name, value in row.items()} for row in rows]
    text = tabulate(escaped, headers="keys", tablefmt="latex_raw", colalign=alignment(rows), disable_numparse=True)
    rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
    lines = [next(rules) if line == "\\hline" else line for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _escape(text: str) -> str:
    if len(text) > 4 and text.startswith("**") and text.endswith("**"):
        return f"\\textbf{{{_escape(text[2:-2])}}}"
    sign = "$-$" if text[:1] == "-" and text[1:2].isdigit() else ""
    return sign + "".join(SPECIAL.get(character, character) for character in text[1 if sign else 0 :])
