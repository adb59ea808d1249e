"""How many episodes and seeds does it take to see a difference of a given size?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from harness.statistics.behrens_fisher import critical_values
from harness.statistics.class_effects import LEAST_DF, class_effects
from harness.statistics.comparison import paired_differences
from harness.statistics.intervals import LEAST_DF_ONCE, LEAST_SEEDS, LEVEL

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

MOST_EPISODES = 1_000_000
N_SHARES = 17  # at which the critical value is computed; it is interpolated between them
N_SEEDS_NODES, N_EPISODES_NODES = 64, 24  # of the integrals over the variances that a test may meet


@dataclass(frozen=True)
class PairedVariances:
    """What makes a difference between two methods uncertain, as variances of fractions."""

    episode: float  # of an episode's difference, for one seed, class effects taken out
    seed: float | None  # of a seed's true difference; None where fewer than two seeds were run
    n_effects: int = 1  # degrees of freedom that the class effects take: the classes of the split
    plain: float | None = None  # as ``episode`` with class effects left in; None: the same
    single: float = 0.0  # the part of ``episode`` that a seed has alone, and other seeds have anew


@dataclass(frozen=True)
class Requirement:
    """What resolves a difference with the power asked for."""

    n_seeds: int
    n_episodes: int | None  # None: no number of episodes is enough, more seeds are needed
    claim: str  # "these weights" under three seeds, else "these methods"


def paired_variances(row: np.ndarray, baseline: np.ndarray, classes: np.ndarray, n_classes: int) -> PairedVariances:
    """The variances of row minus baseline, accuracies (E,) or (S, E) on open episodes of classes (E, n_way)."""
    differences = paired_differences(row, baseline)  # (S, E)
    n_seeds, n_episodes = differences.shape

    def scatter(values: np.ndarray) -> float:
        effects = class_effects(values, classes, n_classes)
        return effects.residual_variance if effects else float(values.var(ddof=1))

    episode = float(np.mean([scatter(of_seed) for of_seed in differences]))
    plain = float(differences.var(axis=1, ddof=1).mean())
    if n_seeds < 2:
        return PairedVariances(episode, None, n_classes, plain)
    deviations = differences - differences.mean(axis=0)  # each with 1 - 1/S of a seed's variance
    single = sum(scatter(of_seed) for of_seed in deviations) / (n_seeds - 1)
    # Episodes are the same for all seeds, so only what a seed does to single episodes adds to the scatter of its mean.
    between = float(differences.mean(axis=1).var(ddof=1)) - single / n_episodes
    return PairedVariances(episode, max(0.0, between), n_classes, plain, min(single, episode))


def power(difference: float, variances: PairedVariances, n_episodes: int, n_seeds: int, level: float = LEVEL) -> float:
    """The probability that the paired t-test of ``compare`` sees a true ``difference`` (a fraction)."""
    episode, df = variances.episode, n_episodes - variances.n_effects
    if df < LEAST_DF and variances.plain is not None:  # then the test leaves class effects in
        episode, df = variances.plain, n_episodes - 1
    if df <= 0:
        return 0.0
    common = (episode - variances.single) / n_episodes  # what an episode does to all seeds alike
    single = variances.single / n_episodes / n_seeds
    if n_seeds < LEAST_SEEDS:
        return _power_of_student(abs(difference), common + single, df, level)
    return _power_over_seeds(abs(difference), (variances.seed or 0.0) / n_seeds, single, common, n_seeds, df, level)


def _power_of_student(difference: float, variance: float, df: int, level: float) -> float:
    from scipy import stats

    if variance == 0:
        return 1.0 if difference else 1 - level
    critical, shift = stats.t.isf((1 - level) / 2, df), difference / math.sqrt(variance)
    tails = [stats.nct.sf(critical, df, shift), stats.nct.cdf(-critical, df, shift)]
    if np.isnan(tails).any():  # scipy's series gives up where next to nothing lies below the critical value
        return 1.0 if shift > critical else 0.0
    return float(sum(tails))


def _power_over_seeds(
    difference: float, seed: float, single: float, common: float, n_seeds: int, df: int, level: float
) -> float:
    """The same over seeds: an integral over both variances that the test may estimate, each a multiple of a χ².

    Args:
        seed, single, common: the true parts of the variance of the mean difference: of seeds, of what seeds do to
            single episodes, of episodes.
        df: degrees of freedom of episodes.
    """
    from scipy import special

    if seed + single + common == 0:
        return 1.0 if difference else 1 - level
    multiples, weights = _chi_square(n_seeds - 1, N_SEEDS_NODES)
    others, other_weights = _chi_square(df, N_EPISODES_NODES)
    of_seeds = (seed + single) * multiples[:, None]
    of_episodes = (common + single) * others - (single if df >= LEAST_DF_ONCE else 0.0)
    total = of_seeds + np.maximum(of_episodes, 0.0)  # (N_SEEDS_NODES, N_EPISODES_NODES)
    half_widths = _critical(n_seeds - 1, df, level)(np.sqrt(of_seeds / total)) * np.sqrt(total)
    error = math.sqrt(seed + single + common)
    seen = special.ndtr((difference - half_widths) / error) + special.ndtr((-difference - half_widths) / error)
    return float(weights @ seen @ other_weights)


@lru_cache(maxsize=256)
def _chi_square(df: int, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of an integral over χ² / df: Gauss and Legendre's over its quantiles, more in the tails."""
    from scipy import special

    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    x = (nodes + 1) / 2
    quantiles, slopes = x**3 * (10 - 15 * x + 6 * x**2), 30 * x**2 * (1 - x) ** 2
    return special.chdtri(df, 1 - quantiles) / df, weights / 2 * slopes


@lru_cache(maxsize=256)
def _critical(df: int, other_df: int, level: float) -> CubicSpline:
    """The test's critical value by the square root of the seeds' share in the variance."""
    from scipy.interpolate import CubicSpline

    roots = np.linspace(0, 1, N_SHARES)
    return CubicSpline(roots, critical_values(roots**2, df, other_df, level))


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
    requirements = []
    for seeds in n_seeds:
        if seeds >= LEAST_SEEDS and variances.seed is None:
            continue
        claim = "these methods" if seeds >= LEAST_SEEDS else "these weights"
        requirements.append(Requirement(seeds, _fewest_episodes(difference, variances, seeds, goal, level), claim))
    return requirements


def _fewest_episodes(
    difference: float, variances: PairedVariances, n_seeds: int, goal: float, level: float
) -> int | None:
    def enough(n: int) -> bool:
        return power(difference, variances, n, n_seeds, level) >= goal

    if not enough(MOST_EPISODES):  # more episodes never lower the power
        return None
    most = 2
    while not enough(most):
        most *= 2
    least = most // 2  # not enough, or 1
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most
