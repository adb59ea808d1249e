"""The error of a mean from two sources: against printed tables, a closed form, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics.behrens_fisher import critical_values, half_width, two_sided_p


def at_angle(degrees: float) -> tuple[float, float]:
    """Both variances of a standard error of 1, as the tables name them: tan θ is the ratio of the standard errors."""
    return math.sin(math.radians(degrees)) ** 2, math.cos(math.radians(degrees)) ** 2


@pytest.mark.parametrize(
    ("angle", "critical"), [(0, 2.447), (15, 2.430), (30, 2.398), (45, 2.364), (60, 2.331), (75, 2.310), (90, 2.306)]
)
def test_critical_values_are_those_of_the_tables(angle: float, critical: float) -> None:
    """Sukhatme 1938, in Fisher & Yates, *Statistical Tables*: 5 %, n₁ = 6 and n₂ = 8 degrees of freedom."""
    second, first = at_angle(angle)
    assert half_width([(first, 6), (second, 8)], 0.95) == pytest.approx(critical, abs=6e-4)


@pytest.mark.parametrize("distance", [0.1, 1.0, 30.0, 1e4])
def test_one_degree_of_freedom_each_is_a_sum_of_cauchy_variables(distance: float) -> None:
    truth = 2 * stats.cauchy.sf(distance, scale=math.sqrt(0.4) + math.sqrt(0.6))
    assert two_sided_p(distance, [(0.4, 1), (0.6, 1)]) == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize(("df", "other_df", "share"), [(2, 128, 0.1), (2, math.inf, 0.5), (9, 20, 0.9), (2, 6, 0.001)])
def test_p_is_the_share_of_sums_that_are_as_far(df: float, other_df: float, share: float) -> None:
    rng, n = np.random.default_rng(0), 400_000
    other = rng.standard_t(other_df, n) if math.isfinite(other_df) else rng.standard_normal(n)
    sums = np.abs(math.sqrt(share) * rng.standard_t(df, n) + math.sqrt(1 - share) * other)
    for distance in (0.5, 2.0, 5.0):
        p = two_sided_p(distance, [(share, df), (1 - share, other_df)])
        assert p == pytest.approx((sums > distance).mean(), abs=5 * math.sqrt(p * (1 - p) / n) + 1e-9)


@given(st.floats(1e-12, 1.0), st.floats(1e-12, 1.0), st.integers(1, 30), st.integers(5, 3000), st.floats(0.5, 0.9999))
def test_the_p_value_inverts_the_interval(first: float, second: float, df: int, other_df: int, level: float) -> None:
    parts = [(first, df), (second, other_df)]
    assert two_sided_p(half_width(parts, level), parts) == pytest.approx(1 - level, rel=1e-6)


@given(st.floats(0, 1), st.integers(2, 9), st.sampled_from([0.9, 0.95, 0.99, 0.9958]))
def test_more_error_of_episodes_never_narrows_the_interval(variance: float, df: int, level: float) -> None:
    """Cochran and Cox's rule, a weighted mean of both quantiles, breaks this."""
    narrow, wide = (half_width([(1.0, df), (variance * more, 128)], level) for more in (1.0, 1.5))
    assert narrow <= wide * (1 + 1e-9)


def test_a_part_without_variance_leaves_students_t_of_the_other() -> None:
    assert two_sided_p(0.3, [(0.0, 2), (0.01, 17)]) == pytest.approx(2 * stats.t.sf(3, 17))
    assert half_width([(0.04, 3), (0.0, 17)], 0.99) == pytest.approx(0.2 * stats.t.ppf(0.995, 3))
    assert critical_values(np.array([0.0, 1.0]), 2, 50, 0.95) == pytest.approx(stats.t.ppf(0.975, [50, 2]))


def test_without_any_error_only_the_truth_itself_is_possible() -> None:
    assert (two_sided_p(0.0, [(0.0, 2), (0.0, 9)]), two_sided_p(0.1, [(0.0, 2), (0.0, 9)])) == (1.0, 0.0)
    assert half_width([(0.0, 2), (0.0, 9)], 0.95) == 0.0


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.0042])
def test_the_level_is_kept_whatever_share_of_the_variance_is_of_seeds(n_seeds: int, alpha: float) -> None:
    """Exact but for two integrals by the midpoint rule: no true null is rejected more often than at ``alpha``."""
    of_seeds, of_episodes = (
        stats.chi2.ppf((np.arange(n) + 0.5) / n, df) / df for n, df in ((2000, n_seeds - 1), (40, 128))
    )
    of_seeds = of_seeds[:, None]  # (2000, 1), beside (40,)
    grid = np.linspace(0, 1, 400) ** 2
    critical = critical_values(grid, n_seeds - 1, 128, 1 - alpha)
    for share in (0.02, 0.2, 0.5, 0.8, 0.95, 0.98):
        first, total = share * of_seeds, share * of_seeds + (1 - share) * of_episodes
        rejected = 2 * stats.norm.sf(np.interp(first / total, grid, critical) * np.sqrt(total)).mean()
        assert 0.1 * alpha < rejected <= 1.01 * alpha
