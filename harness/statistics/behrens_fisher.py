"""How far a mean may be from the truth when its error has two sources, each known from a few degrees of freedom.

The truth is taken to be mean + √v₁ · T₁ + √v₂ · T₂, with T₁ and T₂ independent Student's t of d₁ and d₂ degrees of
freedom: the distribution of Behrens and Fisher. A test by it rejects a true null no more often than it says, whatever
the two variances are; Satterthwaite's approximation by one Student's t does not, least of all in the tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Part = tuple[float, float]  # an estimated variance of the mean, and its degrees of freedom

N_NODES = 257  # of the integral; doubling them changes no digit that is printed
MOST_DF = 1e6  # Student's t with more is a normal distribution


def two_sided_p(distance: float, parts: Sequence[Part]) -> float:
    """The probability of a mean at least ``distance`` away from the truth, in either direction.

    With B ~ Beta(d₁/2, d₂/2) the distribution is a Student's t of d₁ + d₂ degrees of freedom with the random variance
    (v₁ d₁ / B + v₂ d₂ / (1 - B)) / (d₁ + d₂), so one integral over B is enough.

    Args:
        parts: one or two estimated variances of the mean with their degrees of freedom.
    Source: Barnard 1984, "Comparing the means of two independent samples", Applied Statistics 33.
    """
    known = _known(parts)
    if not known:
        return 1.0 if distance == 0 else 0.0
    total = sum(variance for variance, _ in known)
    if len(known) == 1:
        return float(2 * _lower_tail(known[0][1], -abs(distance) / math.sqrt(total)))
    (first, df), (_, other_df) = known
    return float(_standard_p(np.array([abs(distance) / math.sqrt(total)]), np.array([first / total]), df, other_df)[0])


def half_width(parts: Sequence[Part], level: float) -> float:
    """The distance whose ``two_sided_p`` is 1 - ``level``."""
    known = _known(parts)
    if not known:
        return 0.0
    total = sum(variance for variance, _ in known)
    if len(known) == 1:
        return _student_quantile(known[0][1], level) * math.sqrt(total)
    (first, df), (_, other_df) = known
    return float(critical_values(np.array([first / total]), df, other_df, level)[0] * math.sqrt(total))


def critical_values(shares: np.ndarray, df: float, other_df: float, level: float) -> np.ndarray:
    """Half-widths in units of the whole standard error, for each share (N,) of the first part in the variance."""
    from scipy import special

    alpha = 1 - level
    ends = special.stdtrit([min(df, MOST_DF), min(other_df, MOST_DF)], 1 - alpha / 2)
    values = shares * ends[0] + (1 - shares) * ends[1]  # Cochran and Cox's rule: near enough to start from
    for _ in range(50):
        p = _standard_p(values, shares, df, other_df)
        step = 1e-4
        slope = (np.log(_standard_p(values * (1 + step), shares, df, other_df)) - np.log(p)) / math.log1p(step)
        moved = values * np.exp(np.clip((math.log(alpha) - np.log(p)) / slope, -1, 1))
        if np.allclose(moved, values, rtol=1e-9, atol=0):
            return moved
        values = moved
    return values


def _standard_p(distances: np.ndarray, shares: np.ndarray, df: float, other_df: float) -> np.ndarray:
    """Two-sided p (N,) of distances (N,) where both variances sum to one and the first has the shares (N,)."""
    df, other_df = min(df, MOST_DF), min(other_df, MOST_DF)
    first, second, weights = _nodes(df, other_df)  # d₁ / B, d₂ / (1 - B), both over d₁ + d₂
    variances = shares[:, None] * first + (1 - shares[:, None]) * second  # (N, N_NODES)
    return 2 * _lower_tail(df + other_df, -distances[:, None] / np.sqrt(variances)) @ weights


@lru_cache(maxsize=256)  # degrees of freedom of a class interval are no whole numbers
def _nodes(df: float, other_df: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes and weights of an integral over B: the trapezoidal rule over its log-odds, where all tails are smooth."""
    from scipy import special

    a, b = df / 2, other_df / 2
    width = 9 * math.sqrt(1 / a + 1 / b)
    centre = math.log(a / b)
    odds = np.linspace(centre - 40 / a - width, centre + 40 / b + width, N_NODES)  # (N_NODES,), logarithms
    log_b, log_rest = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
    weights = np.exp(a * log_b + b * log_rest - special.betaln(a, b)) * (odds[1] - odds[0])
    total = df + other_df
    return np.exp(math.log(df / total) - log_b), np.exp(math.log(other_df / total) - log_rest), weights


@lru_cache(maxsize=4096)  # a report asks thousands of times, for few degrees of freedom
def _student_quantile(df: float, level: float) -> float:
    from scipy import special

    return float(-special.stdtrit(df, (1 - level) / 2))


def _lower_tail(df: float, values: np.ndarray | float) -> np.ndarray:
    from scipy import special

    return special.stdtr(min(df, MOST_DF), values)


def _known(parts: Sequence[Part]) -> list[Part]:
    return [(variance, df) for variance, df in parts if variance > 0]
