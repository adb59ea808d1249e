"""Which rows of a table can be told apart: a test of every pair, and letters that say the result."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import combinations
from string import ascii_lowercase
from typing import TYPE_CHECKING

from harness.statistics.comparison import paired_differences
from harness.statistics.intervals import interval

if TYPE_CHECKING:
    import numpy as np


def pair_p_values(accuracies: Sequence[np.ndarray], classes: np.ndarray, n_classes: int) -> list[float]:
    """The p-value of the paired t-test of each pair of rows on open episodes, in the order of ``combinations``.

    Each is the test that ``compare`` makes; over three seeds or more it is a claim about these methods, else about
    these weights.

    Args:
        accuracies: of each row (S, E), of the same seeds and episodes.
        classes: (E, n_way), which classes an episode has.
        n_classes: how many the split has.
    Raises:
        ValueError: the shapes differ.
    """
    return [
        interval("open", paired_differences(one, other), classes, n_classes).p_value
        for one, other in combinations(accuracies, 2)
    ]


def letters(rows: Sequence[Hashable], apart: Collection[frozenset[Hashable]]) -> list[str]:
    """A string of letters for each row: two rows share a letter exactly where they are not told apart.

    By insertion and absorption: one group of all rows is split at each pair that is told apart, and a group that lies
    within another is dropped. Letters are given from the first row on.

    Args:
        rows: the best first.
        apart: the pairs that are told apart.
    Source: Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons", Journal of
        Computational and Graphical Statistics 13.
    """
    groups: list[frozenset[Hashable]] = [frozenset(rows)] if rows else []
    for one, other in combinations(rows, 2):
        if frozenset((one, other)) not in apart:
            continue
        split = [part for group in groups for part in _without_pair(group, one, other)]
        groups = [group for group in dict.fromkeys(split) if not any(group < larger for larger in split)]
    groups = _needed(groups)
    groups.sort(key=lambda group: sorted(i for i, row in enumerate(rows) if row in group))
    names = _names()
    named = [(group, next(names)) for group in groups]
    return ["".join(name for group, name in named if row in group) for row in rows]


def _without_pair(group: frozenset[Hashable], one: Hashable, other: Hashable) -> list[frozenset[Hashable]]:
    return [group - {one}, group - {other}] if one in group and other in group else [group]


def _needed(groups: list[frozenset[Hashable]]) -> list[frozenset[Hashable]]:
    """The groups without those whose every pair, and every row, stands in another group too."""
    kept = list(groups)
    for group in sorted(groups, key=len):
        others = [other for other in kept if other != group]
        pairs = [{one, other} for one in group for other in group]
        if all(any(pair <= other for other in others) for pair in pairs):
            kept = others
    return kept


def _names() -> Iterator[str]:
    """a to z, then a′ to z′, and so on."""
    primes = 0
    while True:
        yield from (letter + "′" * primes for letter in ascii_lowercase)
        primes += 1
