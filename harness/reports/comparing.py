"""Rows against a baseline: paired differences, p-values adjusted for all the comparisons of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.common.errors import RunsError, UnknownName
from harness.contract.episodes import EpisodeSpec, Target
from harness.reports.model import TESTED_ON, Compared, Measured, Row, Setting
from harness.statistics.comparison import Comparison, compare, holm
from harness.statistics.equivalence import Equivalence, equivalence_p, relation


def compared(
    rows: Sequence[Row],
    measured: Mapping[str, Mapping[Setting, Measured]],
    baseline: str,
    equivalent: float | None = None,
) -> list[Row]:
    """The rows with their paired differences from the baseline, p-values by Holm over all rows and settings.

    Args:
        measured: row → setting → what it reached there.
        equivalent: accuracy points within which a row is practically equal to the baseline.
    Raises:
        UnknownName: no row has the baseline's name.
        RunsError: the baseline met other episodes or seeds than a row.
    """
    by_name = {row.name: row for row in rows}
    if baseline not in by_name:
        raise UnknownName("row for the baseline", baseline, by_name, "Rows")
    if by_name[baseline].failure:
        return list(rows)  # its own row says why
    found: dict[tuple[str, EpisodeSpec], Comparison] = {}
    for row in rows:
        if row.name == baseline or row.failure:
            continue
        if row.seeds != by_name[baseline].seeds:
            raise RunsError(f"{row.name} has seeds {row.seeds}, {baseline} has {by_name[baseline].seeds}: not paired")
        for (spec, target), own in measured[row.name].items():
            reference = measured[baseline].get((spec, target))  # None: episodes that only some rows meet
            if target == TESTED_ON and reference is not None:
                found[row.name, spec] = paired(own, reference, target)
    adjusted = dict(zip(found, _adjusted(list(found.values()), equivalent), strict=True))
    return [
        replace(
            row,
            cells={spec: replace(cell, compared=adjusted.get((row.name, spec))) for spec, cell in row.cells.items()},
        )
        for row in rows
    ]


def _adjusted(comparisons: Sequence[Comparison], equivalent: float | None) -> list[Compared]:
    """The comparisons with their p-values adjusted for each other, each kind of test a family of its own."""
    t_p = holm([comparison.t_p for comparison in comparisons])
    wilcoxon_p = holm([comparison.wilcoxon_p for comparison in comparisons])
    class_p = holm([comparison.new_classes.p_value if comparison.new_classes else 1.0 for comparison in comparisons])
    adjusted = [Compared(*values) for values in zip(comparisons, t_p, wilcoxon_p, class_p, strict=True)]
    if equivalent is None:
        return adjusted
    margin = equivalent / 100
    raw = [equivalence_p(comparison.difference, margin) for comparison in comparisons]
    return [
        replace(
            one, equivalence=Equivalence(margin, p, holm_p, relation(one.found.difference.mean, one.holm_t_p, holm_p))
        )
        for one, p, holm_p in zip(adjusted, raw, holm(raw), strict=True)
    ]


def paired(row: Measured, baseline: Measured, target: Target) -> Comparison:
    """The comparison of two measurements on the same episodes.

    Raises:
        RunsError: they are not of the same episodes.
    """
    if row.fingerprint != baseline.fingerprint:
        raise RunsError(
            f"episodes {row.fingerprint[:12]} and {baseline.fingerprint[:12]} differ, so their rows cannot be paired: "
            "score both with the same data, episode seed, way, shots, queries and number of episodes"
        )
    return compare(row.accuracies, baseline.accuracies, row.classes, row.n_classes, target)
