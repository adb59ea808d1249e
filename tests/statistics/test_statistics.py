"""Intervals and tests against scipy, against brute force, and against the truth of simulated benchmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import power
from harness.statistics.comparison import compare, holm, signed_rank_p
from harness.statistics.intervals import class_interval, closed_interval, interval, open_interval
from harness.statistics.power import PairedVariances, paired_variances, required


def classes_of(n_episodes: int, n_classes: int, n_way: int, seed: int = 0) -> np.ndarray:
    """(E, n_way), every class equally often where the numbers allow it."""
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(n_classes) for _ in range(-(-n_episodes * n_way // n_classes))]
    return np.concatenate(rounds)[: n_episodes * n_way].reshape(n_episodes, n_way)


# ── intervals ─────────────────────────────────────────────────────────────────────────────────────


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


# ── seeds ─────────────────────────────────────────────────────────────────────────────────────────


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


# ── comparison ────────────────────────────────────────────────────────────────────────────────────


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


# ── power ─────────────────────────────────────────────────────────────────────────────────────────


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
