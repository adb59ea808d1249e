"""What is said of new classes: against a dense integral of the model, against Student, and against known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from harness.statistics import class_level
from harness.statistics.class_level import PRIOR_SCALE, ClassLevelModel
from harness.statistics.intervals import class_interval


def classes_of(n_episodes: int, n_classes: int, n_way: int, seed: int) -> np.ndarray:
    """(E, n_way), every class equally often where the numbers allow it."""
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(n_classes) for _ in range(-(-n_episodes * n_way // n_classes))]
    return np.concatenate(rounds)[: n_episodes * n_way].reshape(n_episodes, n_way)


def dense_moments(values: np.ndarray, classes: np.ndarray, n_classes: int) -> tuple[float, float]:
    """Mean and variance of the variance of the mean, from the whole covariance of the episodes, by quadrature."""
    n = len(values)
    has = np.array([[c in some for c in range(n_classes)] for some in classes.tolist()], dtype=float)
    scale = (n - 1) / np.trace((np.eye(n) - 1 / n) @ has @ has.T)

    def parts(ratio: float) -> tuple[float, float, float]:
        covariance = np.eye(n) + ratio**2 * scale * has @ has.T  # in units of the scatter's variance
        inverse = np.linalg.inv(covariance)
        precision = inverse.sum()  # of the mean
        residual = values @ inverse @ values - (inverse @ values).sum() ** 2 / precision
        log = -0.5 * (np.linalg.slogdet(covariance)[1] + math.log(precision) + (n - 1) * math.log(residual))
        return log, residual, covariance.sum() / n**2

    top = max(parts(ratio)[0] for ratio in np.linspace(0, 5, 60))

    def integral(power: int) -> float:
        def integrand(ratio: float) -> float:
            log, residual, of_mean = parts(ratio)
            moment = (1.0, 1 / (n - 3), 1 / ((n - 3) * (n - 5)))[power]  # of 1 / χ² with n - 1 degrees of freedom
            return (
                math.exp(log - top) * stats.halfcauchy.pdf(ratio / PRIOR_SCALE) * (residual * of_mean) ** power * moment
            )

        return integrate.quad(integrand, 0, 5, limit=200)[0] + integrate.quad(integrand, 5, math.inf, limit=200)[0]

    whole, first, second = (integral(power) for power in range(3))
    return first / whole, second / whole - (first / whole) ** 2


@pytest.mark.parametrize(("n_episodes", "n_classes", "n_way"), [(30, 8, 3), (14, 10, 5), (12, 30, 5)])
def test_the_error_is_the_integral_over_the_model(n_episodes: int, n_classes: int, n_way: int) -> None:
    rng = np.random.default_rng(n_episodes)
    classes = classes_of(n_episodes, n_classes, n_way, 0)
    values = rng.normal(0, 0.1, n_classes)[classes].mean(axis=1) + rng.normal(0, 0.05, n_episodes)
    error = ClassLevelModel(classes, n_classes).error(values)
    assert error is not None
    t = stats.invgamma(error.df / 2, scale=error.df * error.variance / 2)  # the scaled inverse χ² of Student's t
    assert (t.mean(), t.var()) == pytest.approx(dense_moments(values, classes, n_classes), rel=2e-3)


def test_a_finer_grid_changes_no_digit_that_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    for n_classes, effect in ((20, 0.0), (20, 0.1), (100, 0.03), (100, 1.0)):
        classes = classes_of(150, n_classes, 5, 1)
        values = 0.6 + effect * rng.standard_normal(n_classes)[classes].mean(axis=1) + rng.normal(0, 0.05, 150)
        coarse = class_interval(values, classes, n_classes).half_width
        with monkeypatch.context() as patch:
            patch.setattr(class_level, "N_RATIOS", 8000)
            assert class_interval(values, classes, n_classes).half_width == pytest.approx(coarse, abs=2e-5)


@pytest.mark.parametrize("n_episodes", [40, 4000])
@pytest.mark.parametrize("scatter", [0, 1e-9, 1e-5, 1e-3, 1e-2])
def test_without_scatter_it_is_nearly_students_interval_over_classes(n_episodes: int, scatter: float) -> None:
    """Many episodes with little noise give each class's effect away, and a mean over classes is what is left."""
    rng = np.random.default_rng(4)
    classes, effects = classes_of(n_episodes, 20, 5, 2), rng.normal(0, 0.1, 20)
    noise = scatter * rng.normal(0, 0.1, n_episodes)
    found = class_interval(0.6 + effects[classes].mean(axis=1) + noise - noise.mean(), classes, 20)
    truth = stats.ttest_1samp(0.6 + effects, 0).confidence_interval()
    assert found.mean == pytest.approx((truth.low + truth.high) / 2)
    assert found.half_width == pytest.approx((truth.high - truth.low) / 2, rel=0.05)


def test_shifts_and_scales_of_accuracies_carry_over() -> None:
    rng = np.random.default_rng(5)
    classes, values = classes_of(60, 12, 4, 0), rng.random(60)
    plain, moved = (class_interval(v, classes, 12) for v in (values, 3 - 2 * values))
    assert moved.mean == pytest.approx(3 - 2 * plain.mean)
    assert moved.half_width == pytest.approx(2 * plain.half_width)


def test_classes_without_an_episode_count_for_nothing() -> None:
    rng = np.random.default_rng(6)
    classes, values = classes_of(60, 12, 4, 0), rng.random(60)
    assert class_interval(values, classes, 15).half_width == pytest.approx(
        class_interval(values, classes, 12).half_width
    )


def test_five_episodes_say_nothing_of_new_classes() -> None:
    rng = np.random.default_rng(7)
    found = class_interval(rng.random(5), classes_of(5, 12, 4, 0), 12)
    assert (found.half_width, found.p_value, found.note) == (math.inf, 1.0, "fewer than 6 episodes")
    assert math.isfinite(class_interval(rng.random(6), classes_of(6, 12, 4, 0), 12).half_width)


@pytest.mark.parametrize(
    ("n_classes", "n_way", "n_episodes", "least"),
    [(20, 5, 148, 0.5), (10, 5, 74, 0.4), (16, 10, 59, 0.35), (20, 10, 74, 0.4), (109, 5, 43, 0.45)],
)
def test_it_holds_its_level_and_sees_what_is_there(n_classes: int, n_way: int, n_episodes: int, least: float) -> None:
    """Classes explain a fifth of the variance; power is of a difference of three standard errors of the mean."""
    n = 600
    rng = np.random.default_rng(n_classes)
    rejected = np.zeros((n, 2), bool)
    for i in range(n):
        classes = classes_of(n_episodes, n_classes, n_way, i % 10)
        effects = rng.normal(0, math.sqrt(0.2 / n_way), n_classes)
        values = effects[classes].sum(axis=1) + rng.normal(0, math.sqrt(0.8), n_episodes)
        error = math.sqrt(0.2 * n_way / n_classes + 0.8 / n_episodes)
        rejected[i] = [class_interval(v, classes, n_classes).p_value < 0.05 for v in (values, values + 3 * error)]
    false, true = rejected.mean(axis=0)
    assert false <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)
    assert true >= least
