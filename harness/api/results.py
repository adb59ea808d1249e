"""The results of a bench: as a page in a notebook, as text, and as frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from harness.catalogue.catalogue import Catalogue
    from harness.reports.model import Report
    from harness.runs.records import BenchRecord


@dataclass(frozen=True, eq=False)
class Results:
    """What a bench found. In a notebook it shows itself as its tables; ``str`` of it is the markdown report."""

    folder: Path
    record: BenchRecord
    report: Report
    catalogue: Catalogue

    def __str__(self) -> str:
        return self.render("markdown")

    def __repr__(self) -> str:
        rows = sum(len(table.rows) for table in self.report.tables)
        return f"<bench {self.record.id}: {', '.join(self.record.plan.dataset)}, {rows} rows, kept in {self.folder}>"

    def _repr_html_(self) -> str:
        from harness.reports.formats.notebook import notebook

        return notebook(self.report)

    @property
    def frame(self) -> pd.DataFrame:
        """A line for each row of the table, setting and interval: see ``harness.load_results``."""
        from harness.reports.formats.values import frame

        return frame(self.report)

    @property
    def failures(self) -> dict[str, str]:
        """Row → why it failed, of those that did."""
        return {row.name: row.failure for table in self.report.tables for row in table.rows if row.failure}

    def compared_with(self, baseline: str, equivalent: float | None = None) -> Results:
        """These results with paired differences from a row; arguments as of ``harness report``.

        Raises:
            UnknownName: there is no such row.
        """
        from harness.reports.build import build_report

        built = build_report([(self.folder, self.record)], baseline=baseline, equivalent=equivalent)
        return Results(self.folder, self.record, built, self.catalogue)

    def render(self, format_: str) -> str:
        """The report as text: markdown, csv, json, latex, html, or a format that a plugin adds.

        Raises:
            UnknownName: there is no such format.
        """
        return str(self.catalogue.reporter(format_).render(self.report))

    def save(self, path: str | Path) -> None:
        """Write the report to a file, whose ending chooses the format: .md, .csv, .json, .tex or .html.

        Raises:
            HarnessError: the ending is of no format, or the file cannot be written.
        """
        from harness.common.errors import HarnessError
        from harness.common.files import write_text
        from harness.reports import format_of

        path = Path(path)
        text = self.render(format_of(path, self.catalogue.reporters))
        try:
            write_text(path, text)
        except OSError as error:
            raise HarnessError(f"cannot write {path}: {error.strerror}") from None


def results_of(folder: Path, record: BenchRecord, catalogue: Catalogue, **about: Any) -> Results:
    """The results of a recorded bench; ``about`` is handed to ``build_report``."""
    from harness.reports.build import build_report

    return Results(folder, record, build_report([(folder, record)], **about), catalogue)
