"""Equal truths are called different no more often than the level says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.statistics.agreement import allowed_difference


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
@pytest.mark.parametrize("of_episodes", [0.0, 0.1, 0.5, 1.0])
def test_equal_truths_are_called_different_in_at_most_six_percent(n_seeds: int, of_episodes: float) -> None:
    """``of_episodes``: the share of the variance of one number that its episodes have."""
    n = 600
    rng = np.random.default_rng([n_seeds, int(10 * of_episodes)])
    seed, error = math.sqrt(1 - of_episodes), math.sqrt(of_episodes)
    seeds = rng.normal(0, seed, (n, n_seeds)) + rng.normal(0, error, (n, 1))  # all seeds meet the same episodes
    theirs = rng.normal(0, seed, n) + rng.normal(0, error, n)
    called = [
        abs(ours.mean() - other) > allowed_difference(tuple(ours), error, error)
        for ours, other in zip(seeds, theirs, strict=True)
    ]
    assert np.mean(called) < 0.06 + 3 * math.sqrt(0.06 * 0.94 / n)


def test_without_an_error_of_episodes_it_is_the_prediction_interval_of_one_more_seed() -> None:
    seeds = (0.61, 0.64, 0.66, 0.63)
    truth = stats.t.ppf(0.975, 3) * np.std(seeds, ddof=1) * math.sqrt(1 + 1 / 4)
    assert allowed_difference(seeds, 0.0, 0.0) == pytest.approx(truth)


def test_seeds_that_do_not_matter_leave_the_normal_interval_of_both_episodes() -> None:
    assert allowed_difference((0.6, 0.6, 0.6), 0.003, 0.004) == pytest.approx(0.005 * stats.norm.ppf(0.975), rel=1e-5)


def test_two_seeds_say_nothing_of_other_seeds() -> None:
    assert allowed_difference((0.6, 0.7), 0.003, 0.004) is None
