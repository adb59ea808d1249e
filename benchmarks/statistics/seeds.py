"""Do tests over seeds keep their level, is their power the one predicted, are equal truths called equal?

    python benchmarks/statistics/seeds.py [--runs N] > benchmarks/results/statistics-seeds.md

Gaussian benchmarks here, whose estimated variances are multiples of χ², so that a million takes seconds; benchmarks of
counted answers in seeds_accuracies.py; the rules that are compared in seeds_rules.py.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator, Sequence

import numpy as np
import scipy
import seeds_accuracies
import seeds_plans
from seeds_rules import LEVELS, RULES, Estimates, allowed, fraction, table

from harness.common.randomness import numpy_generator
from harness.statistics import PairedVariances, power

SEED = 0
N_EPISODES, N_CLASSES = 148, 20
N_SEEDS = (3, 4, 5, 10)
SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)  # of the seeds, in the variance of a mean difference
SINGLE = 0.5  # of an episode's variance, what a seed has alone
SHIFTS = (0.0, 2.0, 2.8, 4.0)  # true differences, in standard deviations of their estimates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000, help="Gaussian benchmarks a cell")
    n = parser.parse_args().runs
    print(f"""# Tests over seeds: their level, their power, and verdicts on published numbers

By `python benchmarks/statistics/seeds.py --runs {n}`; seed {SEED}; {processor()}; numpy {np.__version__}, scipy \
{scipy.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}. ± is the \
Monte-Carlo standard error.

*Harness* is the distribution of Behrens and Fisher, with what a seed does to single episodes counted once; \
*Cochran-Cox* the mean of both parts' quantiles weighted by their variances, with the same parts; *Satterthwaite* one \
Student's t, with it counted twice, as harness 0.1 had it.

## Level: rejections of a true null hypothesis, in percent

{n:,} Gaussian benchmarks a cell, {N_EPISODES} open episodes of {N_CLASSES} classes, the same for all seeds; of an \
episode's variance {100 * SINGLE:.0f} % is of a seed alone. Share: of the seeds, in the variance of the mean difference.

{table(level_lines(n))}

## Power at the 5 % level, in percent

The difference is 2.8 standard deviations of its estimate: a test that knew all variances would see it in 80 %. \
*Predicted* is what `harness.statistics.power` says. The largest gap between predicted and observed over all seeds, \
shares, levels (5, 1, 0.42 %), differences ({", ".join(map(str, SHIFTS[1:]))} standard deviations) and parts of a seed \
alone (0, 50, 100 %) is {100 * largest_gap(n // 20):.1f} points ({n // 20:,} benchmarks each).

{table(power_lines(n))}

## Verdicts on published numbers: equal truths called different, in percent

{n:,} Gaussian pairs of numbers a cell: a paper's of one seed, ours of several, both with the same error over \
episodes, whose share in the variance of one number is given. *1.96* is the rule of harness 0.1.

{table(verdict_lines(n))}

{seeds_plans.section()}

{seeds_accuracies.section()}""")


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or "unknown processor"
    return f"{name}, {os.cpu_count()} cores"


def gaussian(n: int, n_seeds: int, share: float, single: float, shift: float, purpose: str) -> Estimates:
    """Estimates of ``n`` benchmarks whose mean difference has variance 1 and is ``shift``."""
    rng = numpy_generator(SEED, purpose, n_seeds, round(1000 * share), round(1000 * single), round(10 * shift))
    of_single = (1 - share) * single / n_seeds / (single / n_seeds + 1 - single)
    common, df = 1 - share - of_single, N_EPISODES - N_CLASSES
    return Estimates(
        mean=rng.normal(shift, 1, n),
        of_seeds=(share + of_single) * rng.chisquare(n_seeds - 1, n) / (n_seeds - 1),
        of_episodes=(common + of_single) * rng.chisquare(df, n) / df,
        of_single=of_single * rng.chisquare((n_seeds - 1) * df, n) / ((n_seeds - 1) * df),
        n_seeds=n_seeds,
        df=df,
    )


def variances(n_seeds: int, share: float, single: float) -> PairedVariances:
    """The same, as a plan would have them."""
    episode = N_EPISODES * (1 - share) / (single / n_seeds + 1 - single)
    return PairedVariances(episode, share * n_seeds, N_CLASSES, None, single * episode)


def level_lines(n: int) -> Iterator[dict[str, str]]:
    for n_seeds in N_SEEDS:
        for share in SHARES:
            found = gaussian(n, n_seeds, share, SINGLE, 0.0, "level")
            yield {
                "seeds": str(n_seeds),
                "share": f"{share:g}",
                **{
                    f"{name}, {100 * level:g} %": fraction(rule(found, level).mean(), n)
                    for name, rule in RULES.items()
                    for level in LEVELS
                },
            }


def power_lines(n: int) -> Iterator[dict[str, str]]:
    for n_seeds in N_SEEDS:
        for share in SHARES:
            found = gaussian(n, n_seeds, share, SINGLE, 2.8, "power")
            predicted = power(2.8, variances(n_seeds, share, SINGLE), N_EPISODES, n_seeds)
            yield {
                "seeds": str(n_seeds),
                "share": f"{share:g}",
                "predicted": f"{100 * predicted:.1f}",
                **{name: fraction(rule(found, 0.05).mean(), n) for name, rule in RULES.items()},
            }


def largest_gap(n: int) -> float:
    gaps = []
    for n_seeds in N_SEEDS:
        for share in SHARES:
            for single in (0.0, 0.5, 1.0):
                for shift in SHIFTS[1:]:
                    found = gaussian(n, n_seeds, share, single, shift, "gap")
                    for level in LEVELS:
                        predicted = power(
                            shift, variances(n_seeds, share, single), N_EPISODES, n_seeds, level=1 - level
                        )
                        gaps.append(abs(predicted - RULES["harness"](found, level).mean()))
    return max(gaps)


def verdict_lines(n: int) -> Iterator[dict[str, str]]:
    for n_seeds in (3, 5, 10):
        for share in SHARES:
            rng = numpy_generator(SEED, "verdict", n_seeds, round(1000 * share))
            of_seed, error = (1 - share) ** 0.5, share**0.5
            s2 = of_seed**2 * rng.chisquare(n_seeds - 1, n) / (n_seeds - 1)
            differences = rng.normal(0, (of_seed**2 * (1 + 1 / n_seeds) + 2 * error**2) ** 0.5, n)
            old = 1.96 * np.sqrt(2 * s2 + 2 * error**2)
            called: Sequence[np.ndarray] = [np.abs(differences) > b for b in (allowed(s2, 2 * error**2, n_seeds), old)]
            yield {
                "seeds": str(n_seeds),
                "share of episodes": f"{share:g}",
                "harness": fraction(called[0].mean(), n),
                "1.96": fraction(called[1].mean(), n),
            }


if __name__ == "__main__":
    main()
