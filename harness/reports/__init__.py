"""Reports: what a bench found, for people and programs.

report.py, comparing.py, published.py ─ Report ─► table.py (markdown), values.py (csv, json), latex.py, html.py
                                                  with plots.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import UnknownName
from harness.contract.reporters import ReporterSpec

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.reports.model import Report

__all__ = ["SPECS", "Report", "format_of", "render"]


def __getattr__(name: str) -> Any:
    if name == "Report":
        from harness.reports import build as report

        return report.Report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _lazy(module: str, function: str) -> Callable[[Any], str]:
    def render_report(report: Any) -> str:
        from importlib import import_module

        return getattr(import_module(f"harness.reports.{module}"), function)(report)

    return render_report


SPECS = (
    ReporterSpec("markdown", "tables for reading, with their conditions", _lazy("table", "markdown"), (".md", ".txt")),
    ReporterSpec("csv", "a line for each row, setting and interval", _lazy("values", "csv"), (".csv",)),
    ReporterSpec("json", "everything, for programs", _lazy("values", "to_json"), (".json",)),
    ReporterSpec("latex", "booktabs tables", _lazy("latex", "latex"), (".tex",)),
    ReporterSpec("html", "one page with plots; needs fsl-harness[html]", _lazy("html", "html"), (".html", ".htm")),
)


def render(report: Report, format_name: str, catalogue: Catalogue) -> str:
    """The report as text in a format. Raises UnknownName where no reporter has that name."""
    return catalogue.reporter(format_name).render(report)


def format_of(path: Path, catalogue: Catalogue) -> str:
    """The format that a file's ending asks for; markdown where it has none. Raises UnknownName for any other."""
    by_ending = {ending: reporter.name for reporter in catalogue.reporters.values() for ending in reporter.suffixes}
    ending = path.suffix.lower()
    if ending and ending not in by_ending:
        raise UnknownName("ending of a report's file", ending, by_ending, "Endings (or say --format)")
    return by_ending.get(ending, "markdown")
