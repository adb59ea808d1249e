"""How many episodes and seeds does it take to see a difference of a given size?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.statistics.comparison import paired_differences
from harness.statistics.intervals import LEAST_DF, LEAST_SEEDS, LEVEL, checked, class_effects, satterthwaite

MOST_EPISODES = 1_000_000


@dataclass(frozen=True)
class PairedVariances:
    """What makes a difference between two methods uncertain, as variances of fractions."""

    episode: float  # of an episode's difference, for one seed, class effects taken out
    seed: float | None  # of a seed's true difference; None where fewer than two seeds were run
    n_effects: int = 1  # degrees of freedom that the class effects take: the classes of the split
    plain: float | None = None  # as ``episode`` with class effects left in; None: the same


@dataclass(frozen=True)
class Requirement:
    """What resolves a difference with the power asked for."""

    n_seeds: int
    n_episodes: int | None  # None: no number of episodes is enough, more seeds are needed
    claim: str  # "these weights" under three seeds, else "these methods"


def paired_variances(row: np.ndarray, baseline: np.ndarray, classes: np.ndarray, n_classes: int) -> PairedVariances:
    """The variances of row minus baseline, accuracies (E,) or (S, E) on open episodes of classes (E, n_way)."""
    differences = paired_differences(row, baseline)  # (S, E)
    within = []
    for of_seed in differences:
        effects = class_effects(checked(of_seed), classes, n_classes)
        within.append(effects.residual_variance if effects else float(of_seed.var(ddof=1)))
    episode, plain = float(np.mean(within)), float(differences.var(axis=1, ddof=1).mean())
    if len(differences) < 2:
        return PairedVariances(episode, None, n_classes, plain)
    # Episodes are the same for all seeds, so only what a seed does to single episodes adds to the scatter of its mean.
    single = (
        (differences - differences.mean(axis=0)).var(axis=1, ddof=1).mean() * len(differences) / (len(differences) - 1)
    )
    between = differences.mean(axis=1).var(ddof=1) - single / differences.shape[1]
    return PairedVariances(episode, max(0.0, float(between)), n_classes, plain)


def power(difference: float, variances: PairedVariances, n_episodes: int, n_seeds: int, level: float = LEVEL) -> float:
    """The probability that the paired t-test sees a true ``difference`` (a fraction), from the noncentral t."""
    from scipy import stats

    of_episodes, df_episodes = variances.episode / n_episodes, n_episodes - variances.n_effects
    if df_episodes < LEAST_DF and variances.plain is not None:  # then the test leaves class effects in
        of_episodes, df_episodes = variances.plain / n_episodes, n_episodes - 1
    of_seeds = (variances.seed or 0.0) / n_seeds if n_seeds >= LEAST_SEEDS else 0.0
    df = satterthwaite((of_episodes, df_episodes), *([(of_seeds, n_seeds - 1)] if of_seeds else []))
    if df <= 0:
        return 0.0
    error = math.sqrt(of_episodes + of_seeds)
    if error == 0:
        return 1.0 if difference else 1 - level
    critical, shift = stats.t.ppf((1 + level) / 2, df), abs(difference) / error
    tails = [stats.nct.sf(critical, df, shift), stats.nct.cdf(-critical, df, shift)]
    if np.isnan(tails).any():  # scipy's series gives up where next to nothing lies below the critical value
        return 1.0 if shift > critical else 0.0
    return float(sum(tails))


def required(
    difference: float,
    variances: PairedVariances,
    n_seeds: Sequence[int] = (1, 3, 5, 10),
    goal: float = 0.8,
    level: float = LEVEL,
) -> list[Requirement]:
    """The fewest episodes that resolve ``difference`` with power ``goal``, for each number of seeds.

    Where no seeds were compared (``variances.seed`` is None) only claims about these weights can be planned.
    """
    if not difference > 0:
        raise ValueError(f"the difference to resolve is {difference}; it must be above 0")
    found = []
    for seeds in n_seeds:
        if seeds >= LEAST_SEEDS and variances.seed is None:
            continue
        claim = "these methods" if seeds >= LEAST_SEEDS else "these weights"
        found.append(Requirement(seeds, _fewest_episodes(difference, variances, seeds, goal, level), claim))
    return found


def _fewest_episodes(
    difference: float, variances: PairedVariances, n_seeds: int, goal: float, level: float
) -> int | None:
    def enough(n: int) -> bool:
        return power(difference, variances, n, n_seeds, level) >= goal

    most = 2
    while not enough(most):
        most *= 2
        if most > MOST_EPISODES:
            return None
    least = most // 2  # not enough, or 1
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most
