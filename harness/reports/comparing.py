"""Rows against a baseline: paired differences, p-values adjusted for all the comparisons of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.common.errors import RunsError, UnknownName
from harness.contract.episodes import EpisodeSpec, Target
from harness.reports.model import TESTED_ON, Compared, Measured, Row, Setting
from harness.statistics.comparison import Comparison, compare, holm


def compared(rows: Sequence[Row], measured: Mapping[str, Mapping[Setting, Measured]], baseline: str) -> list[Row]:
    """The rows with their paired differences from the baseline, p-values by Holm over all rows and settings.

    Args:
        measured: row → setting → what it reached there.
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
    t_p = holm([comparison.t_p for comparison in found.values()])
    wilcoxon_p = holm([comparison.wilcoxon_p for comparison in found.values()])
    adjusted = {
        where: Compared(comparison, t, w)
        for (where, comparison), t, w in zip(found.items(), t_p, wilcoxon_p, strict=True)
    }
    return [
        replace(
            row,
            cells={spec: replace(cell, compared=adjusted.get((row.name, spec))) for spec, cell in row.cells.items()},
        )
        for row in rows
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
