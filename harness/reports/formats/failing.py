"""Where methods fail, as a table under the comparison table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.reports.model import Failures, Table

ABOUT_FAILURES = (
    "Where they fail, on closed episodes: the mean accuracy of the worst 5 % of episodes (of each seed, averaged over "
    "seeds), and the classes that are most often taken for another, in percent of their queries in episodes that have "
    "both (pairs that met in 10 episodes or more):"
)


def failure_rows(table: Table, digits: int = 2) -> list[dict[str, str]]:
    """A line a row and setting; empty where nobody asked."""
    return [
        {
            "method": row.name,
            "setting": str(spec),
            "mean": f"{100 * cell.intervals['closed'].mean:.{digits}f}",
            "worst 5 %": f"{100 * cell.failures.worst:.{digits}f}",
            "confused": _pairs(cell.failures),
        }
        for row in table.rows
        for spec, cell in row.cells.items()
        if cell.failures is not None
    ]


def _pairs(failures: Failures) -> str:
    pairs = (f"{pair.true} → {pair.taken_for} {100 * pair.rate:.0f} %" for pair in failures.confused)
    return "; ".join(pairs) or "-"
