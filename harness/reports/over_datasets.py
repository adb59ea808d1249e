"""What holds over datasets: mean ranks with their differences, and how probable one method is better on the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from harness.statistics.comparison import holm
from harness.statistics.ranking import critical_difference, friedman_p, least_datasets, ranks, wilcoxon_pairs
from harness.statistics.signed_ranks import Posterior, bayesian_signed_ranks
from harness.statistics.tiers import letters

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.reports.places import Column, Line

LEVEL = 0.05


@dataclass(frozen=True)
class OverDatasets:
    """One setting over all datasets of a leaderboard. Without ``mean_ranks`` nothing can be said, and why."""

    spec: EpisodeSpec
    datasets: Sequence[str]
    mean_ranks: Mapping[str, float] = field(default_factory=dict)  # row → mean rank, the best first
    letters: Mapping[str, str] = field(default_factory=dict)  # tiers by Wilcoxon's tests with Holm's correction
    friedman_p: float | None = None
    critical_difference: float | None = None  # of mean ranks, Nemenyi
    posteriors: Mapping[str, Posterior] = field(default_factory=dict)  # row → against the first row
    notes: Sequence[str] = ()  # what cannot be concluded, and what was left out


def over_datasets(
    spec: EpisodeSpec, lines: Sequence[Line], columns: Mapping[str, Column], margin: float
) -> OverDatasets:
    """The analysis of one setting: a dataset counts once, and methods that have all of them count.

    Args:
        margin: of practical equivalence on a dataset, a fraction.
    """
    chosen: dict[str, str] = {}  # dataset → its column
    for name, column in columns.items():
        earlier = chosen.get(column.dataset)
        if column.spec == spec and (earlier is None or _n_rows(lines, name) > _n_rows(lines, earlier)):
            chosen[column.dataset] = name
    methods = [line for line in lines if not line.floor and all(name in line.places for name in chosen.values())]
    left_out = [line.name for line in lines if not line.floor and line not in methods]
    notes = [f"left out, since they have not all {len(chosen)} datasets: {', '.join(left_out)}"] if left_out else []
    if len(chosen) < 2 or len(methods) < 2:
        reason = "one dataset says nothing about others" if len(chosen) < 2 else "fewer than two rows have all datasets"
        return OverDatasets(spec, list(chosen), notes=[f"no ranks: {reason}", *notes])
    accuracies = np.array([[_mean(line, name) for line in methods] for name in chosen.values()])  # (D, M)
    mean = ranks(accuracies).mean(axis=0)
    order = sorted(range(len(methods)), key=lambda i: (mean[i], methods[i].name))
    names = [methods[i].name for i in order]
    accuracies = accuracies[:, order]
    pairs = list(combinations(names, 2))
    adjusted = holm(wilcoxon_pairs(accuracies))
    apart = {frozenset(pair) for pair, p in zip(pairs, adjusted, strict=True) if p < LEVEL}
    least = least_datasets(len(pairs))
    if len(chosen) < least:
        notes.insert(
            0,
            f"{len(chosen)} datasets cannot tell any two of {len(names)} rows apart at 5 %: that takes {least} at "
            f"least (Wilcoxon's test has no p below {2.0 ** (1 - len(chosen)):.3g}, Holm over {len(pairs)} pairs). "
            "That rows share a letter is no sign that they are equal",
        )
    return OverDatasets(
        spec,
        list(chosen),
        {name: float(mean[i]) for name, i in zip(names, order, strict=True)},
        dict(zip(names, letters(names, apart), strict=True)),
        friedman_p(accuracies),
        critical_difference(len(names), len(chosen)),
        {
            name: bayesian_signed_ranks(accuracies[:, i] - accuracies[:, 0], margin)
            for i, name in enumerate(names)
            if i > 0
        },
        notes,
    )


def _n_rows(lines: Sequence[Line], column: str) -> int:
    return sum(column in line.places for line in lines)


def _mean(line: Line, column: str) -> float:
    return line.places[column].interval.mean
