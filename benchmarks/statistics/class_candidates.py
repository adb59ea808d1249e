"""Tests of a difference on new classes that were tried: each gives the mean of R differences (R, E) an error.

The one that the harness uses is in harness/statistics/class_level.py; docs/statistics.md says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np

from harness.statistics.class_level import ClassLevelModel
from harness.statistics.incidence import incidence

N_RESAMPLES = 499
LEAST_DF, MOST_SCATTER = 5, 2.0  # of the jackknife that the harness had
N_RATIOS = 120  # of the search for the highest restricted likelihood


@dataclass(frozen=True)
class Errors:
    """For each of R differences: the variance of its mean as a claim about new classes, and degrees of freedom.

    A mean of ``interval`` instead of a variance is rejected where the interval (R, 2) leaves 0 out.
    """

    variance: np.ndarray  # (R,)
    df: np.ndarray  # (R,)
    interval: np.ndarray | None = None


class QuadraticForm:
    """An estimate v′Av of the variance of a mean, and how sure it is where values have these covariances."""

    def __init__(self, matrix: np.ndarray, kernels: list[np.ndarray]) -> None:
        self.matrix = matrix
        products = [matrix @ kernel for kernel in kernels]
        self.covariances = np.array([[2 * np.sum(a * b.T) for a in products] for b in products])

    def df(self, variance: np.ndarray, components: list[np.ndarray]) -> np.ndarray:
        """Satterthwaite's degrees of freedom (R,) of estimates (R,), from the components (R,) of each kernel."""
        parts = np.stack(components)
        return np.maximum(1, 2 * variance**2 / np.einsum("ir,ij,jr->r", parts, self.covariances, parts))


class Design:
    """Which classes (E, n_way) the episodes have, and all that follows from it."""

    def __init__(self, classes: np.ndarray, n_classes: int) -> None:
        self.classes, self.n_classes = classes, n_classes
        self.n_episodes, self.n_way = classes.shape
        self.has = incidence(classes, n_classes).astype(np.float64)  # (E, C)
        self.shared = self.has @ self.has.T  # (E, E): classes that two episodes share
        self.shared_pairs = self.shared * (self.shared - 1) / 2
        self.model = ClassLevelModel(classes, n_classes)
        self.centring = np.eye(self.n_episodes) - 1 / self.n_episodes

    def of_mean(self, kernel: np.ndarray) -> float:
        """The variance of the mean of values whose covariance is ``kernel`` (E, E)."""
        return float(kernel.sum()) / self.n_episodes**2

    @cached_property
    def kernels(self) -> list[np.ndarray]:
        """Covariances (E, E) by effects of classes, by those of pairs of classes, by scatter."""
        return [self.shared, self.shared_pairs, np.eye(self.n_episodes)]

    @cached_property
    def moments(self) -> tuple[list[np.ndarray], np.ndarray]:
        """A quadratic form for each kernel, and what each kernel adds to each form, (3, 3)."""
        forms = [self.centring @ kernel @ self.centring for kernel in self.kernels]
        return forms, np.array([[np.sum(form * kernel) for kernel in self.kernels] for form in forms])

    @cached_property
    def by_moments(self) -> QuadraticForm:
        forms, expected = self.moments
        weights = np.array([self.of_mean(kernel) for kernel in self.kernels]) @ np.linalg.inv(expected)
        return QuadraticForm(sum(w * form for w, form in zip(weights, forms, strict=True)), self.kernels)

    @cached_property
    def apart(self) -> QuadraticForm | None:
        """The U-statistic of episodes that share no class; None where hardly any two are."""
        apart = (self.shared == 0).astype(np.float64)
        if apart.sum() < self.n_episodes:
            return None
        whole = (np.diag(apart.sum(axis=1)) - apart) / apart.sum()
        return QuadraticForm(whole - self.centring / self.n_episodes, self.kernels)

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (E - 1,) of ``shared`` among contrasts, and their vectors (E, E - 1)."""
        contrasts = np.linalg.qr(np.column_stack([np.ones(self.n_episodes), np.eye(self.n_episodes)[:, 1:]]))[0][:, 1:]
        values, vectors = np.linalg.eigh(contrasts.T @ self.shared @ contrasts)
        return np.maximum(values, 0), contrasts @ vectors


@dataclass(frozen=True)
class _Fit:
    coefficients: np.ndarray  # (R, C)
    inverse: np.ndarray
    residual: np.ndarray  # (R,) variance
    df: int


def _fit(values: np.ndarray, design: Design) -> _Fit | None:
    gram = design.has.T @ design.has
    rank = int(np.linalg.matrix_rank(gram, hermitian=True))
    df = design.n_episodes - rank
    if df < LEAST_DF or rank < design.n_classes:
        return None
    inverse = np.linalg.pinv(gram, hermitian=True)
    coefficients = values @ design.has @ inverse
    residual = ((values - coefficients @ design.has.T) ** 2).sum(axis=1) / df
    return _Fit(coefficients, inverse, residual, df)


def jackknife(values: np.ndarray, design: Design, scatter_off: bool = True) -> Errors:
    """Delete one class; what the scatter of episodes adds is taken off where a fit is good enough to know it."""
    n, n_way, fit = design.n_classes, design.n_way, _fit(values, design)
    scatter = n_way**2 / n * float(fit.inverse.trace() - fit.inverse.sum() / n) / (n - 1) if fit is not None else np.inf
    if fit is None or scatter * design.n_episodes / n_way > MOST_SCATTER:
        without = (values.sum(axis=1, keepdims=True) - values @ design.has) / (
            design.n_episodes - design.has.sum(axis=0)
        )
        return Errors((n - 1) ** 2 / n * without.var(axis=1, ddof=1), np.full(len(values), n - 1.0))
    share = np.full(n, n_way / n)
    of_images = fit.residual * float(share @ fit.inverse @ share)
    whole = n_way**2 / n * fit.coefficients.var(axis=1, ddof=1)
    if not scatter_off:
        return Errors(whole, np.full(len(values), n - 1.0))
    excess = scatter * fit.residual - of_images
    variance = np.maximum(of_images, whole - excess)
    return Errors(variance, np.clip(variance**2 / (whole**2 / (n - 1) + excess**2 / fit.df), LEAST_DF, n - 1))


def jackknife_with_scatter(values: np.ndarray, design: Design) -> Errors:
    return jackknife(values, design, scatter_off=False)


def bootstrap(values: np.ndarray, design: Design) -> Errors | None:
    """Classes drawn with replacement from the fitted class effects, percentiles."""
    fit = _fit(values, design)
    if fit is None:
        return None
    n = design.n_classes
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), N_RESAMPLES) / n
    means = np.sort(design.n_way * fit.coefficients @ draws.T, axis=1)
    ends = means[:, [round(0.025 * (N_RESAMPLES + 1)) - 1, round(0.975 * (N_RESAMPLES + 1)) - 1]]
    return Errors(means.var(axis=1), np.full(len(values), np.inf), ends)


def u_statistic(values: np.ndarray, design: Design) -> Errors | None:
    """Half the squared difference of episodes without a common class, on average, less the variance that was seen.

    The first is the whole variance of an episode, the second falls short of it by the variance of the mean.
    """
    if design.apart is None:
        return None
    variance = np.einsum("re,re->r", values @ design.apart.matrix, values)
    variance = np.maximum(variance, 0.5 * values.var(axis=1, ddof=1) / design.n_episodes)
    ratio, residual = _restricted_likelihood(values, design)
    return Errors(variance, design.apart.df(variance, [ratio * residual, np.zeros(len(values)), residual]))


def reml(values: np.ndarray, design: Design) -> Errors:
    """Class effects and scatter by restricted maximum likelihood, at least 4 degrees of freedom."""
    ratio, residual = _restricted_likelihood(values, design)
    eigenvalues = design.spectrum[0]
    shrunk = 1 / (1 + ratio[:, None] * eigenvalues)  # (R, E - 1)
    information = [
        0.5 * ((eigenvalues**a * shrunk**2).sum(axis=1)) / residual**2 for a in (2, 1, 0)
    ]  # of class effects, of both, of scatter
    of_classes, of_scatter = design.of_mean(design.shared), 1 / design.n_episodes
    variance = residual * (of_classes * ratio + of_scatter)
    spread = (
        of_classes**2 * information[2] - 2 * of_classes * of_scatter * information[1] + of_scatter**2 * information[0]
    ) / (information[0] * information[2] - information[1] ** 2)
    return Errors(variance, np.clip(2 * variance**2 / spread, 4, design.n_classes - 1))


def _restricted_likelihood(values: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """The ratio σ_a² / σ_ε² that is likeliest, from a grid, and σ_ε², (R,) each."""
    eigenvalues, vectors = design.spectrum
    squares, df = (values @ vectors) ** 2, design.n_episodes - 1
    ratios = np.append(0, np.geomspace(1e-4, 10, N_RATIOS))
    likelihoods = [
        -0.5 * (df * np.log((squares / (1 + r * eigenvalues)).sum(axis=1)) + np.log1p(r * eigenvalues).sum())
        for r in ratios
    ]
    ratio = ratios[np.argmax(likelihoods, axis=0)]
    return ratio, (squares / (1 + ratio[:, None] * eigenvalues)).sum(axis=1) / df


def moments(values: np.ndarray, design: Design) -> Errors:
    """Effects of classes, of pairs of classes, and scatter, by the method of moments; none is below 0."""
    forms, expected = design.moments
    seen = np.stack([np.einsum("re,re->r", values @ form, values) for form in forms], axis=1)  # (R, 3)
    parts = seen @ np.linalg.inv(expected).T
    for left in ([0, 2], [1, 2], [2]):  # without those that came out below 0
        gone = [i for i in range(3) if i not in left]
        rows = (parts[:, gone] < 0).all(axis=1) & (parts[:, left[:-1]] >= 0).all(axis=1)
        again = seen[rows][:, left] @ np.linalg.inv(expected[np.ix_(left, left)]).T
        parts[rows] = 0
        parts[np.ix_(np.flatnonzero(rows), left)] = np.maximum(again, 0)
    variance = parts @ [design.of_mean(kernel) for kernel in design.kernels]
    return Errors(variance, np.maximum(4, design.by_moments.df(variance, list(parts.T))))


def integrated(values: np.ndarray, design: Design) -> Errors:
    """The harness's own: the likelihood integrated over the ratio of class effects to scatter."""
    found = [design.model.error(v) for v in values]
    return Errors(
        np.array([f.variance for f in found if f is not None]), np.array([f.df for f in found if f is not None])
    )


CANDIDATES: Mapping[str, Callable[[np.ndarray, Design], Errors | None]] = {
    "jackknife, scatter left in": jackknife_with_scatter,
    "jackknife, as the harness had it": jackknife,
    "bootstrap over class effects": bootstrap,
    "U-statistic of episodes apart": u_statistic,
    "moments, classes and pairs, df ≥ 4": moments,
    "REML, classes, df ≥ 4": reml,
    "integrated likelihood (the harness)": integrated,
}


def n_pairs(n: int) -> int:
    return comb(n, 2)
