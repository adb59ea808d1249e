"""Methods over several datasets: mean ranks, and which of their differences are more than chance.

Source: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine Learning
Research 7. A dataset is one observation here, however many episodes it was measured on.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from harness.common.randomness import numpy_generator
from harness.statistics.intervals import LEVEL

N_PERMUTATIONS = 20_000
DIGITS = 12  # of accuracies: equal ones are to tie


def ranks(accuracies: np.ndarray) -> np.ndarray:
    """The ranks (D, M) of M methods on each of D datasets by accuracies (D, M): 1 the highest, ties their mean."""
    from scipy import stats

    return np.asarray(stats.rankdata(-np.round(np.asarray(accuracies, dtype=np.float64), DIGITS), axis=1))


def friedman_p(accuracies: np.ndarray) -> float:
    """The p-value of the null hypothesis that all methods are alike, from accuracies (D, M), by Friedman's statistic.

    Its distribution is that under permutations within datasets, 20,000 of them drawn from a fixed seed: χ² and F are
    approximations that few datasets do not bear (of two datasets that agree on three methods, F says p = 0; it is 1/6).

    Source: Friedman 1937, "The use of ranks to avoid the assumption of normality implicit in the analysis of variance",
        Journal of the American Statistical Association 32.
    """
    of_methods = ranks(accuracies)  # (D, M)
    n_datasets, n_methods = of_methods.shape
    if n_datasets < 2 or n_methods < 2:
        return 1.0
    generator = numpy_generator(0, "friedman")
    shuffled = np.zeros((N_PERMUTATIONS, n_methods))  # sums of ranks
    for of_dataset in of_methods:
        shuffled += generator.permuted(np.tile(of_dataset, (N_PERMUTATIONS, 1)), axis=1)
    spread = (shuffled**2).sum(axis=1)  # grows with the statistic; all else in it is the same for all permutations
    seen = (of_methods.sum(axis=0) ** 2).sum()
    return float((1 + (spread >= seen - 1e-9).sum()) / (1 + N_PERMUTATIONS))


def critical_difference(n_methods: int, n_datasets: int, level: float = LEVEL) -> float:
    """How far mean ranks of two methods must lie apart for Nemenyi's test, which accounts for all pairs, to see it.

    q √(M (M + 1) / 6D), with q the quantile of the studentised range over √2.
    """
    from scipy import stats

    if n_methods < 2 or n_datasets < 1:
        raise ValueError(f"a critical difference of {n_methods} method(s) over {n_datasets} dataset(s) says nothing")
    q = float(stats.studentized_range.isf(1 - level, n_methods, math.inf)) / math.sqrt(2)
    return q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets))


def wilcoxon_pairs(accuracies: np.ndarray) -> list[float]:
    """The exact p-value of Wilcoxon's signed-rank test over datasets, of each pair of columns of accuracies (D, M)."""
    columns = np.asarray(accuracies, dtype=np.float64).T
    return [exact_signed_rank_p(one - other) for one, other in combinations(columns, 2)]


def exact_signed_rank_p(differences: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test of differences (D,), given their ranks; 1 where all are ties.

    Zeros are ranked and then left out (Pratt 1959). All 2^n signs of the other ranks are counted, by adding one rank
    after the other to the distribution of their sum, so ties need no approximation.
    """
    from scipy import stats

    values = np.round(np.asarray(differences, dtype=np.float64), DIGITS)
    doubled = np.round(2 * stats.rankdata(np.abs(values))).astype(int)[values != 0]  # whole numbers, ties too
    if not len(doubled):
        return 1.0
    of_sums = np.ones(1)  # of_sums[s]: the probability that the positive ranks add up to s
    for rank in doubled:
        longer = np.zeros(len(of_sums) + rank)
        longer[: len(of_sums)] += of_sums / 2
        longer[rank:] += of_sums / 2
        of_sums = longer
    positive = int(doubled[values[values != 0] > 0].sum())
    lower = of_sums[: min(positive, int(doubled.sum()) - positive) + 1].sum()
    return min(1.0, 2 * float(lower))


def least_datasets(n_tests: int, level: float = LEVEL) -> int:
    """The fewest datasets with which the smallest of ``n_tests`` p-values by Holm can be below 1 - ``level`` at all.

    The exact signed-rank test of D datasets has no p-value below 2^(1 - D).
    """
    n = 1
    while n_tests * 2.0 ** (1 - n) >= 1 - level - 1e-12:
        n += 1
    return n
