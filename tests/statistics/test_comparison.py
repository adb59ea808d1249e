"""harness/statistics/comparison.py against scipy, against brute force, and against simulated benchmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics.comparison import compare, holm, signed_rank_p
from tests.helpers.simulated import classes_of


def test_closed_comparison_is_the_paired_t_test_of_scipy(rng: np.random.Generator) -> None:
    row, baseline = rng.random((2, 60))
    found = compare(row, baseline, classes_of(60, 10, 5), 10, "closed")
    truth = stats.ttest_rel(row, baseline)
    assert found.t_p == pytest.approx(truth.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(truth.confidence_interval()))
    assert found.claim == "this test set only"


def test_open_comparison_rejects_when_its_interval_leaves_zero_out(rng: np.random.Generator) -> None:
    classes = classes_of(60, 10, 5)
    for shift in np.linspace(-0.1, 0.1, 41):
        found = compare(rng.normal(shift, 0.1, 60), np.zeros(60), classes, 10, "open")
        assert (found.t_p < 0.05) == (found.difference.low > 0 or found.difference.high < 0)
        assert found.claim == "new images of these classes"


def test_wilcoxon_is_that_of_scipy_and_1_for_all_ties(rng: np.random.Generator) -> None:
    row, baseline = rng.integers(0, 76, (2, 80)) / 75
    found = compare(row, baseline, classes_of(80, 10, 5), 10, "closed")
    truth = stats.wilcoxon(np.round(row - baseline, 9), zero_method="pratt", method="asymptotic").pvalue
    assert found.wilcoxon_p == pytest.approx(truth, rel=1e-6)
    assert signed_rank_p(np.zeros(10)) == 1.0


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=40))
def test_signed_ranks_with_ties_and_zeros_are_those_of_scipy(differences: list[int]) -> None:
    found = signed_rank_p(np.array(differences) / 75)
    if any(differences):
        truth = stats.wilcoxon(differences, zero_method="pratt", method="asymptotic").pvalue
        assert found == pytest.approx(truth, rel=1e-12)
    else:
        assert found == 1.0


def test_class_effects_do_not_blur_the_wilcoxon_test_of_open_episodes(rng: np.random.Generator) -> None:
    classes, noise = classes_of(100, 20, 5), rng.normal(0.01, 0.03, 100)
    effects = rng.normal(0, 0.5, 20)
    plain, moved = (
        compare(noise + shift, np.zeros(100), classes, 20, "open")
        for shift in (0.0, (effects - effects.mean())[classes].mean(axis=1))
    )
    assert moved.wilcoxon_p == pytest.approx(plain.wilcoxon_p)
    assert moved.t_p == pytest.approx(plain.t_p)


def test_wilcoxon_over_seeds_without_any_effect_of_seeds_is_that_of_one_seed(rng: np.random.Generator) -> None:
    values, classes = rng.normal(0.02, 0.1, 80), classes_of(80, 10, 5)
    over_seeds = compare(np.stack([values] * 3), np.zeros((3, 80)), classes, 10, "closed")
    of_one = compare(values, np.zeros(80), classes, 10, "closed")
    assert over_seeds.wilcoxon_p == pytest.approx(of_one.wilcoxon_p, rel=1e-3)


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_no_test_takes_the_luck_of_seeds_for_a_difference(rng: np.random.Generator, n_seeds: int) -> None:
    """Heavy tails, seeds of half the variance of the mean: 5 % of 300, and at most three standard errors more."""
    classes, found = classes_of(100, 20, 5), []
    for _ in range(300):
        seeds = rng.normal(0, 0.1, (n_seeds, 1)) * math.sqrt(n_seeds / 100)
        values = seeds + 0.1 / math.sqrt(3) * rng.standard_t(3, 100)
        found.append(compare(values, np.zeros_like(values), classes, 20, "open"))
    assert np.mean([one.t_p < 0.05 for one in found]) < 0.088
    assert np.mean([one.wilcoxon_p < 0.05 for one in found]) < 0.088


def test_seeds_far_apart_leave_wilcoxon_nothing_to_claim() -> None:
    """The signs of all episodes agree, as those of 25 % of benches with three such seeds do by chance."""
    values = np.array([[0.1], [0.3], [0.8]]) + np.linspace(-0.05, 0.05, 100)
    found = compare(values, np.zeros_like(values), classes_of(100, 20, 5), 20, "closed")
    assert found.losses == 0
    assert found.wilcoxon_p > 0.1


def test_rounding_makes_no_winner() -> None:
    found = compare(np.array([0.1 + 0.2, 0.5, 0.2]), np.array([0.3, 0.4, 0.3]), np.array([[0, 1]] * 3), 2, "closed")
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)


def test_all_ties_are_no_difference(rng: np.random.Generator) -> None:
    values = rng.random((3, 60))
    found = compare(values, values, classes_of(60, 10, 5), 10, "open")
    assert (found.difference.mean, found.t_p, found.wilcoxon_p) == (0.0, 1.0, 1.0)
    assert (found.wins, found.ties, found.losses) == (0, 60, 0)


def test_comparison_pairs_seeds(rng: np.random.Generator) -> None:
    """A seed that lifts both rows alike says nothing of their difference."""
    seeds, classes = rng.normal(0, 0.2, (4, 1)), classes_of(60, 10, 5)
    row, baseline = rng.normal(0.62, 0.05, (4, 60)), rng.normal(0.6, 0.05, (4, 60))
    plain = compare(row, baseline, classes, 10, "open")
    lifted = compare(row + seeds, baseline + seeds, classes, 10, "open")
    assert lifted.difference.half_width == pytest.approx(plain.difference.half_width)


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(1, 5\) and \(1, 6\)"):
        compare(np.zeros(5), np.zeros(6), classes_of(5, 10, 5), 10, "open")


def test_holm_gives_the_numbers_of_a_worked_example() -> None:
    """From R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.2))
def test_holm_rejects_as_its_step_down_procedure_does(p_values: list[float], alpha: float) -> None:
    rejected: set[int] = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] * (len(p_values) - rank) > alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_probability(bad: float) -> None:
    with pytest.raises(ValueError, match=r"p-values must be in 0\.\.1"):
        holm([0.1, bad])
