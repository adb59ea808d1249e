"""harness/statistics: ranks over datasets, letters and Bayesian signed ranks, against independent references."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics.comparison import compare
from harness.statistics.ranking import (
    critical_difference,
    exact_signed_rank_p,
    friedman_p,
    least_datasets,
    ranks,
    wilcoxon_pairs,
)
from harness.statistics.signed_ranks import bayesian_signed_ranks
from harness.statistics.tiers import letters, pair_p_values


@pytest.fixture
def accuracies(rng):
    """(14 datasets, 4 methods)."""
    return 0.6 + 0.1 * rng.standard_normal((14, 1)) + np.array([0, 0.01, 0.02, 0.05]) + 0.02 * rng.normal(size=(14, 4))


def test_ranks_are_one_for_the_highest_and_ties_share_theirs():
    assert ranks(np.array([[0.5, 0.9, 0.5], [0.1, 0.2, 0.3]])).tolist() == [[2.5, 1, 2.5], [3, 2, 1]]


def test_friedmans_p_is_exact_for_two_datasets_and_near_chi_squared_for_many(rng, accuracies):
    agree = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])  # one of the six orders of the second is as far out
    assert friedman_p(agree) == pytest.approx(1 / 6, abs=0.01)
    alike = 0.6 + 0.02 * rng.normal(size=(40, 5))
    assert friedman_p(alike) == pytest.approx(stats.friedmanchisquare(*alike.T).pvalue, abs=0.02)
    assert friedman_p(accuracies) == pytest.approx(stats.friedmanchisquare(*accuracies.T).pvalue, abs=0.002)


def test_the_critical_difference_is_where_scikit_posthocs_nemenyi_test_has_its_level(accuracies):
    p = scikit_posthocs.posthoc_nemenyi_friedman(accuracies).to_numpy()
    mean = ranks(accuracies).mean(axis=0)
    cd = critical_difference(4, 14)
    for i, j in combinations(range(4), 2):
        assert (abs(mean[i] - mean[j]) >= cd) == (p[i, j] <= 0.05)
    assert critical_difference(5, 30) == pytest.approx(2.728 * np.sqrt(5 * 6 / (6 * 30)), rel=1e-3)  # Demšar's table 5


def test_exact_signed_rank_p_values_are_scipys_and_scikit_posthocs_without_ties(accuracies):
    assert wilcoxon_pairs(accuracies) == pytest.approx(
        [stats.wilcoxon(*pair, method="exact").pvalue for pair in combinations(accuracies.T, 2)]
    )
    long = pd.DataFrame(accuracies).melt(var_name="method", value_name="accuracy")
    table = scikit_posthocs.posthoc_wilcoxon(long, val_col="accuracy", group_col="method", p_adjust="holm")
    from harness.statistics.comparison import holm

    pairs = holm(wilcoxon_pairs(accuracies))
    assert pairs == pytest.approx([table.to_numpy()[i, j] for i, j in combinations(range(4), 2)])


@pytest.mark.parametrize("values", [[1, 1, 2, 2, -3], [0, 0, 1, 2, 2], [0.5, -0.5, 0.5, 1], [3, 1, 2]])
def test_with_ties_and_zeros_all_signs_are_counted(values):
    """The truth: every assignment of signs to the ranks that are no zeros', one by one."""
    values = np.array(values, dtype=float)
    of_ranks = stats.rankdata(np.abs(values))[values != 0]
    seen = abs((of_ranks * np.sign(values[values != 0])).sum())
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(of_ranks))).reshape(len(of_ranks), -1)
    truth = np.mean(np.abs(of_ranks @ signs) >= seen - 1e-9)
    assert exact_signed_rank_p(values) == pytest.approx(truth)


def test_the_fewest_datasets_are_those_with_which_a_smallest_p_is_below_the_level():
    for n_tests in (1, 3, 66):
        n = least_datasets(n_tests)
        assert n_tests * exact_signed_rank_p(np.arange(1.0, n + 1)) < 0.05
        assert n_tests * exact_signed_rank_p(np.arange(1.0, n)) >= 0.05


# ── letters ───────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 8), st.data())
def test_two_rows_share_a_letter_exactly_where_they_are_not_told_apart(n, data):
    pairs = [frozenset(pair) for pair in combinations(range(n), 2)]
    apart = {pair for pair in pairs if data.draw(st.booleans())}
    of_rows = [set(text) for text in letters(list(range(n)), apart)]
    assert all(of_rows)
    assert "a" in of_rows[0]
    for i, j in combinations(range(n), 2):
        assert (not of_rows[i] & of_rows[j]) == (frozenset((i, j)) in apart)


def test_a_chain_has_as_many_letters_as_scikit_posthocs_gives_it():
    """a and b, b and c, c and d cannot be told apart, all other pairs can."""
    names = ["a", "b", "c", "d"]
    near = {frozenset(pair) for pair in pairwise(names)}
    apart = {frozenset(pair) for pair in combinations(names, 2)} - near
    p = pd.DataFrame(
        [[0.001 if frozenset((i, j)) in apart else 1.0 for j in names] for i in names], index=names, columns=names
    )
    theirs = scikit_posthocs.compact_letter_display(p)
    ours = letters(names, apart)
    assert ours == ["a", "ab", "bc", "c"]
    assert len(set("".join(ours))) == len(set("".join(map(str, np.ravel(theirs))).replace(" ", "")))


def test_pairs_are_tested_as_a_row_and_its_baseline_are(rng):
    classes = np.array([rng.permutation(10)[:5] for _ in range(60)])
    rows = [0.6 + 0.05 * rng.standard_normal((3, 60)) + shift for shift in (0, 0.01, 0.05)]
    expected = [compare(a, b, classes, 10, "open").t_p for a, b in combinations(rows, 2)]
    assert pair_p_values(rows, classes, 10) == expected


# ── Bayesian signed ranks ─────────────────────────────────────────────────────────────────────────


def monte_carlo(differences, margin, n=4_000, seed=3):
    """Benavoli et al. 2017, section 4.2, draw by draw: weights by gamma variables, the three masses pair by pair."""
    rng = np.random.default_rng(seed)
    z = [0.0, *differences]
    counts = np.zeros(3)
    for _ in range(n):
        gammas = [rng.gamma(0.5), *rng.gamma(1.0, size=len(differences))]
        w = np.array(gammas) / sum(gammas)
        masses = np.zeros(3)
        for i, zi in enumerate(z):
            for j, zj in enumerate(z):
                masses[0 if zi + zj < -2 * margin else 2 if zi + zj > 2 * margin else 1] += w[i] * w[j]
        counts[masses.argmax()] += 1
    return counts / n


@pytest.mark.parametrize(
    ("differences", "margin"),
    [
        ([0.02, 0.03, -0.01, 0.04, 0.015], 0.01),
        ([0.001, -0.002, 0.003, 0.0], 0.01),
        ([-0.03, -0.02, 0.02, -0.05, -0.04, -0.01], 0.005),
    ],
)
def test_posteriors_agree_with_an_independent_monte_carlo(differences, margin):
    posterior = bayesian_signed_ranks(np.array(differences), margin)
    assert [posterior.worse, posterior.equal, posterior.better] == pytest.approx(
        monte_carlo(differences, margin), abs=0.03
    )
    assert posterior.worse + posterior.equal + posterior.better == pytest.approx(1)


def test_the_same_differences_give_the_same_posterior_and_swapped_ones_the_mirrored():
    values = np.array([0.02, 0.03, -0.01, 0.04])
    one, other = bayesian_signed_ranks(values, 0.01), bayesian_signed_ranks(-values, 0.01)
    assert one == bayesian_signed_ranks(values, 0.01)
    assert (one.worse, one.equal, one.better) == pytest.approx((other.better, other.equal, other.worse))


@pytest.mark.parametrize(("values", "margin"), [([], 0.1), ([np.nan], 0.1), ([0.1], -1.0), ([0.1], np.inf)])
def test_what_is_no_difference_or_no_margin_is_refused(values, margin):
    with pytest.raises(ValueError, match="must be"):
        bayesian_signed_ranks(np.array(values, dtype=float), margin)
