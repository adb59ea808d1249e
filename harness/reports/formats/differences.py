"""The table of paired differences from the baseline, and what it is about, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.reports.formats.conditions import counts
from harness.reports.model import TESTED_ON
from harness.reports.words import SIGNIFICANT, p_value, percent

if TYPE_CHECKING:
    from harness.reports.model import Table

ABOUT_NEW_CLASSES = "; new classes: the same difference and its t-test as a claim about classes that nobody has seen"


def difference_rows(table: Table, new_classes: bool = False, digits: int = 2) -> list[dict[str, str]]:
    """A line a row and setting: difference, its interval, p-values, wins, ties and losses.

    Args:
        new_classes: with the same difference as a claim about new classes.
    """
    lines = []
    for row in table.rows:
        for spec, cell in row.cells.items():
            if cell.compared is None:
                continue
            comparison = cell.compared.found
            text = percent(comparison.difference, "+", digits)
            holm_t_p = cell.compared.holm_t_p
            significant = holm_t_p is not None and holm_t_p < SIGNIFICANT
            equivalence, on_classes = cell.compared.equivalence, comparison.new_classes
            lines.append(
                {
                    "method": row.name,
                    "setting": str(spec),
                    "difference": f"**{text}**" if significant else text,
                    "p (t)": p_value(comparison.t_p),
                    "p (t, Holm)": p_value(holm_t_p),
                    "p (Wilcoxon)": p_value(comparison.wilcoxon_p),
                    "p (Wilcoxon, Holm)": p_value(cell.compared.holm_wilcoxon_p),
                    "win / tie / loss": f"{comparison.wins} / {comparison.ties} / {comparison.losses}",
                }
                | ({"p (TOST)": p_value(equivalence.holm_p), "relation": equivalence.relation} if equivalence else {})
                | (
                    {
                        "new classes": percent(on_classes, "+", digits),
                        "p (new classes)": p_value(cell.compared.holm_class_p),
                    }
                    if new_classes
                    else {}
                )
            )
    return lines


def about_differences(table: Table, new_classes: bool = False) -> str:
    """What the table of differences shows, or why there is none; ``new_classes`` as in ``difference_rows``."""
    baseline = next((row for row in table.rows if row.name == table.baseline), None)
    if baseline and baseline.failure:
        return f"No differences: the baseline {baseline.name} failed."
    if baseline and len(table.rows) == 1:
        return f"No differences: the baseline {baseline.name} is the only row."
    if not difference_rows(table):
        return "No differences: no other row is whole, or the test split has too few images for two open episodes."
    several = len(table.plan.seeds) >= 3
    claim = "these methods" if several else "these weights"
    return (
        f"Paired differences from {table.baseline}, in points, ± 95 % interval, on open episodes (no image twice: "
        f"{counts(table, TESTED_ON)}). They are about {claim} on new images of these classes. Intervals and p are "
        "of each test by itself (p (t) < 0.05 where its interval leaves 0 out); p (…, Holm) is adjusted for all tests "
        "of this table, each row and setting once, without floors and rows that are the baseline under another name. "
        f"Bold where p (t, Holm) < 0.05{_about_equivalence(table)}{ABOUT_NEW_CLASSES if new_classes else ''}:"
    )


def _about_equivalence(table: Table) -> str:
    if table.equivalent is None:
        return ""
    return (
        f"; practically equal where two one-sided tests (TOST) put the difference within ± {table.equivalent:g} points "
        "at p (TOST) < 0.05, else better or worse where p (t, Holm) < 0.05, else undecided (a row that has no p by "
        "Holm goes by its p alone)"
    )
