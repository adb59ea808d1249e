"""Rows against a baseline: paired differences, p-values by themselves and adjusted for all the tests of a table."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
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
    identities: Mapping[str, Hashable],
    equivalent: float | None = None,
) -> list[Row]:
    """The rows with their paired differences from the baseline, p-values also by Holm over the tests of the table.

    Args:
        measured: row → setting → what it reached there.
        identities: row → what its numbers come from; rows that share it are one row under several names.
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
    comparisons: dict[tuple[str, EpisodeSpec], Comparison] = {}
    for row in rows:
        if row.name == baseline or row.failure:
            continue
        if row.seeds != by_name[baseline].seeds:
            raise RunsError(f"{row.name} has seeds {row.seeds}, {baseline} has {by_name[baseline].seeds}: not paired")
        for (spec, target), reached in measured[row.name].items():
            reference = measured[baseline].get((spec, target))  # None: episodes that only some rows meet
            if target == TESTED_ON and reference is not None:
                comparisons[row.name, spec] = paired(reached, reference, target)
    adjusted = _adjusted(comparisons, by_name, baseline, identities, equivalent)
    return [
        replace(
            row,
            cells={spec: replace(cell, compared=adjusted.get((row.name, spec))) for spec, cell in row.cells.items()},
        )
        for row in rows
    ]


Test = tuple[Hashable, EpisodeSpec]


def _adjusted(
    comparisons: Mapping[tuple[str, EpisodeSpec], Comparison],
    rows: Mapping[str, Row],
    baseline: str,
    identities: Mapping[str, Hashable],
    equivalent: float | None,
) -> dict[tuple[str, EpisodeSpec], Compared]:
    """The comparisons with p-values by Holm over all of them: each once, without floors and the baseline itself.

    Each kind of test is a family of its own.
    """
    tests: dict[Test, Comparison] = {}
    for (name, spec), comparison in comparisons.items():
        if not rows[name].floor and identities[name] != identities[baseline]:
            tests.setdefault((identities[name], spec), comparison)

    def by_holm(p_of: Callable[[Comparison], float]) -> dict[Test, float]:
        return dict(zip(tests, holm([p_of(test) for test in tests.values()]), strict=True))

    t_p = by_holm(lambda test: test.t_p)
    wilcoxon_p = by_holm(lambda test: test.wilcoxon_p)
    class_p = by_holm(lambda test: test.new_classes.p_value if test.new_classes else 1.0)
    margin = None if equivalent is None else equivalent / 100
    tost_p = {} if margin is None else by_holm(lambda test: equivalence_p(test.difference, margin))
    compared_rows = {}
    for (name, spec), comparison in comparisons.items():
        test = identities[name], spec
        row = Compared(comparison, t_p.get(test), wilcoxon_p.get(test), class_p.get(test))
        if margin is not None:
            row = replace(row, equivalence=_equivalence(row, margin, tost_p.get(test)))
        compared_rows[name, spec] = row
    return compared_rows


def _equivalence(row: Compared, margin: float, holm_p: float | None) -> Equivalence:
    """What a row is to the baseline within ``margin``; by the raw p-values where it is no test of the table's."""
    p = equivalence_p(row.found.difference, margin)
    of_difference = row.found.t_p if row.holm_t_p is None else row.holm_t_p
    return Equivalence(
        margin, p, holm_p, relation(row.found.difference.mean, of_difference, p if holm_p is None else holm_p)
    )


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
