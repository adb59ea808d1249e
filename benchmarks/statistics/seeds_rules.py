"""Tests of a mean difference over seeds, for many benchmarks at once, by the harness's rule and by two others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special
from scipy.interpolate import CubicSpline
from tabulate import tabulate

from harness.statistics.behrens_fisher import MOST_DF, critical_values
from harness.statistics.intervals import LEAST_DF_ONCE

LEVELS = (0.05, 0.01, 0.0042)
ROOTS = np.linspace(0, 1, 33)  # of the seeds' share in the variance, where critical values are computed


@dataclass(frozen=True)
class Estimates:
    """What N benchmarks estimate: the mean difference and parts of its variance, (N,) each."""

    mean: np.ndarray
    of_seeds: np.ndarray  # s²_seed / S
    of_episodes: np.ndarray  # squared standard error over episodes, of seed-averaged differences
    of_single: np.ndarray  # what seeds do to single episodes, which is in both
    n_seeds: int
    df: int  # of episodes

    @property
    def once(self) -> np.ndarray:
        """The part of episodes as the harness has it."""
        return np.maximum(self.of_episodes - self.of_single, 0) if self.df >= LEAST_DF_ONCE else self.of_episodes


def harness(found: Estimates, level: float) -> np.ndarray:
    """(N,) bool: which are rejected."""
    return np.abs(found.mean) > _half_widths(found.of_seeds, found.once, found.n_seeds - 1, found.df, level)


def cochran_cox(found: Estimates, level: float) -> np.ndarray:
    of_seeds, of_episodes = (special.stdtrit(df, 1 - level / 2) for df in (found.n_seeds - 1, found.df))
    total = found.of_seeds + found.once
    return np.abs(found.mean) * np.sqrt(total) > found.of_seeds * of_seeds + found.once * of_episodes


def satterthwaite(found: Estimates, level: float) -> np.ndarray:
    total = found.of_seeds + found.of_episodes
    df = total**2 / (found.of_seeds**2 / (found.n_seeds - 1) + found.of_episodes**2 / found.df)
    return 2 * special.stdtr(df, -np.abs(found.mean) / np.sqrt(total)) < level


RULES = {"harness": harness, "Cochran-Cox": cochran_cox, "Satterthwaite": satterthwaite}


def allowed(s2: np.ndarray, of_episodes: float, n_seeds: int, level: float = 0.05) -> np.ndarray:
    """``allowed_difference`` (N,) from the variance of our seeds (N,) and both squared errors over episodes."""
    return _half_widths(s2 * (1 + 1 / n_seeds), np.full_like(s2, of_episodes), n_seeds - 1, MOST_DF, level)


def _half_widths(first: np.ndarray, second: np.ndarray, df: float, other_df: float, level: float) -> np.ndarray:
    total = first + second
    return _critical(df, other_df, level)(np.sqrt(first / total)) * np.sqrt(total)


@cache
def _critical(df: float, other_df: float, level: float) -> CubicSpline:
    return CubicSpline(ROOTS, critical_values(ROOTS**2, df, other_df, 1 - level))


def fraction(value: float, n: int) -> str:
    """``4.98 ± 0.03`` in percent, with the standard error of a share of n."""
    return f"{100 * value:.2f} ± {100 * (value * (1 - value) / n) ** 0.5:.2f}"


def table(lines: Iterable[Mapping[str, str]]) -> str:
    return tabulate(list(lines), headers="keys", tablefmt="pipe", disable_numparse=True, stralign="right")
