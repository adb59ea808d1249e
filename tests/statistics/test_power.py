"""harness/statistics/power.py against textbooks, and against the share of rejections in simulated benchmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.statistics import power
from harness.statistics.comparison import compare
from harness.statistics.power import PairedVariances, paired_variances, required
from tests.helpers.simulated import classes_of


def test_power_agrees_with_textbook_sample_sizes() -> None:
    """Cohen 1988, paired t-test, two-sided 5 %, power 80 %: n = 34 for d = 0.5, 199 for d = 0.2, 15 for d = 0.8."""
    for d, n in ((0.5, 34), (0.2, 199), (0.8, 15)):
        [found] = required(d, PairedVariances(1.0, None), n_seeds=[1])
        assert (found.n_episodes, found.claim) == (n, "these weights")


@pytest.mark.parametrize(
    ("n_seeds", "seed", "single"), [(3, 0.02, 0.09), (5, 0.0, 0.1), (5, 0.02, 0.0), (10, 0.02, 0.09), (10, 0.003, 0.08)]
)
def test_power_is_the_share_of_rejections(rng: np.random.Generator, n_seeds: int, seed: float, single: float) -> None:
    """``single``: the standard deviation of what a seed does to an episode, out of 0.1 for one seed's episode."""
    n_episodes, n = 60, 400
    common = math.sqrt(0.1**2 - single**2)
    variances = PairedVariances(0.1**2, seed**2, 1, None, single**2)
    error = math.sqrt(seed**2 / n_seeds + single**2 / n_seeds / n_episodes + common**2 / n_episodes)
    differences = (
        2.5 * error
        + seed * rng.standard_normal((n, n_seeds, 1))
        + single * rng.standard_normal((n, n_seeds, n_episodes))
        + common * rng.standard_normal((n, 1, n_episodes))
    )
    classes = classes_of(n_episodes, 10, 5)
    rejected = np.mean([compare(d, np.zeros_like(d), classes, 10, "closed").t_p < 0.05 for d in differences])
    assert power(2.5 * error, variances, n_episodes, n_seeds) == pytest.approx(rejected, abs=0.07)


def test_without_a_difference_power_is_the_level_or_less() -> None:
    for seed, single in ((0.0, 0.0), (0.02, 0.0), (0.001, 0.08)):
        variances = PairedVariances(0.01, seed**2, 20, None, single**2)
        assert power(0.0, variances, 148, 3, level=0.99) <= 0.0101


@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_as_many_episodes_as_required_are_enough_and_fewer_are_not(n_seeds: int) -> None:
    variances = PairedVariances(0.01, 0.0001, 20, None, 0.008)
    [found] = required(0.04, variances, [n_seeds])
    assert found.n_episodes is not None
    assert power(0.04, variances, found.n_episodes, n_seeds) >= 0.8
    assert power(0.04, variances, found.n_episodes - 1, n_seeds) < 0.8


@pytest.mark.parametrize(("n_episodes", "n_classes"), [(24, 20), (40, 20), (24, 97)])
def test_power_is_that_of_the_test_on_open_episodes(rng: np.random.Generator, n_episodes: int, n_classes: int) -> None:
    """With 20 classes it takes their effects out, and their degrees of freedom; with 97 there are too few for that."""
    classes = classes_of(n_episodes, n_classes, 5)
    effects = rng.normal(0, 0.15, (1000, n_classes))[:, classes].mean(axis=2)  # (1000 benchmarks, E)
    effects -= effects.mean(axis=1, keepdims=True)
    differences = 0.06 + effects + rng.normal(0, 0.1, effects.shape)
    rejected = np.mean([compare(d, np.zeros_like(d), classes, n_classes, "open").t_p < 0.05 for d in differences])
    plain = 0.1**2 + effects.var(axis=1, ddof=1).mean()
    variances = PairedVariances(0.01, None, n_classes, plain)
    assert power(0.06, variances, n_episodes, 1) == pytest.approx(rejected, abs=0.05)


def test_a_difference_far_above_its_error_is_always_seen() -> None:
    """scipy's noncentral t is no number there."""
    for shift in (10, 40, 100, 1000):
        assert power(0.01 * shift, PairedVariances(1e-2, None), 100, 1) == pytest.approx(1.0)
    [found] = required(0.05, PairedVariances(1e-4, 1e-6), n_seeds=[3])
    assert found.n_episodes is not None
    assert found.n_episodes <= 4


def test_more_episodes_do_not_replace_seeds() -> None:
    found = {r.n_seeds: r for r in required(0.01, PairedVariances(0.01, 0.0009), n_seeds=[1, 3, 20, 200])}
    assert found[3].n_episodes is None
    assert found[200].n_episodes is not None
    assert found[200].claim == "these methods"
    assert [r.n_seeds for r in required(0.01, PairedVariances(0.01, None))] == [1]
    with pytest.raises(ValueError, match="above 0"):
        required(0.0, PairedVariances(0.01, None))


def test_variances_are_measured_as_they_were_made(rng: np.random.Generator) -> None:
    classes = classes_of(500, 20, 5)
    measured = []
    for _ in range(60):
        common, single = rng.normal(0, 0.05, 500), rng.normal(0, 0.03, (5, 500))
        effects = rng.normal(0, 0.2, 20)[classes].mean(axis=1)
        row = 0.7 + common + single + effects + rng.normal(0, 0.02, (5, 1))
        measured.append(paired_variances(row, np.full_like(row, 0.6), classes, 20))
    assert np.mean([m.episode for m in measured]) == pytest.approx(0.05**2 + 0.03**2, rel=0.02)
    assert np.mean([m.single for m in measured]) == pytest.approx(0.03**2, rel=0.02)
    assert np.mean([m.seed for m in measured if m.seed is not None]) == pytest.approx(0.02**2, rel=0.3)
    assert paired_variances(rng.random(50), rng.random(50), classes[:50], 20).seed is None
