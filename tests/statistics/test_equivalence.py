"""Equivalence against hand-computed values, scipy's one-sided tests, and the interval at level 1 - 2α."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.statistics.comparison import compare
from harness.statistics.equivalence import equivalence_p, relation
from harness.statistics.intervals import closed_interval, interval

TEN_CLASSES = np.array([[0, 1]] * 10)


def test_it_gives_the_numbers_of_a_calculation_by_hand() -> None:
    """n = 4, mean 1, s = √(2/3) so that the standard error is 0.40825; t = (2 - 1) / 0.40825 = 2.4495 with 3 df.

    The upper tail of Student's t with 3 df is 1/2 - (atan(t/√3) + (t/√3) / (1 + t²/3)) / π = 0.0459.
    """
    difference = closed_interval(np.array([0.0, 1.0, 1.0, 2.0]))
    t = 1 / math.sqrt(2 / 3 / 4)
    by_hand = 0.5 - (math.atan(t / math.sqrt(3)) + t / math.sqrt(3) / (1 + t**2 / 3)) / math.pi
    assert by_hand == pytest.approx(0.0459, abs=5e-5)
    assert equivalence_p(difference, 2.0) == pytest.approx(by_hand)


@pytest.mark.parametrize("shift", [-0.03, -0.004, 0.0, 0.002, 0.005, 0.03])
def test_it_is_the_larger_of_scipys_one_sided_tests(shift: float) -> None:
    values = np.random.default_rng(0).normal(shift, 0.01, 40)
    above = stats.ttest_1samp(values, -0.005, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.005, alternative="less").pvalue
    assert equivalence_p(closed_interval(values), 0.005) == pytest.approx(max(above, below))


@pytest.mark.parametrize("n_seeds", [1, 3, 5])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_it_is_below_alpha_where_the_interval_at_1_minus_2_alpha_lies_within_the_margin(
    n_seeds: int, alpha: float
) -> None:
    rng = np.random.default_rng(n_seeds)
    classes = np.concatenate([rng.permutation(10).reshape(2, 5) for _ in range(30)])
    inside = []
    for _ in range(40):
        row = rng.normal(0, 0.02, (n_seeds, 60)) + rng.normal(0, 0.002, (n_seeds, 1))
        row += rng.normal(0, 0.004)
        difference = compare(row, np.zeros_like(row), classes, 10, "open").difference
        wider = compare(row, np.zeros_like(row), classes, 10, "open", level=1 - 2 * alpha).difference
        inside.append(max(-wider.low, wider.high) < 0.01)
        assert (equivalence_p(difference, 0.01) < alpha) == inside[-1]
    assert 0 < sum(inside) < 40 or alpha == 0.01


def test_a_difference_at_the_margin_is_called_equal_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(1)
    called = [equivalence_p(closed_interval(rng.normal(0.005, 0.01, 60)), 0.005) < 0.05 for _ in range(3000)]
    assert np.mean(called) == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 3000))


def test_equal_rows_are_equal_and_unknown_ones_are_not() -> None:
    assert equivalence_p(closed_interval(np.zeros(10)), 0.005) == 0.0
    assert equivalence_p(closed_interval(np.full(10, 0.01)), 0.005) == 1.0
    assert equivalence_p(closed_interval(np.zeros(1)), 0.005) == 1.0
    assert equivalence_p(interval("class", np.zeros(4), TEN_CLASSES[:4], 10), 0.005) == 1.0


@pytest.mark.parametrize("margin", [0.0, -0.01, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="must be a number above 0"):
        equivalence_p(closed_interval(np.zeros(10)), margin)


@pytest.mark.parametrize(
    ("difference", "p", "p_equivalence", "name"),
    [
        (0.02, 0.001, 0.9, "better"),
        (-0.02, 0.001, 0.9, "worse"),
        (0.001, 0.6, 0.001, "practically equal"),
        (0.001, 0.001, 0.001, "practically equal"),
        (0.004, 0.3, 0.3, "undecided"),
        (0.004, 0.05, 0.05, "undecided"),
    ],
)
def test_each_row_has_one_name(difference: float, p: float, p_equivalence: float, name: str) -> None:
    assert relation(difference, p, p_equivalence) == name
