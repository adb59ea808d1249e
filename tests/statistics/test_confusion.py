"""Confusion, accuracies by class and disagreement against scikit-learn and loops."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix

from harness.statistics.confusion import class_accuracies, confusion, disagreement, worst_mean

S, E, N_WAY, N_QUERY, C = 3, 30, 4, 5, 9


@pytest.fixture
def answered(rng):
    """Classes (E, n_way), true (E, Q) and predicted (S, E, Q) of episodes of 2 to 4 ways, -1 where there is nothing."""
    classes = np.stack([rng.permutation(C - 1)[:N_WAY] for _ in range(E)])  # the last class is never drawn
    true = np.repeat(classes, N_QUERY, axis=1)
    predicted = np.take_along_axis(
        np.broadcast_to(classes, (S, E, N_WAY)), rng.integers(0, 2, (S, E, N_WAY * N_QUERY)), axis=2
    )
    predicted = np.where(rng.random(predicted.shape) < 0.5, true, predicted)
    for e in range(0, E, 3):
        classes[e, 2:], true[e, 2 * N_QUERY :], predicted[:, e, 2 * N_QUERY :] = -1, -1, -1
    return classes, true, predicted


def test_counts_are_those_of_scikit_learn(answered):
    classes, true, predicted = answered
    there = true >= 0
    expected = sum(confusion_matrix(true[there], p[there], labels=range(C)) for p in predicted)
    np.testing.assert_array_equal(confusion(true, predicted, classes, C).counts, expected)


def test_a_rate_counts_only_episodes_that_have_both(answered):
    classes, true, predicted = answered
    found = confusion(true, predicted, classes, C)
    for a, b in itertools.product(range(C), repeat=2):
        both = [e for e in range(E) if a in classes[e] and b in classes[e]]
        queries = S * sum(int((true[e] == a).sum()) for e in both)
        times = sum(int(((true[e] == a) & (p[e] == b)).sum()) for e in both for p in predicted)
        assert found.episodes[a, b] == len(both)
        assert found.met[a, b] == queries
        assert found.rates[a, b] == pytest.approx(times / queries if queries else np.nan, nan_ok=True)


def test_a_pair_that_rarely_meets_is_not_thought_to_be_seldom_confused():
    """A is always taken for B where B is there, which is once in ten episodes: the rate is 1, not 1/10."""
    classes = np.array([[0, 1]] + [[0, 2]] * 9)
    true = classes.copy()
    predicted = true.copy()[None]
    predicted[0, 0, 0] = 1
    assert confusion(true, predicted, classes, 3).rates[0, 1] == 1


def test_class_accuracies_are_those_of_pandas_and_the_t_interval_over_episodes(answered):
    _classes, true, predicted = answered
    found = class_accuracies(true, predicted, C)
    lines = [
        (e, c, (predicted[:, e, true[e] == c] == c).mean(), int((true[e] == c).sum()))
        for e in range(E)
        for c in set(true[e].tolist()) - {-1}
    ]
    by_class = pd.DataFrame(lines, columns=["episode", "class", "accuracy", "queries"]).groupby("class")
    for c, group in by_class:
        assert found.accuracies[c] == pytest.approx(group.accuracy.mean())
        low, high = stats.t.interval(0.95, len(group) - 1, group.accuracy.mean(), stats.sem(group.accuracy))
        assert 2 * found.half_widths[c] == pytest.approx(high - low)
        assert (found.episodes[c], found.queries[c]) == (len(group), group.queries.sum())
    assert np.isnan(found.accuracies[C - 1])
    assert np.isinf(found.half_widths[C - 1])


def test_of_unequal_numbers_of_queries_every_query_counts_once():
    true = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 1]])
    predicted = np.array([[[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]])
    found = class_accuracies(true, predicted, 2)
    assert found.accuracies.tolist() == [4 / 5, 6 / 7]


def test_disagreement_is_that_of_a_loop(answered):
    _, true, first = answered
    second = first[:, :, ::-1]
    found = disagreement(true, first, second)
    cells = dict.fromkeys(itertools.product([True, False], repeat=2), 0)
    for e in range(E):
        queries = [(s, q) for s in range(S) for q in range(true.shape[1]) if true[e, q] >= 0]
        for s, q in queries:
            cells[bool(first[s, e, q] == true[e, q]), bool(second[s, e, q] == true[e, q])] += 1
        assert found.by_episode[e] == pytest.approx(np.mean([first[s, e, q] != second[s, e, q] for s, q in queries]))
    counts = (found.both_right, found.only_first_right, found.only_second_right, found.both_wrong)
    assert counts == tuple(cells.values())


@pytest.mark.parametrize(("n", "n_worst"), [(1, 1), (20, 1), (21, 2), (600, 30)])
def test_the_worst_are_a_twentieth_of_each_seeds_episodes(rng, n, n_worst):
    accuracies = rng.random((3, n))
    mean, count = worst_mean(accuracies)
    assert count == n_worst
    assert mean == pytest.approx(np.mean([sorted(seed)[:n_worst] for seed in accuracies.tolist()]))
