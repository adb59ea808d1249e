"""The images of a report's tables, for the page that shows episodes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Split
    from harness.reports.model import Report, Table


def with_images(report: Report, catalogue: Catalogue, root: Path) -> Report:
    """The report, whose tables can open the split that they were scored on, where it is on this machine."""
    return replace(
        report, tables=[replace(table, images=partial(_open, table, catalogue, root)) for table in report.tables]
    )


def _open(table: Table, catalogue: Catalogue, root: Path) -> Split | None:
    from harness.bench.table import data_source
    from harness.common.errors import HarnessError

    source = data_source(table.plan, table.dataset.partition(" → ")[0], root)
    try:
        return source.scored(source.open(catalogue))
    except (HarnessError, OSError):  # the page says that they are not here
        return None
