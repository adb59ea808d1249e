"""Plans made from pilots: how many episodes do they ask for, and how many are enough?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from seeds_rules import table

from harness.common.randomness import numpy_generator
from harness.statistics import PairedVariances, paired_variances, power, required

N_PILOTS = 100
N_EPISODES, N_CLASSES, N_WAY = 148, 20, 5
EPISODE, SINGLE = 0.06, 0.7  # standard deviation of an episode's difference; the part of its variance of a seed alone
SEEDS = (0.0, 0.002, 0.006)  # standard deviations of a seed's difference
GOAL = 0.8


def section() -> str:
    return f"""## Plans from pilots

{N_PILOTS} pilots of {N_EPISODES} open episodes and as many seeds as are planned; an episode's difference has a \
standard deviation of {100 * EPISODE:g} points, {100 * SINGLE:.0f} % of its variance of a seed alone; 80 % power at \
5 %, for the difference that needs 100 episodes. *Exact* is what `required` asks for from the true variances; then \
quantiles of what it asks for from pilots, and how often it says that no number of episodes is enough.

{table(lines())}"""


def lines() -> Iterator[dict[str, str]]:
    for n_seeds in (3, 5, 10):
        for seed in SEEDS:
            truth = PairedVariances(EPISODE**2, seed**2, N_CLASSES, None, SINGLE * EPISODE**2)
            difference = _seen(truth, 100, n_seeds)
            [exact] = required(difference, truth, [n_seeds], GOAL)
            asked = [
                found.n_episodes or np.inf
                for pilot in range(N_PILOTS)
                for found in required(difference, _pilot(pilot, n_seeds, seed), [n_seeds], GOAL)
            ]
            low, middle, high = np.quantile(asked, (0.1, 0.5, 0.9), method="nearest")
            yield {
                "seeds": str(n_seeds),
                "of a seed, points": f"{100 * seed:g}",
                "difference, points": f"{100 * difference:.2f}",
                "exact": str(exact.n_episodes),
                "10 %": f"{low:g}",
                "median": f"{middle:g}",
                "90 %": f"{high:g}",
                "never": f"{100 * np.isinf(asked).mean():.0f} %",
            }


def _seen(truth: PairedVariances, n_episodes: int, n_seeds: int) -> float:
    """The difference that is seen with power ``GOAL``."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, truth, n_episodes, n_seeds) >= GOAL else (middle, high)
    return high


def _pilot(number: int, n_seeds: int, seed: float) -> PairedVariances:
    rng = numpy_generator(0, "pilot", number, n_seeds, round(10_000 * seed))
    rounds = rng.permuted(np.tile(np.arange(N_CLASSES), (N_EPISODES * N_WAY // N_CLASSES, 1)), axis=1)
    differences = (
        EPISODE * (1 - SINGLE) ** 0.5 * rng.standard_normal(N_EPISODES)
        + EPISODE * SINGLE**0.5 * rng.standard_normal((n_seeds, N_EPISODES))
        + seed * rng.standard_normal((n_seeds, 1))
    )
    classes = rounds.reshape(N_EPISODES, N_WAY)
    return paired_variances(differences, np.zeros_like(differences), classes, N_CLASSES)
