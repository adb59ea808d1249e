"""Reports: what a bench measured, for people and programs.

build.py, comparing.py, published.py ─ Report (model.py) ─► formats/, figures/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.common.errors import UnknownName
from harness.contract.reporters import ReporterSpec


def _import_when_called(module: str, function: str) -> Callable[[Any], str]:
    def render_report(report: Any) -> str:
        from importlib import import_module

        return getattr(import_module(f"harness.reports.formats.{module}"), function)(report)

    return render_report


_TABLE = ("columns", "precision", "interval", "mark", "per_seed")  # fields of View that a table for reading shows

SPECS = (
    ReporterSpec(
        "markdown",
        "tables for reading, with their conditions",
        _import_when_called("markdown", "markdown"),
        (".md", ".txt"),
        (*_TABLE, "failures"),
    ),
    ReporterSpec(
        "csv",
        "a line for each row, setting and interval",
        _import_when_called("values", "csv"),
        (".csv",),
        ("columns", "interval", "per_seed", "what"),
    ),
    ReporterSpec(
        "json", "everything, for programs", _import_when_called("values", "to_json"), (".json",), ("failures",)
    ),
    ReporterSpec(
        "latex",
        "booktabs tables for papers",
        _import_when_called("latex", "latex"),
        (".tex",),
        (*_TABLE, "numbers", "wide", "caption", "label"),
    ),
    ReporterSpec(
        "html", "one page with plots; needs fsl-harness[html]", _import_when_called("html", "html"), (".html", ".htm")
    ),
)


def format_of(path: Path, reporters: Mapping[str, ReporterSpec]) -> str:
    """The format that a file's ending asks for; markdown where it has none. Raises UnknownName for any other."""
    by_ending = {ending: reporter.name for reporter in reporters.values() for ending in reporter.suffixes}
    ending = path.suffix.lower()
    if ending and ending not in by_ending:
        raise UnknownName("ending of a report's file", ending, by_ending, "Endings (or say --format)")
    return by_ending.get(ending, "markdown")
