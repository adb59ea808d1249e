"""Is one row better than another? Paired tests on the same episodes, and Holm's correction over all that were made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.statistics.behrens_fisher import MOST_DF, Part, two_sided_p
from harness.statistics.class_effects import class_effects
from harness.statistics.intervals import LEAST_SEEDS, LEVEL, Interval, checked, interval

if TYPE_CHECKING:
    from harness.contract.episodes import Target


@dataclass(frozen=True)
class Comparison:
    """One row against a baseline on the same episodes."""

    target: Target  # of the episodes; of closed ones every p-value is about this test set only
    difference: Interval  # row minus baseline, a fraction; named after ``target``
    t_p: float  # paired t-test, two-sided: the one that agrees with ``difference``
    wilcoxon_p: float  # signed-rank test, two-sided, about the same truth; of open episodes without class effects
    wins: int  # episodes in which the row is the better one
    ties: int
    losses: int
    new_classes: Interval | None = None  # row minus baseline as a claim about new classes; None: of closed episodes

    @property
    def claim(self) -> str:
        """What a small p-value would be evidence about."""
        return "new images of these classes" if self.target == "open" else "this test set only"


def compare(
    row: np.ndarray,
    baseline: np.ndarray,
    classes: np.ndarray,
    n_classes: int,
    target: Target,
    level: float = LEVEL,
) -> Comparison:
    """Row minus baseline, paired by episode and by seed.

    Args:
        row, baseline: accuracies (E,) or (S, E), of the same seeds and episodes.
        classes: (E, n_way), which classes an episode has.
        n_classes: how many the split has.
        target: of the episodes: what the difference is a claim about.
    Raises:
        ValueError: the shapes differ, or an accuracy is NaN.
    """
    differences = paired_differences(row, baseline)  # (S, E)
    difference = interval(target, differences, classes, n_classes, level)
    by_episode = checked(np.round(differences.mean(axis=0), 12))  # (E,)
    wins, losses = int((by_episode > 0).sum()), int((by_episode < 0).sum())
    ties = len(by_episode) - wins - losses
    effects = class_effects(by_episode, classes, n_classes) if target == "open" else None
    ranked = by_episode if effects is None else np.round(effects.adjusted, 12)
    ranks_p = signed_rank_p(ranked)
    if len(differences) >= LEAST_SEEDS and difference.parts:
        of_mean = effects.variance if effects else float(ranked.var(ddof=1)) / len(ranked)
        ranks_p = _over_seeds(ranks_p, ranked, difference.parts, of_mean)
    new_classes = interval("class", differences, classes, n_classes, level) if target == "open" else None
    return Comparison(target, difference, difference.p_value, ranks_p, wins, ties, losses, new_classes)


def _over_seeds(p_value: float, values: np.ndarray, parts: Sequence[Part], of_mean: float) -> float:
    """The p-value of a signed-rank test of values (E,), averaged over seeds, as a claim about all seeds.

    The test's z is its estimate, Hodges and Lehmann's median of pairwise means, over that estimate's standard error.
    To the square of this error the seeds' part is added, as in the t-test.

    Args:
        parts: of the squared standard error of the mean, that of seeds and that of episodes alone.
        of_mean: variance of the mean of these values.
    """
    from scipy import special

    pairs = np.triu_indices(len(values))
    estimate = abs(float(np.median(values[pairs[0]] + values[pairs[1]]))) / 2
    z = -float(special.ndtri(p_value / 2))
    if z == 0 or estimate == 0:
        return 1.0
    (of_seeds, df), (of_episodes, _) = parts
    of_ranks = (estimate / z) ** 2 * (of_episodes / of_mean if of_mean else 0.0)
    return two_sided_p(estimate, ((of_seeds, df), (of_ranks, MOST_DF)))


def paired_differences(row: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Row minus baseline, (S, E), rounded to 12 digits so that equal differences are equal, and ties ties.

    Raises:
        ValueError: the shapes differ.
    """
    first, second = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (row, baseline))
    if first.shape != second.shape:
        raise ValueError(f"accuracies (seeds, episodes) of shapes {first.shape} and {second.shape} cannot be paired")
    return np.round(first - second, 12)


def signed_rank_p(differences: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test of differences (E,); 1 where all are ties.

    Ties are ranked and then left out (Pratt 1959), and the normal approximation is used, for accuracies are multiples
    of one over the number of queries and so have many ties: ``scipy.stats.wilcoxon`` with ``"pratt"`` and
    ``"asymptotic"``, for a report over hundreds of rows a quarter faster than by importing and asking it.

    Source: Cureton 1967, "The normal approximation to the signed-rank sampling distribution when zero differences are
        present", Journal of the American Statistical Association 62.
    """
    from scipy import special

    if not np.any(differences):
        return 1.0
    sizes, which, counts = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]  # (E,), of equal sizes their mean
    n, n_ties = len(differences), int(counts[0]) if sizes[0] == 0 else 0
    tied = counts[1:] if n_ties else counts
    mean = (n * (n + 1) - n_ties * (n_ties + 1)) / 4
    variance = (n * (n + 1) * (2 * n + 1) - n_ties * (n_ties + 1) * (2 * n_ties + 1)) / 24
    variance -= float((tied * (tied**2 - 1.0)).sum()) / 48
    return float(2 * special.ndtr(-abs(ranks[differences > 0].sum() - mean) / math.sqrt(variance)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for having made all of these tests, in the order given.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    Raises:
        ValueError: one is NaN or not in 0..1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must be in 0..1, found {p[~((p >= 0) & (p <= 1))][0]}")
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    back = np.empty_like(adjusted)
    back[order] = adjusted
    return back.tolist()
