"""Which rows can be told apart: all pairs on the same open episodes, Holm over all of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, TypeVar

from harness.common.errors import RunsError
from harness.reports.model import TESTED_ON, Measured, Row, Setting, Standing
from harness.statistics.comparison import holm
from harness.statistics.tiers import letters, pair_p_values

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec

Column = TypeVar("Column", bound=Hashable)
LEVEL = 0.05


def table_standings(
    rows: Sequence[Row], measured: Mapping[str, Mapping[Setting, Measured]], identities: Mapping[str, Hashable]
) -> dict[EpisodeSpec, Standing]:
    """The standings in each setting of a table. Floors and failed rows stand nowhere; a stage under two names is one.

    Args:
        measured: row → setting → what it reached there.
        identities: row → what its numbers come from.
    """
    columns: dict[EpisodeSpec, dict[str, Measured]] = {}
    same: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    for row in rows:
        if row.floor or row.failure:
            continue
        same[row.name] = first.setdefault(identities[row.name], row.name)
        for (spec, target), reached in measured[row.name].items():
            if target == TESTED_ON and same[row.name] == row.name:
                columns.setdefault(spec, {})[row.name] = reached
    found = standings(columns)
    return {spec: _with_doubles(standing, same) for spec, standing in found.items()}


def _with_doubles(standing: Standing, same: Mapping[str, str]) -> Standing:
    """With the rows that are another one under a second name."""
    own = {name: standing.letters[first] for name, first in same.items() if first in standing.letters}
    like = {name for name, first in same.items() if first in standing.like_best}
    return Standing(own, frozenset(like), standing.n_tests)


def standings(columns: Mapping[Column, Mapping[str, Measured]]) -> dict[Column, Standing]:
    """The standing of rows in each column, p-values adjusted over the pairs of all columns.

    Args:
        columns: column → row → what it reached on open episodes, the same for all rows of the column.
    Raises:
        RunsError: they are not the same.
    """
    tests: dict[tuple[Column, str, str], float] = {}
    for column, by_row in columns.items():
        first = next(iter(by_row.values()))
        if any(one.fingerprint != first.fingerprint for one in by_row.values()):
            raise RunsError(f"{column}: rows met different episodes, so they cannot be compared")
        if any(one.accuracies.shape != first.accuracies.shape for one in by_row.values()):
            raise RunsError(f"{column}: rows have different numbers of seeds, so they cannot be compared in pairs")
        p_values = pair_p_values([one.accuracies for one in by_row.values()], first.classes, first.n_classes)
        for (one, other), p in zip(combinations(by_row, 2), p_values, strict=True):
            tests[column, one, other] = p
    adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
    result = {}
    for column, by_row in columns.items():
        order = sorted(by_row, key=lambda name: (-float(by_row[name].accuracies.mean()), name))
        apart = {frozenset(pair) for (at, *pair), p in adjusted.items() if at == column and p < LEVEL}
        of_row = dict(zip(order, letters(order, apart), strict=True))
        like = frozenset(name for name in order[1:] if frozenset((order[0], name)) not in apart)
        result[column] = Standing(of_row, like, len(tests))
    return result
