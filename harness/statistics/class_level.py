"""How far a mean over episodes may be from its value on new classes. docs/statistics.md explains and compares it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.statistics.incidence import incidence, kept_by_classes

LEAST_EPISODES = 6  # with fewer the variance of the error has no mean of its own
PRIOR_SCALE = 4.0  # median of the half-Cauchy prior: nearly flat, yet it ends where episodes are too few to tell
LEAST_RATIO, MOST_RATIO = 1e-3, 1e6  # of the integral; beyond, one of the two is as good as absent
N_RATIOS = 512  # doubling them changes no digit that is printed


@dataclass(frozen=True)
class ClassLevelError:
    """The error of a mean as a claim about new classes: the truth is mean + √variance · Student's t."""

    variance: float
    df: float


class ClassLevelModel:
    """yₑ = μ + Σ a꜀ + εₑ over the classes c of episode e: class effects a and scatter ε, both normal.

    Where ways differ, the mean over an episode's classes stands in place of the sum.

    The ratio ρ = σ_a / σ_ε, scaled so that at 1 both give an episode the same variance, has a half-Cauchy prior; μ and
    log σ_ε are flat, as in Student's test. Integrating over ρ and σ_ε gives mean and variance of V, the variance of the
    mean of all episodes, and the scaled inverse χ² distribution that has both makes Student's t of it. So a class
    variance that might be there counts even where the best estimate of it is 0.

    Source: Gelman 2006, "Prior distributions for variance parameters in hierarchical models", Bayesian Analysis 1.
    """

    def __init__(self, classes: np.ndarray, n_classes: int) -> None:
        """Classes (E, n_way) of the episodes; those of the ``n_classes`` that no episode has count for nothing."""
        has = incidence(classes, n_classes)  # (E, C)
        n_episodes, self.df = len(has), len(has) - 1
        centred = has - has.mean(axis=0)
        eigenvalues, vectors = np.linalg.eigh(centred.T @ centred)
        told_apart = eigenvalues > 1e-9 * n_episodes  # directions of class effects, R of them
        eigenvalues = eigenvalues[told_apart]
        self.can_tell = n_episodes >= LEAST_EPISODES and bool(told_apart.any())
        if not self.can_tell:
            return
        self._directions = centred @ vectors[:, told_apart] / np.sqrt(eigenvalues)  # (E, R)
        scaled = np.geomspace(LEAST_RATIO, MOST_RATIO, N_RATIOS)  # ρ
        self._log_prior = np.log(scaled / (1 + (scaled / PRIOR_SCALE) ** 2))  # of log ρ, but for a constant
        ratios = scaled**2 * self.df / eigenvalues.sum()  # (N_RATIOS,): σ_a² / σ_ε²
        growth = 1 + ratios[:, None] * eigenvalues  # (N_RATIOS, R): of a direction's scatter, by class effects
        self._shrinkage, self._log_volume = 1 / growth, np.log(growth).sum(axis=1)
        self._of_effects = 1 / eigenvalues
        shares = has.mean(axis=0)  # (C,): how much of each class effect the mean has
        self._of_classes = float(shares @ shares)
        self._of_mean = ratios * self._of_classes + 1 / n_episodes  # variance of the mean, in units of σ_ε²

    def error(self, values: np.ndarray) -> ClassLevelError | None:
        """The error of the mean of values (E,); None where nothing can be said of new classes."""
        if not self.can_tell:
            return None
        df, deviations = self.df, values - values.mean()
        squares = (deviations @ self._directions) ** 2  # (R,): of class effects and scatter
        of_scatter = max(0.0, float(deviations @ deviations - squares.sum()))
        if of_scatter + squares.sum() == 0:
            return ClassLevelError(0.0, df)
        sums = self._shrinkage @ squares + of_scatter  # (N_RATIOS,): σ_ε² is sums / χ² of df degrees of freedom
        log_posterior = self._log_prior - 0.5 * (self._log_volume + df * np.log(sums))
        if log_posterior.argmax() == N_RATIOS - 1:  # no scatter: class effects are seen as they are
            return ClassLevelError(self._of_classes * float(squares @ self._of_effects) / len(squares), len(squares))
        weights = np.exp(log_posterior - log_posterior.max())
        weights /= weights.sum()
        scale = self._of_mean * sums  # V is scale / χ²
        mean = float(weights @ scale) / (df - 2)
        relative_variance = float(weights @ scale**2) / ((df - 2) * (df - 4)) / mean**2 - 1
        df_of_t = 4 + 2 / relative_variance
        return ClassLevelError(mean * (df_of_t - 2) / df_of_t, df_of_t)


@kept_by_classes
def class_level_model(classes: np.ndarray, n_classes: int) -> ClassLevelModel:
    """The model of episodes with these classes."""
    return ClassLevelModel(classes, n_classes)
