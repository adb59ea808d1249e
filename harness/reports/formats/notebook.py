"""The report as a fragment of html for a notebook: its tables and conditions, and nothing that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from harness.reports.formats.conditions import conditions
from harness.reports.formats.differences import about_differences, difference_rows
from harness.reports.formats.markdown import WORDS, main_rows, mark_notes, title

if TYPE_CHECKING:
    from harness.reports.model import Report, Table


def notebook(report: Report) -> str:
    """A table a dataset; what the numbers hold under is folded away below each."""
    return "\n".join(_section(table) for table in report.tables)


def _section(table: Table) -> str:
    parts = [f"<h4>{escape(title(table))}</h4>", _grid(main_rows(table))]
    lines = [f"{row.name} failed: {row.failure}" for row in table.rows if row.failure] + mark_notes(table)
    parts += [f"<p>{escape(line)}</p>" for line in lines]
    if table.baseline:
        parts.append(f"<p>{escape(about_differences(table))}</p>")
        parts.append(_grid(difference_rows(table)))
    held = "".join(f"<li>{escape(line)}</li>" for line in conditions(table))
    parts.append(f"<details><summary>what these numbers hold under</summary><ul>{held}</ul></details>")
    return "\n".join(parts)


def _grid(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    heads = "".join(f'<th style="text-align: {_side(name)}">{escape(name)}</th>' for name in rows[0])
    lines = []
    for row in rows:
        cells = (f'<td style="text-align: {_side(name)}">{_cell(text)}</td>' for name, text in row.items())
        lines.append("".join(cells))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    bold = text.startswith("**") and text.endswith("**") and len(text) > 4
    return f"<b>{escape(text[2:-2])}</b>" if bold else escape(text)


def _side(name: str) -> str:
    return "left" if name in WORDS else "right"
