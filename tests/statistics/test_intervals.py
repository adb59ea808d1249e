"""harness/statistics/intervals.py against scipy, against brute force, and against the truth of simulated benchmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.statistics.intervals import class_interval, closed_interval, interval, open_interval
from tests.helpers.simulated import classes_of


def test_closed_is_the_student_interval_of_scipy(rng: np.random.Generator) -> None:
    values = rng.random(37)
    truth = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = closed_interval(values, level=0.9)
    assert (found.low, found.high) == pytest.approx((truth.low, truth.high))
    assert (found.name, found.df, found.mean) == ("closed", 36, pytest.approx(values.mean()))


def test_open_is_ordinary_least_squares_on_class_dummies(rng: np.random.Generator) -> None:
    """Against the textbook form: an intercept and C - 1 deviation-coded columns, so the intercept is the mean."""
    n_classes, n_way = 7, 3
    classes = rng.permuted(np.tile(np.arange(n_classes), (40, 1)), axis=1)[:, :n_way]  # unequal counts
    values = rng.random(40)
    has = np.zeros((40, n_classes))
    np.put_along_axis(has, classes, 1.0, axis=1)
    design = np.column_stack([np.ones(40), has[:, :-1] - has[:, -1:]])
    coefficients, [rss], rank, _ = np.linalg.lstsq(design, values, rcond=None)
    variance = rss / (40 - rank) * np.linalg.inv(design.T @ design)[0, 0]
    found = open_interval(values, classes, n_classes)
    assert found.df == 40 - rank == 33
    assert (found.mean, found.standard_error) == pytest.approx((coefficients[0], math.sqrt(variance)))
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 33) * math.sqrt(variance))


def test_open_of_equally_frequent_classes_has_the_plain_mean(rng: np.random.Generator) -> None:
    classes, values = classes_of(40, 10, 5), rng.random(40)
    assert open_interval(values, classes, 10).mean == pytest.approx(values.mean())


def test_class_effects_widen_closed_but_not_open(rng: np.random.Generator) -> None:
    classes, noise = classes_of(200, 20, 5), rng.normal(0, 0.02, 200)
    effects = rng.normal(0, 0.5, 20)
    found = [open_interval(noise + shift, classes, 20).half_width for shift in (0, effects[classes].mean(axis=1))]
    assert found[0] == pytest.approx(found[1])
    assert closed_interval(noise + effects[classes].mean(axis=1)).half_width > 2 * found[0]


def test_open_with_too_few_episodes_is_a_plain_interval_that_says_so(rng: np.random.Generator) -> None:
    values, classes = rng.random(12), classes_of(12, 60, 5)
    found = open_interval(values, classes, 60)
    assert found.half_width == pytest.approx(closed_interval(values).half_width)
    assert "conservative" in found.note
    missing = open_interval(rng.random(30), classes_of(30, 6, 3), 7)  # class 6 was never met
    assert "conservative" in missing.note


def test_class_interval_counts_the_scatter_of_episodes_once(rng: np.random.Generator) -> None:
    """Without class effects the truth about new classes is no less certain than the mean of all episodes is."""
    classes = classes_of(400, 20, 5)
    widths = [
        (class_interval(values, classes, 20).standard_error, closed_interval(values).standard_error)
        for values in rng.normal(0.6, 0.1, (200, 400))
    ]
    of_class, of_mean = np.sqrt((np.array(widths) ** 2).mean(axis=0))
    assert 1.0 < of_class / of_mean < 1.7  # a jackknife over classes gives 2.5


@pytest.mark.parametrize(("n_classes", "n_way", "n_episodes"), [(20, 10, 74), (20, 5, 40), (8, 5, 240)])
def test_class_interval_covers_where_a_fit_would_be_poor(
    rng: np.random.Generator, n_classes: int, n_way: int, n_episodes: int
) -> None:
    covered = 0
    for i in range(400):
        classes = classes_of(n_episodes, n_classes, n_way, seed=i)
        effects = rng.normal(0, 0.1, n_classes)
        values = 0.5 + effects[classes].mean(axis=1) + rng.normal(0, 0.08, n_episodes)
        found = class_interval(values, classes, n_classes)
        covered += found.low <= 0.5 <= found.high
    assert covered / 400 > 0.92


def test_class_interval_is_infinite_where_every_episode_has_every_class(rng: np.random.Generator) -> None:
    found = class_interval(rng.random(30), classes_of(30, 5, 5), 5)
    assert found.half_width == math.inf
    assert found.p_value == 1.0


@pytest.mark.parametrize("name", ["closed", "open", "class"])
def test_one_episode_says_nothing(name: str) -> None:
    found = interval(name, np.array([0.4]), np.array([[0, 1]]), 5)
    assert (found.mean, found.half_width, found.df) == (0.4, math.inf, 0)
    assert (found.low, found.high, found.p_value) == (-math.inf, math.inf, 1.0)


@pytest.mark.parametrize("name", ["closed", "open", "class"])
def test_equal_accuracies_have_no_width(name: str) -> None:
    found = interval(name, np.full((3, 60), 0.8), classes_of(60, 6, 3), 6)
    assert found.mean == pytest.approx(0.8)
    assert found.half_width == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["closed", "open", "class"])
def test_accuracies_that_are_no_numbers_are_refused(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match="1 of 60 accuracies are NaN or infinite"):
        interval(name, np.append(np.full(59, 0.5), bad), classes_of(60, 6, 3), 6)
    with pytest.raises(ValueError, match="at least one episode"):
        interval(name, np.empty(0), np.empty((0, 3), int), 6)


def test_seeds_add_their_variance_and_share_the_luck_of_single_episodes(rng: np.random.Generator) -> None:
    """The two-way analysis of variance: mean squares of seeds, of episodes, and of what is left."""
    n_seeds, n_episodes = 4, 50
    accuracies = (
        rng.normal(0.6, 0.05, (n_seeds, n_episodes))
        + rng.normal(0, 0.05, (n_seeds, 1))
        + rng.normal(0, 0.1, n_episodes)
    )
    found = interval("closed", accuracies, classes_of(n_episodes, 10, 5), 10)
    of_seeds, of_episodes = accuracies.mean(axis=1).var(ddof=1), accuracies.mean(axis=0).var(ddof=1)
    left = accuracies - accuracies.mean(axis=1, keepdims=True) - accuracies.mean(axis=0) + accuracies.mean()
    left_variance = (left**2).sum() / (n_seeds - 1) / (n_episodes - 1)
    parts = (of_seeds / n_seeds, of_episodes / n_episodes - left_variance / n_seeds / n_episodes)
    assert [variance for variance, _ in found.parts] == pytest.approx(parts)
    assert [df for _, df in found.parts] == [3, 49]
    assert found.standard_error == pytest.approx(math.sqrt(sum(parts)))
    assert (found.df, found.note) == (3, "")


@pytest.mark.parametrize("target", ["closed", "open"])
def test_what_seeds_do_to_single_episodes_is_counted_once(rng: np.random.Generator, target: str) -> None:
    """On average over benchmarks, the squared standard error is the variance that the means have."""
    n_seeds, n_episodes, classes = 3, 148, classes_of(148, 20, 5)
    errors, means = [], []
    for _ in range(200):
        accuracies = rng.normal(0, 0.1, (n_seeds, n_episodes)) + rng.normal(0, 0.03, n_episodes)
        found = interval(target, accuracies, classes, 20)
        errors.append(found.standard_error**2)
        means.append(found.mean)
    truth = 0.1**2 / n_seeds / n_episodes + 0.03**2 / n_episodes
    assert np.mean(errors) == pytest.approx(truth, rel=0.2)
    assert np.var(means) == pytest.approx(truth, rel=0.4)


def test_with_few_episodes_it_is_counted_twice_to_be_safe(rng: np.random.Generator) -> None:
    accuracies = rng.normal(0.6, 0.1, (4, 30))
    found = interval("closed", accuracies, classes_of(30, 10, 5), 10)
    of_seeds = accuracies.mean(axis=1).var(ddof=1) / 4
    assert found.standard_error**2 == pytest.approx(
        of_seeds + closed_interval(accuracies.mean(axis=0)).standard_error ** 2
    )


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_few_seeds_speak_of_weights_alone(rng: np.random.Generator, n_seeds: int) -> None:
    accuracies = rng.random((n_seeds, 50))
    found = interval("closed", accuracies, classes_of(50, 10, 5), 10)
    assert found.note == "these weights, not these methods"
    assert found.half_width == pytest.approx(closed_interval(accuracies.mean(axis=0)).half_width)
