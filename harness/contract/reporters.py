"""What a report format is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReporterSpec:
    """A way of writing a report down. ``render`` takes a harness.reports.Report and returns text."""

    name: str
    title: str
    render: Callable[[Any], str]
    suffixes: Iterable[str] = ()  # file endings that choose it: ".md"
    options: Iterable[str] = ()  # fields of ``report.view`` that it honours: "columns"; the rest are refused
