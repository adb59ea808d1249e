"""What the predictions of queries say: accuracies by class, which classes are confused, where two rows part.

Notation: S seeds, E episodes, Q queries an episode, C classes of the split. Labels are classes of the split; -1 stands
where an episode has no such query.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.statistics.behrens_fisher import half_width
from harness.statistics.intervals import LEVEL

WORST_SHARE = 0.05  # of the episodes


@dataclass(frozen=True, eq=False)
class ClassAccuracies:
    """Of each class: how many of its queries got it, with a closed interval over the episodes that have the class."""

    accuracies: np.ndarray  # (C,) fractions; NaN of a class without queries
    half_widths: np.ndarray  # (C,) of 95 % intervals, about these weights; infinite of fewer than two episodes
    episodes: np.ndarray  # (C,) int64, that have queries of the class
    queries: np.ndarray  # (C,) int64, in these episodes, of one seed


def class_accuracies(true: np.ndarray, predicted: np.ndarray, n_classes: int, level: float = LEVEL) -> ClassAccuracies:
    """Accuracies by class of predictions (S, E, Q) of queries (E, Q).

    An episode is the unit, for its queries share a support: the estimate is the ratio of right queries to queries, its
    error that of a ratio (Cochran 1977, section 2.11), with Student's t. Of equally many queries an episode that is
    the plain t interval over episodes.
    """
    n_episodes = len(true)
    rows = np.broadcast_to(np.arange(n_episodes)[:, None], true.shape)
    there = true >= 0
    right = (predicted == true).mean(axis=0)  # (E, Q)
    queries, hits = np.zeros((2, n_episodes, n_classes))
    np.add.at(queries, (rows[there], true[there]), 1)
    np.add.at(hits, (rows[there], true[there]), right[there])
    total, episodes = queries.sum(axis=0), (queries > 0).sum(axis=0)
    accuracies = np.divide(hits.sum(axis=0), total, out=np.full(n_classes, np.nan), where=total > 0)
    residuals = np.square(hits - np.nan_to_num(accuracies) * queries).sum(axis=0)
    widths = np.full(n_classes, np.inf)
    for c in np.flatnonzero(episodes > 1):
        variance = residuals[c] * episodes[c] / (episodes[c] - 1) / total[c] ** 2
        widths[c] = half_width(((float(variance), float(episodes[c] - 1)),), level)
    return ClassAccuracies(accuracies, widths, episodes, total.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often queries of a class (rows) were taken for a class (columns), and how often they could have been."""

    counts: np.ndarray  # (C, C) int64, over all seeds
    met: np.ndarray  # (C, C) int64: queries of the row's class in episodes that have the column's class, over all seeds
    episodes: np.ndarray  # (C, C) int64: such episodes

    @property
    def rates(self) -> np.ndarray:
        """(C, C) counts / met: a class can be taken for another only where both are in the episode. NaN: never met.

        A row does not add up to 1, for its columns have other denominators. The diagonal has the class accuracies.
        """
        return np.divide(self.counts, self.met, out=np.full(self.met.shape, np.nan), where=self.met > 0)


def confusion(true: np.ndarray, predicted: np.ndarray, classes: np.ndarray, n_classes: int) -> Confusion:
    """The confusion of predictions (S, E, Q) of queries (E, Q) in episodes with these classes (E, n_way)."""
    n_episodes = len(true)
    there = true >= 0
    counts = np.zeros((n_classes, n_classes), np.int64)
    for of_seed in predicted:
        np.add.at(counts, (true[there], of_seed[there]), 1)
    rows = np.arange(n_episodes)[:, None]
    has, queries = np.zeros((2, n_episodes, n_classes), np.int64)
    known = classes >= 0
    has[np.broadcast_to(rows, classes.shape)[known], classes[known]] = 1
    np.add.at(queries, (np.broadcast_to(rows, true.shape)[there], true[there]), 1)
    return Confusion(counts, len(predicted) * (queries.T @ has), (queries > 0).astype(np.int64).T @ has)


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Where two rows answer differently, over seeds; counts as in McNemar's table.

    No p-value: queries of an episode are not independent of each other. The paired tests go by episodes.
    """

    by_episode: np.ndarray  # (E,) share of an episode's queries that the two take for different classes
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int


def disagreement(true: np.ndarray, first: np.ndarray, second: np.ndarray) -> Disagreement:
    """Of predictions (S, E, Q) of two rows, seed by seed, of the same queries (E, Q)."""
    there = true >= 0
    differs = ((first != second) & there).sum(axis=(0, 2)) / (len(first) * there.sum(axis=1))
    one, other = (first == true)[:, there], (second == true)[:, there]
    return Disagreement(
        differs,
        int((one & other).sum()),
        int((one & ~other).sum()),
        int((~one & other).sum()),
        int((~one & ~other).sum()),
    )


def worst_mean(accuracies: np.ndarray, share: float = WORST_SHARE) -> tuple[float, int]:
    """The mean of the worst ``share`` of a seed's episodes, averaged over seeds (S, E), and how many these are."""
    n_worst = max(1, math.ceil(round(share * accuracies.shape[1], 9)))
    return float(np.sort(accuracies, axis=1)[:, :n_worst].mean()), n_worst
